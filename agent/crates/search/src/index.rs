//! An index over documents, and what it answers.

use std::collections::{BTreeMap, HashMap};

use crate::embedding::{Embedding, Feature, features, place};
use crate::fusion::{DAMPING, best, fuse};
use crate::words::Words;

/// Something that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the answer names it by.
    pub id: String,
    /// Its name; words in it count three times as much.
    pub title: String,
    /// What else is said of it.
    pub text: String,
}

/// How documents are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the words that they share with the question (BM25).
    Words,
    /// By the likeness of their embeddings.
    Likeness,
    /// By both ranks together.
    Fused,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'a> {
    /// Its name.
    pub id: &'a str,
    /// How well it matches; scores of one method and one question compare.
    pub score: f64,
}

/// Why an index could not be made or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite failed.
    #[error("search: {0}")]
    Database(#[from] rusqlite::Error),
}

/// How deep in both lists documents are looked at for the fused rank.
const DEPTH: usize = 100;

/// Documents that can be searched.
pub struct Index {
    ids: Vec<String>,
    words: Words,
    embeddings: Vec<Embedding>,
    /// What a feature says of a document: much if few have it (inverse document frequency).
    telling: HashMap<Feature, f32>,
}

impl Index {
    /// An index over these documents.
    pub fn new(documents: Vec<Document>) -> Result<Self, Error> {
        let words = Words::new(&documents)?;
        // The title stands twice, since it says most.
        let text = |document: &Document| format!("{0} {0} {1}", document.title, document.text);
        let all: Vec<_> = documents
            .iter()
            .map(|document| features(&text(document)))
            .collect();
        let mut telling: HashMap<Feature, f32> = HashMap::new();
        for feature in all.iter().flat_map(|features| features.keys()) {
            *telling.entry(feature.clone()).or_default() += 1.0;
        }
        let count = documents.len() as f32;
        telling
            .values_mut()
            .for_each(|having| *having = (1.0 + count / *having).ln());
        let embeddings = all
            .into_iter()
            .map(|features| weigh(features, &telling))
            .collect();
        let ids = documents.into_iter().map(|document| document.id).collect();
        Ok(Self {
            ids,
            words,
            embeddings,
            telling,
        })
    }

    /// The `limit` documents that match best by words and likeness together, best first.
    pub fn search(&self, question: &str, limit: usize) -> Result<Vec<Hit<'_>>, Error> {
        self.search_by(Method::Fused, question, limit)
    }

    /// The `limit` documents that match best by one method, best first; equal ones in the order of the documents.
    pub fn search_by(
        &self,
        method: Method,
        question: &str,
        limit: usize,
    ) -> Result<Vec<Hit<'_>>, Error> {
        let found = match method {
            Method::Words => self.words.search(question, limit)?,
            Method::Likeness => self.alike(question, limit),
            Method::Fused => {
                let words = self.words.search(question, DEPTH)?;
                let alike = self.alike(question, DEPTH);
                fuse(&[(&words, 1.0), (&alike, 1.0)], DAMPING, limit)
            }
        };
        let hits = found.into_iter().filter_map(|(place, score)| {
            let id = self.ids.get(place)?;
            Some(Hit { id, score })
        });
        Ok(hits.collect())
    }

    fn alike(&self, question: &str, limit: usize) -> Vec<(usize, f64)> {
        let question = weigh(features(question), &self.telling);
        let likeness = self
            .embeddings
            .iter()
            .map(|embedding| f64::from(question.likeness(embedding)));
        let found = likeness
            .enumerate()
            .filter(|(_, likeness)| *likeness > 0.0)
            .collect();
        best(found, limit)
    }
}

/// The embedding of features by what they say; those that no document has say nothing.
fn weigh(features: BTreeMap<Feature, f32>, telling: &HashMap<Feature, f32>) -> Embedding {
    place(features.into_iter().filter_map(|(feature, weight)| {
        let telling = telling.get(&feature)?;
        Some((feature, weight * telling))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let of = |id: &str, text: &str| Document {
            id: id.to_owned(),
            title: id.to_owned(),
            text: text.to_owned(),
        };
        let documents = vec![
            of("container_create", "Makes a container from a template."),
            of(
                "container_destroy",
                "Removes a container and its data for good.",
            ),
            of("systemd_restart_unit", "Restarts a unit of systemd."),
            of("net_list_routes", "The routes of the kernel."),
        ];
        Index::new(documents).unwrap()
    }

    fn first(method: Method, question: &str) -> String {
        let index = index();
        let hits = index.search_by(method, question, 1).unwrap();
        hits.first()
            .map(|hit| hit.id.to_owned())
            .unwrap_or_default()
    }

    #[test]
    fn words_find_words_and_likeness_finds_what_is_meant() {
        assert_eq!(
            first(Method::Words, "restart nginx"),
            "systemd_restart_unit"
        );
        assert_eq!(
            first(Method::Likeness, "erase a guest"),
            "container_destroy"
        );
        assert_eq!(
            first(Method::Fused, "get rid of the container: delete it"),
            "container_destroy"
        );
    }

    #[test]
    fn questions_are_data() {
        for question in ["", "\"", "title:x OR *", "NEAR(a b)", "' OR 1=1 --", "\0"] {
            assert!(index().search(question, 5).is_ok(), "{question:?}");
        }
        assert_eq!(index().search("", 5).unwrap(), []);
        assert_eq!(index().search("restart", 0).unwrap(), []);
    }
}
