//! Questions and their answers.

use std::cmp::Reverse;

use jiff::Zoned;
use serde::Serialize;

use crate::embedder::{EmbedError, Embedder, ModelId};
use crate::embedding::Embedding;
use crate::fusion::fuse;
use crate::tokens::stems;

use super::database::Database;
use super::file::VectorFile;
use super::grow::is_damage;
use super::idset::IdSet;
use super::question::Question;
use super::record::{Record, Source};
use super::{EntryError, EntryIndex, scan};

/// How deep in both lists entries are looked at for the fused rank.
const DEPTH: usize = 100;
/// What dampens the weight of the first ranks. Less than the published 60, since a ledger has many entries that are nearly
/// the same: with more, those that are somewhere in both lists push away what is first in one.
const DAMPING: f64 = 10.0;
/// Entries less alike than this have little in common but chance: they do not push away what words find.
const LEAST_LIKENESS: f64 = 0.25;
/// How many more than asked for are looked at, since some may not be what the index says.
const SPARE: usize = 10;

/// How entries are matched, apart from filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the words that they share with the question (BM25).
    Words,
    /// By the likeness of their embeddings.
    Likeness,
    /// By both ranks together.
    Fused,
}

/// What was asked, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// What the question was taken to mean.
    pub understood: Understood,
    /// What people should know: filters that were given up, a model that was not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How many entries pass the filters.
    pub passing: usize,
    /// The entries, best first.
    pub hits: Vec<Hit>,
}

/// What a question was taken to mean.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Understood {
    /// Recorded then or later, in the host's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Recorded before then, in the host's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// With one of these operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// With one of these targets, or naming it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Asked for by one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// That ended so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<String>,
    /// What is looked for by words and likeness.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// The model by which likeness is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// An entry that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Hit {
    /// Its place in the chain.
    pub id: i64,
    /// How well it matches: 1 / (10 + rank) by words, and by likeness times the model's weight, summed up, or 0 where only filters were asked.
    pub score: f64,
    /// Why it was found.
    pub why: Why,
}

/// Why an entry was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Why {
    /// The filters that it passes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// The words that it shares with the question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What its words count for (BM25).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words_score: Option<f64>,
    /// How alike the two are (cosine, at most 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likeness: Option<f64>,
}

/// What is asked of likeness: the models by preference, and how many threads may look.
pub struct Likeness<'a> {
    /// The first one whose vectors are complete is taken; else the one that has most.
    pub models: &'a [&'a dyn Embedder],
    /// So many threads; by itself as many as are of use.
    pub threads: Option<usize>,
}

impl<'a> Likeness<'a> {
    /// By these models, the best one first.
    pub fn by(models: &'a [&'a dyn Embedder]) -> Self {
        Self {
            models,
            threads: None,
        }
    }
}

/// A question, and how it is to be answered.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) likeness: &'a Likeness<'a>,
    pub(super) question: &'a str,
    pub(super) now: &'a Zoned,
    pub(super) limit: usize,
}

impl EntryIndex {
    /// Answers a question at a time, which also says in which zone. Takes nothing in: [`EntryIndex::grow`] does.
    ///
    /// # Errors
    ///
    /// Where there is no sound index, or entries cannot be read.
    pub fn search(
        &self,
        source: &dyn Source,
        likeness: &Likeness<'_>,
        question: &str,
        now: &Zoned,
        limit: usize,
    ) -> Result<Answer, EntryError> {
        self.search_by(Method::Fused, source, likeness, question, now, limit)
    }

    /// Answers a question by one method.
    ///
    /// # Errors
    ///
    /// Those of [`EntryIndex::search`].
    pub fn search_by(
        &self,
        method: Method,
        source: &dyn Source,
        likeness: &Likeness<'_>,
        question: &str,
        now: &Zoned,
        limit: usize,
    ) -> Result<Answer, EntryError> {
        let asked = Asked {
            method,
            likeness,
            question,
            now,
            limit,
        };
        let answer = || self.answer(&self.open_to_read(source)?.database, source, &asked);
        match answer() {
            // Damage that the seal did not show: the next to open it looks at every byte.
            Err(EntryError::Database { source, .. }) if is_damage(&source) => {
                self.place.break_seal().map_err(self.file())?;
                answer()
            }
            answered => answered,
        }
    }

