//! Tools that come near a sentence: by words, weighed by how much they tell (as in BM25), and by likeness.

use std::collections::{BTreeSet, HashMap, HashSet};

use search::{Embedding, embed, stems};

use crate::tool::Tool;

/// How much words count beside likeness.
const WORDS: f64 = 0.6;

/// How many sentences are compared by likeness: those that share most words, or all where none does.
const DEPTH: usize = 40;

/// A sentence of a tool, ready to be compared.
struct Said {
    tool: usize,
    text: String,
    /// Its words, by number.
    words: HashSet<usize>,
    /// What they tell together.
    weight: f64,
    embedding: Embedding,
}

/// The sentences of all tools.
pub(crate) struct Ranker {
    said: Vec<Said>,
    /// Each word's number.
    words: HashMap<String, usize>,
    /// What each word tells: much if few tools have it.
    telling: Vec<f64>,
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
        let mut words: HashMap<String, usize> = HashMap::new();
        let mut counts: Vec<f64> = Vec::new();
        for (tool, about) in tools.iter().enumerate() {
            let name = about.name.replace('_', " ");
            let first = about.description.split_inclusive('.').next();
            let first = first.unwrap_or_default().to_owned();
            let own = about.sentences.iter().cloned();
            let mut of_tool: HashSet<usize> = HashSet::new();
            for text in own.chain([about.title.clone(), name, first]) {
                let numbered = stems(&text).into_iter().map(|word| {
                    let next = words.len();
                    *words.entry(word).or_insert(next)
                });
                let numbers: HashSet<usize> = numbered.collect();
                of_tool.extend(&numbers);
                said.push(Said {
                    tool,
                    words: numbers,
                    weight: 0.0,
                    embedding: embed(&text),
                    text,
                });
            }
            counts.resize(words.len(), 0.0);
            of_tool.iter().for_each(|word| counts[*word] += 1.0);
        }
        let number = tools.len() as f64;
        let telling: Vec<f64> = counts
            .iter()
            .map(|count| (1.0 + number / count).ln())
            .collect();
        for said in &mut said {
            said.weight = said.words.iter().map(|word| telling[*word]).sum();
        }
        Self {
            said,
            words,
            telling,
        }
    }

    /// The tools that come nearest, best first.
    pub(crate) fn near(&self, tools: &[Tool], text: &str, limit: usize) -> Vec<Near> {
        let words: BTreeSet<String> = stems(text).into_iter().take(64).collect();
        if words.is_empty() {
            return Vec::new();
        }
        // A word that no tool has tells as much as one that a single tool has.
        let unknown = (1.0 + tools.len() as f64).ln();
        let known: Vec<usize> = words
            .iter()
            .filter_map(|word| self.words.get(word).copied())
            .collect();
        let whole = known.iter().map(|word| self.telling[*word]).sum::<f64>()
            + unknown * (words.len() - known.len()) as f64;
        let overlap = |said: &Said| {
            let shared = known.iter().filter(|word| said.words.contains(word));
            let shared: f64 = shared.map(|word| self.telling[*word]).sum();
            2.0 * shared / (whole + said.weight).max(f64::MIN_POSITIVE)
        };
        let mut found: Vec<(f64, usize)> = self.said.iter().map(overlap).zip(0..).collect();
        if found.iter().any(|(overlap, _)| *overlap > 0.0) {
            found.sort_by(|(one, place), (other, after)| {
                other.total_cmp(one).then(place.cmp(after))
            });
            found.truncate(DEPTH);
        }
        let embedding = embed(text);
        let mut best: HashMap<usize, (f64, usize)> = HashMap::new();
        for (overlap, place) in found {
            let said = &self.said[place];
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
