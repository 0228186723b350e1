//! Tools that come near a sentence: by words, weighed by how much they tell (as in BM25), and by likeness.

use std::collections::{BTreeSet, HashMap};

use search::{Embedding, embed, stems};

use crate::tool::Tool;

/// How much words count beside likeness.
const WORDS: f64 = 0.6;

/// A sentence of a tool, ready to be compared.
struct Said {
    tool: usize,
    text: String,
    stems: BTreeSet<String>,
    embedding: Embedding,
}

/// The sentences of all tools.
pub(crate) struct Ranker {
    said: Vec<Said>,
    telling: HashMap<String, f64>,
}

impl std::fmt::Debug for Ranker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ranker")
            .field("sentences", &self.said.len())
            .finish()
    }
}

/// A tool that comes near.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Near {
    pub(crate) tool: usize,
    /// The sentence of it that comes nearest.
    pub(crate) sentence: String,
    /// 0 to 1.
    pub(crate) score: f64,
}

impl Ranker {
    pub(crate) fn new(tools: &[Tool]) -> Self {
        let mut said = Vec::new();
        let mut counts: HashMap<String, f64> = HashMap::new();
        for (tool, about) in tools.iter().enumerate() {
            let name = about.name.replace('_', " ");
            let first = about
                .description
                .split_inclusive('.')
                .next()
                .unwrap_or_default()
                .to_owned();
            let own = about.sentences.iter().cloned();
            let all: Vec<String> = own.chain([about.title.clone(), name, first]).collect();
            let words: BTreeSet<String> = all.iter().flat_map(|text| stems(text)).collect();
            for word in words {
                *counts.entry(word).or_default() += 1.0;
            }
            for text in all {
                let stems = stems(&text).into_iter().collect();
                said.push(Said {
                    tool,
                    stems,
                    embedding: embed(&text),
                    text,
                });
            }
        }
        let number = tools.len() as f64;
        let telling = counts
            .into_iter()
            .map(|(word, count)| (word, (1.0 + number / count).ln()))
            .collect();
        Self { said, telling }
    }

    /// The tools that come nearest, best first.
    pub(crate) fn near(&self, tools: &[Tool], text: &str, limit: usize) -> Vec<Near> {
        let words: BTreeSet<String> = stems(text).into_iter().take(64).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let embedding = embed(text);
        // A word that no tool has tells as much as one that a single tool has.
        let unknown = (1.0 + tools.len() as f64).ln();
        let weight = |word: &String| self.telling.get(word).copied().unwrap_or(unknown);
        let sum = |words: &BTreeSet<String>| words.iter().map(weight).sum::<f64>();
        let whole = sum(&words);
        let mut best: HashMap<usize, (f64, usize)> = HashMap::new();
        for (place, said) in self.said.iter().enumerate() {
            let shared: f64 = words.intersection(&said.stems).map(weight).sum();
            let overlap = 2.0 * shared / (whole + sum(&said.stems)).max(f64::MIN_POSITIVE);
            let likeness = f64::from(embedding.likeness(&said.embedding)).max(0.0);
            let score = WORDS * overlap + (1.0 - WORDS) * likeness;
            let entry = best.entry(said.tool).or_insert((score, place));
            if score > entry.0 {
                *entry = (score, place);
            }
        }
        let mut near: Vec<_> = best.into_iter().collect();
        near.sort_by(|(one, (score, _)), (other, (than, _))| {
            than.total_cmp(score).then(one.cmp(other))
        });
        near.truncate(limit);
        let near = near.into_iter().map(|(tool, (score, place))| {
            let own = tools[tool].sentences.contains(&self.said[place].text);
            let sentence = match own {
                true => self.said[place].text.clone(),
                false => tools[tool]
                    .sentences
                    .first()
                    .unwrap_or(&tools[tool].title)
                    .clone(),
            };
            Near {
                tool,
                sentence,
                score,
            }
        });
        near.collect()
    }
}