    pub(super) fn answer(
        &self,
        database: &Database,
        source: &dyn Source,
        asked: &Asked<'_>,
    ) -> Result<Answer, EntryError> {
        let Asked { method, limit, .. } = *asked;
        let mut notes = Vec::new();
        let (question, only) = self.narrow(database, asked.question, asked.now, &mut notes)?;
        let (entries, _, _) = database.extent().map_err(self.database())?;
        let passing = only
            .as_ref()
            .map_or(usize::try_from(entries).unwrap_or_default(), IdSet::len);
        let mut lists = Lists::default();
        if !question.rest.is_empty() && passing > 0 {
            if method != Method::Likeness {
                let stems = stems(&question.rest);
                lists.words = database
                    .words(&stems, DEPTH.max(limit), only.as_ref())
                    .map_err(self.database())?;
            }
            if method != Method::Words {
                self.alike(
                    database,
                    asked.likeness,
                    &question.rest,
                    only.as_ref(),
                    limit,
                    &mut lists,
                    &mut notes,
                )?;
            }
        }
        if method == Method::Fused {
            lists
                .alike
                .retain(|(_, likeness)| *likeness >= LEAST_LIKENESS);
        }
        let order = lists.order(limit + SPARE);
        let order = match order.is_empty() {
            false => order,
            // Filters alone, or words that nothing has.
            true if only.is_some() || question.rest.is_empty() => {
                if !question.rest.is_empty() && passing > 0 {
                    notes.push(format!(
                        "no entry has “{}” in it: these pass the filters, newest first",
                        question.rest
                    ));
                }
                newest(database, only.as_ref(), limit + SPARE).map_err(self.database())?
            }
            true => Vec::new(),
        };
        let understood = understood(&question, lists.model.as_ref());
        let filters = filters(&understood);
        let wanted = question.wanted();
        let mut hits = Vec::new();
        for (id, score) in order {
            // What the index finds is only believed when the entry says the same.
            let Some(record) = source.get(id)? else {
                continue;
            };
            let in_time = wanted.since.is_none_or(|since| record.timestamp >= since)
                && wanted.until.is_none_or(|until| record.timestamp <= until);
            if !in_time {
                continue;
            }
            let why = lists.why(&record, &question.rest, filters.clone());
            hits.push(Hit { id, score, why });
            if hits.len() == limit {
                break;
            }
        }
        Ok(Answer {
            understood,
            notes,
            passing,
            hits,
        })
    }

    /// Takes a question apart, and does without what leaves nothing.
    fn narrow(
        &self,
        database: &Database,
        text: &str,
        now: &Zoned,
        notes: &mut Vec<String>,
    ) -> Result<(Question, Option<IdSet>), EntryError> {
        let mut question = Question::parse(text, now, database).map_err(self.database())?;
        let select =
            |question: &Question| database.select(&question.wanted()).map_err(self.database());
        let mut only = select(&question)?;
        for part in question.parts() {
            if only.as_ref().is_none_or(|only| only.len() > 0) {
                break;
            }
            let given_up = question.relax(part);
            notes.push(format!(
                "no entry with {given_up} passes the other filters: searched without it"
            ));
            only = select(&question)?;
        }
        if only.as_ref().is_some_and(|only| only.len() == 0) {
            let (entries, first, last) = database.extent().map_err(self.database())?;
            let date = |second: Option<i64>| {
                let time = jiff::Timestamp::from_second(second?).ok()?;
                Some(
                    time.to_zoned(now.time_zone().clone())
                        .strftime("%Y-%m-%d %H:%M")
                        .to_string(),
                )
            };
            notes.push(match (date(first), date(last)) {
                (Some(first), Some(last)) => {
                    format!("nothing was recorded in that time: the {entries} entries are from {first} to {last}")
                }
                _ => "nothing is recorded yet".to_owned(),
            });
        }
        Ok((question, only))
    }

    #[allow(clippy::too_many_arguments)]
    fn alike(
        &self,
        database: &Database,
        likeness: &Likeness<'_>,
        text: &str,
        only: Option<&IdSet>,
        limit: usize,
        lists: &mut Lists,
        notes: &mut Vec<String>,
    ) -> Result<(), EntryError> {
        for embedder in self.by_completeness(database, likeness.models)? {
            let id = embedder.id();
            let question = match embed_one(embedder, text) {
                Ok(question) => question,
                Err(error) => {
                    notes.push(format!("not by {id}: {error}"));
                    continue;
                }
            };
            match self.scan(database, &id, &question, likeness.threads, only, limit)? {
                Ok(alike) => (lists.alike, lists.weight) = (alike, embedder.weight()),
                Err(fault) => {
                    notes.push(format!(
                        "not by {id}: its vectors: {fault}; they are made anew with the next search"
                    ));
                    self.place.break_seal().map_err(self.file())?;
                    continue;
                }
            }
            if likeness
                .models
                .first()
                .is_some_and(|first| first.id() != id)
            {
                notes.push(format!(
                    "likeness by {id}, since the vectors of the preferred model are not complete"
                ));
            }
            lists.model = Some(id);
            break;
        }
        Ok(())
    }

