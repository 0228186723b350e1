//! What is known for understanding sentences: the tools, and the names on the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::Client;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::speaker::Speaker;

/// How long names are good; changes made here are seen at once.
const NAMES: Duration = Duration::from_secs(15);
/// How long the list of tools is good.
const TOOLS: Duration = Duration::from_secs(60);
/// How long may be waited for names: those that are known are better than none.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was known at a time.
pub(crate) struct Known {
    pub(crate) tools: Arc<Vec<api::Tool>>,
    pub(crate) catalog: Arc<say::Catalog>,
    pub(crate) world: say::World,
}

impl Known {
    pub(crate) fn tool(&self, name: &str) -> Option<&api::Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// What is known, for everybody: whoever may look at all sees these names.
pub(crate) struct Knowledge {
    client: Client,
    last: Mutex<Option<Last>>,
    stale: AtomicBool,
}

struct Last {
    known: Arc<Known>,
    tools: Instant,
    names: Instant,
}

impl Knowledge {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::default(),
            stale: AtomicBool::new(false),
        }
    }

    /// Something was changed: names are asked for anew.
    pub(crate) fn changed(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// What is known now.
    pub(crate) async fn get(&self, speaker: &Speaker) -> Result<Arc<Known>, api::Error> {
        let mut last = self.last.lock().await;
        let tools = last.as_ref().filter(|last| last.tools.elapsed() < TOOLS);
        let (tools, catalog, tools_at) = match tools {
            Some(last) => (
                Arc::clone(&last.known.tools),
                Arc::clone(&last.known.catalog),
                last.tools,
            ),
            None => {
                let (tools, catalog) = self.tools(speaker, last.as_ref()).await?;
                (tools, catalog, Instant::now())
            }
        };
        let stale = self.stale.swap(false, Ordering::AcqRel);
        let fresh = last
            .as_ref()
            .filter(|last| last.names.elapsed() < NAMES && !stale);
        if let Some(last) = fresh.filter(|last| Arc::ptr_eq(&last.known.tools, &tools)) {
            return Ok(Arc::clone(&last.known));
        }
        let mut world = last
            .as_ref()
            .map(|last| last.known.world.clone())
            .unwrap_or_default();
        self.names(speaker, &mut world).await;
        let known = Arc::new(Known {
            tools,
            catalog,
            world,
        });
        *last = Some(Last {
            known: Arc::clone(&known),
            tools: tools_at,
            names: Instant::now(),
        });
        Ok(known)
    }

    async fn tools(
        &self,
        speaker: &Speaker,
        last: Option<&Last>,
    ) -> Result<(Arc<Vec<api::Tool>>, Arc<say::Catalog>), api::Error> {
        let token = speaker.right().token;
        let tools = self.client.list(Some(&token)).await?;
        let text = |tools: &Vec<api::Tool>| serde_json::to_string(tools).unwrap_or_default();
        if let Some(last) = last
            && text(&tools) == text(&last.known.tools)
        {
            return Ok((
                Arc::clone(&last.known.tools),
                Arc::clone(&last.known.catalog),
            ));
        }
        let described = serde_json::from_str(&text(&tools)).unwrap_or_else(|error| {
            log::error!("the daemon's tools are not understood: {error}");
            Vec::new()
        });
        Ok((Arc::new(tools), Arc::new(say::Catalog::new(described))))
    }

    /// Takes in the names that the host tells in time; what it does not tell stays as it was.
    async fn names(&self, speaker: &Speaker, world: &mut say::World) {
        let mut asked = JoinSet::new();
        for (tool, arguments) in say::World::sources() {
            let (client, call) = (self.client.clone(), speaker.call(tool, arguments));
            asked.spawn(async move { (tool, client.call(&call, |_| {}).await) });
        }
        let taking = async {
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok((tool, Ok(answer))) => world.read(tool, &answer),
                    Ok((tool, Err(error))) => log::debug!("no names from {tool}: {error}"),
                    Err(error) => log::debug!("no names: {error}"),
                }
            }
        };
        if tokio::time::timeout(PATIENCE, taking).await.is_err() {
            log::debug!("not all names were told in time");
        }
    }
}

/// A schema's property, if there is one of that name.
pub(crate) fn property<'a>(tool: &'a api::Tool, name: &str) -> Option<&'a Value> {
    tool.input_schema.get("properties")?.get(name)
}
