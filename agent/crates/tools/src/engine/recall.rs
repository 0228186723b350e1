//! What is kept of what was computed, and the model that computes it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::{Bounds, Cache, Key, Kind};
use declaration::{ExecutionProvider, Ml, Numa, NumaPolicy, NumaStrategy};
use model::{Model, Provider, Settings};
use numa::{Placement, Placer, Policy, Strategy};
use search::{DIMENSIONS, EmbedError, Embedder, Embedding, ModelId};

use super::{Site, THIS_PROGRAM};
use crate::error::ToolError;

/// How long nothing has to be embedded before the model's process ends.
const IDLE: Duration = Duration::from_secs(60);

/// How many seconds a day has.
const DAY: u64 = 24 * 3600;

/// What a process has open of the cache and of the model.
#[derive(Default)]
pub(super) struct Recall {
    cache: Mutex<Option<(PathBuf, Arc<Cache>)>>,
    model: Mutex<Option<Arc<Model>>>,
    placer: Mutex<Option<(Numa, Arc<Placer>)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// The cache in `@cache`, with the bounds of the declaration; in memory alone where that is not there, or not this
    /// process's to write.
    pub(crate) fn cache(&self) -> Result<Arc<Cache>, ToolError> {
        let section = &self.declaration_if_any()?.cache;
        let bounds = Bounds {
            disk: section.size.bytes(),
            memory: section.memory.bytes(),
            age: Duration::from_secs(u64::from(section.age) * DAY),
        };
        let mut directory = self.paths()?.cache();
        let ours = rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK).is_ok();
        if !ours {
            directory = PathBuf::new();
        }
        let mut open = locked(&self.recall.cache);
        if let Some((known, cache)) = &*open
            && *known == directory
            && cache.bounds() == bounds
        {
            return Ok(Arc::clone(cache));
        }
        let cache = Arc::new(match ours {
            true => Cache::new(&directory, bounds),
            false => Cache::in_memory(bounds),
        });
        *open = Some((directory, Arc::clone(&cache)));
        Ok(cache)
    }

    /// What places threads on NUMA nodes, as the declaration says.
    pub(crate) fn placer(&self) -> Result<Arc<Placer>, ToolError> {
        let section = self.declaration_if_any()?.cache.numa.clone();
        let mut open = locked(&self.recall.placer);
        if let Some((known, placer)) = &*open
            && *known == section
        {
            return Ok(Arc::clone(placer));
        }
        let placer = Placer::new(placement(&section))
            .map_err(|error| ToolError::failed("place threads (cache.numa)", error))?;
        let placer = Arc::new(placer);
        *open = Some((section, Arc::clone(&placer)));
        Ok(placer)
    }

    /// The declared model, if there is one.
    pub(crate) fn model(&self) -> Result<Option<Arc<dyn Embedder>>, ToolError> {
        let declaration = self.declaration_if_any()?;
        let Some(directory) = &declaration.ml.model else {
            *locked(&self.recall.model) = None;
            return Ok(None);
        };
        let settings = settings(&declaration.ml, &declaration.cache.numa, directory);
        let mut open = locked(&self.recall.model);
        let known = open
            .take()
            .filter(|model| *model.settings() == settings && model.is_current());
        let model = match known {
            Some(model) => model,
            None => {
                let opened = Model::open(settings);
                Arc::new(opened.map_err(|error| ToolError::Unavailable(error.to_string()))?)
            }
        };
        *open = Some(Arc::clone(&model));
        let cache = self.cache()?;
        let placer = self.placer().ok().filter(|placer| placer.is_active());
        Ok(Some(Arc::new(Remembered {
            model,
            cache,
            placer,
        })))
    }

    /// The process that runs the model, and how many texts it embeds side by side; none while nothing is embedded.
    pub(crate) fn model_process(&self) -> Option<(u32, usize)> {
        locked(&self.recall.model).as_ref()?.worker()
    }

    /// Gives back what nobody uses at the moment.
    pub fn rest(&self) {
        if let Some((_, cache)) = &*locked(&self.recall.cache) {
            cache.rest();
        }
    }
}