    /// Models that have vectors: complete ones in their order, then the others by how much they have.
    fn by_completeness<'a>(
        &self,
        database: &Database,
        models: &[&'a dyn Embedder],
    ) -> Result<Vec<&'a dyn Embedder>, EntryError> {
        let mut having = Vec::new();
        for (place, model) in models.iter().enumerate() {
            if let Some((_, last)) = database.vectors(&model.id()).map_err(self.database())? {
                having.push((Reverse(last), place, *model));
            }
        }
        having.sort_by_key(|(last, place, _)| (*last, *place));
        Ok(having.into_iter().map(|(_, _, model)| model).collect())
    }

    #[allow(clippy::type_complexity)]
    fn scan(
        &self,
        database: &Database,
        model: &ModelId,
        question: &Embedding,
        threads: Option<usize>,
        only: Option<&IdSet>,
        limit: usize,
    ) -> Result<Result<Vec<(i64, f64)>, String>, EntryError> {
        let rows = database
            .vectors(model)
            .map_err(self.database())?
            .map_or(0, |(rows, _)| rows);
        let found =
            VectorFile::open(&self.place.vectors(model), model, rows, false).and_then(|file| {
                let threads = threads.unwrap_or_else(|| scan::threads(&file));
                scan::nearest(&file, question, DEPTH.max(limit), only, threads)
            });
        Ok(found.map_err(|fault| fault.to_string()))
    }
}

/// What was found by each method.
#[derive(Default)]
struct Lists {
    words: Vec<(i64, f64)>,
    alike: Vec<(i64, f64)>,
    /// What likeness counts beside words.
    weight: f64,
    model: Option<ModelId>,
}

impl Lists {
    fn order(&self, limit: usize) -> Vec<(i64, f64)> {
        let newest_first = |list: &[(i64, f64)]| -> Vec<(Reverse<i64>, f64)> {
            list.iter()
                .map(|(id, score)| (Reverse(*id), *score))
                .collect()
        };
        let (words, alike) = (newest_first(&self.words), newest_first(&self.alike));
        let fused = fuse(&[(&words, 1.0), (&alike, self.weight)], DAMPING, limit);
        let plain = fused.into_iter().map(|(Reverse(id), score)| (id, score));
        plain.collect()
    }

    fn why(&self, record: &Record, asked: &str, filters: Vec<String>) -> Why {
        let score = |list: &[(i64, f64)]| {
            list.iter()
                .find(|(id, _)| *id == record.id)
                .map(|(_, score)| *score)
        };
        let has = stems(&format!(
            "{} {}",
            record.text(),
            record.actor().unwrap_or_default()
        ));
        let shared = |word: &&str| stems(word).iter().any(|stem| has.contains(stem));
        let mut words: Vec<String> = Vec::new();
        for word in asked.split_whitespace().filter(shared) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        Why {
            filters,
            words,
            words_score: score(&self.words),
            likeness: score(&self.alike),
        }
    }
}

/// The newest entries that pass.
fn newest(
    database: &Database,
    only: Option<&IdSet>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, f64)>> {
    let ids = match only {
        Some(only) => only.newest(limit),
        None => database.newest(limit)?,
    };
    Ok(ids.into_iter().map(|id| (id, 0.0)).collect())
}

fn understood(question: &Question, model: Option<&ModelId>) -> Understood {
    let show = |time: &Option<Zoned>| {
        time.as_ref()
            .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    };
    let (since, until) = match &question.period {
        Some(period) => (show(&period.since), show(&period.until)),
        None => (None, None),
    };
    Understood {
        since,
        until,
        operations: question.operations.clone(),
        targets: question.targets.clone(),
        actors: question.actors.clone(),
        outcomes: question.outcomes.clone(),
        words: question.rest.clone(),
        model: model.map(ToString::to_string),
    }
}

/// The filters in words.
fn filters(understood: &Understood) -> Vec<String> {
    let mut all = Vec::new();
    match (&understood.since, &understood.until) {
        (None, None) => {}
        (since, until) => {
            let side = |side: &Option<String>| side.clone().unwrap_or_default();
            all.push(format!("time {}..{}", side(since), side(until)));
        }
    }
    let lists = [
        ("operation", &understood.operations),
        ("target", &understood.targets),
        ("actor", &understood.actors),
        ("outcome", &understood.outcomes),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        all.push(format!("{what} {}", names.join(" or ")));
    }
    all
}

/// The one vector of one text.
fn embed_one(embedder: &dyn Embedder, text: &str) -> Result<Embedding, EmbedError> {
    let vectors = embedder.embed(&[text])?;
    let one = vectors.into_iter().next();
    one.ok_or_else(|| EmbedError(format!("{} gave no vector", embedder.id())))
}