fn placement(numa: &Numa) -> Placement {
    Placement {
        strategy: match numa.strategy {
            NumaStrategy::LocalNode => Strategy::LocalNode,
            NumaStrategy::RoundRobin => Strategy::RoundRobin,
            NumaStrategy::MostMemory => Strategy::MostMemory,
            NumaStrategy::Disabled => Strategy::Disabled,
        },
        policy: match numa.policy {
            NumaPolicy::Default => Policy::Default,
            NumaPolicy::Preferred => Policy::Preferred,
            NumaPolicy::Bind => Policy::Bind,
            NumaPolicy::Interleave => Policy::Interleave,
        },
        nodes: numa.nodes.iter().copied().collect(),
    }
}

/// The model's process is this program with the hidden command `embed`.
fn settings(ml: &Ml, numa: &Numa, directory: &Path) -> Settings {
    let mut arguments = vec![
        "embed".into(),
        "--model".into(),
        directory.into(),
        "--threads".into(),
        ml.num_threads.to_string().into(),
        "--idle".into(),
        IDLE.as_secs().to_string().into(),
    ];
    if numa.strategy != NumaStrategy::Disabled {
        let nodes = numa.nodes.iter().copied().collect::<numa::List>();
        arguments.extend([
            "--numa".into(),
            format!("{}:{}:{nodes}", numa.strategy, numa.policy).into(),
        ]);
    }
    Settings {
        directory: directory.to_owned(),
        provider: match ml.execution_provider {
            ExecutionProvider::Cpu => Provider::Cpu,
            ExecutionProvider::Cuda => Provider::Cuda,
            ExecutionProvider::TensorRt => Provider::TensorRt,
            ExecutionProvider::DirectMl => Provider::DirectMl,
            ExecutionProvider::CoreMl => Provider::CoreMl,
        },
        worker: (PathBuf::from(THIS_PROGRAM), arguments),
    }
}

/// What `--numa` of the hidden command `embed` says: strategy, policy and nodes.
pub fn placement_of(text: &str) -> Option<Placement> {
    let mut parts = text.splitn(3, ':');
    let (strategy, policy, nodes) = (parts.next()?, parts.next()?, parts.next()?);
    let nodes: numa::List = nodes.parse().ok()?;
    Some(placement(&Numa {
        strategy: strategy.parse().ok()?,
        policy: policy.parse().ok()?,
        nodes: nodes.iter().collect(),
    }))
}

/// A model whose vectors are kept: a text is embedded once.
struct Remembered {
    model: Arc<Model>,
    cache: Arc<Cache>,
    placer: Option<Arc<Placer>>,
}

impl Remembered {
    /// Does work with the cache where its memory belongs.
    fn placed<T: Send>(&self, work: impl Fn() -> T + Send + Sync) -> T {
        let Some(placer) = &self.placer else {
            return work();
        };
        placer.run(&work).unwrap_or_else(|error| {
            log::warn!("the cache works where it is: {error}");
            work()
        })
    }
}

impl Embedder for Remembered {
    fn id(&self) -> ModelId {
        self.model.id()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        let id = self.model.id();
        let key = |text: &str| Key::of([id.as_str(), text]);
        let kept = |text: &&str| {
            let (bytes, _) = self.cache.get(Kind::Embeddings, key(text))?;
            vector(&bytes)
        };
        let mut vectors: Vec<_> = self.placed(|| texts.iter().map(kept).collect());
        let missing: Vec<&str> = texts
            .iter()
            .zip(&vectors)
            .filter_map(|(text, vector): (_, &Option<Embedding>)| vector.is_none().then_some(*text))
            .collect();
        if missing.is_empty() {
            return Ok(vectors.into_iter().flatten().collect());
        }
        let made = self.model.embed(&missing)?;
        self.placed(|| {
            for (text, vector) in missing.iter().zip(&made) {
                let numbers = vector.as_slice().iter();
                let bytes = numbers.flat_map(|number| number.to_le_bytes()).collect();
                self.cache.put(Kind::Embeddings, key(text), bytes);
            }
        });
        let mut made = made.into_iter();
        for vector in vectors.iter_mut().filter(|vector| vector.is_none()) {
            *vector = made.next();
        }
        Ok(vectors.into_iter().flatten().collect())
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }
}

fn vector(bytes: &[u8]) -> Option<Embedding> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect();
    let numbers: [f32; DIMENSIONS] = numbers.try_into().ok()?;
    rest.is_empty().then(|| Embedding::new(numbers))
}
