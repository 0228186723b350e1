//! A service of the test's own: items with a price, and a manager with a mode that is set by methods.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use declaration::{Declaration, Format};
use lab::{Machine, SystemBus};
use plugins::derived::{Mapped, Mapping, digests};
use reconcile::Plugin;
use tokio::runtime::Runtime;
use zbus::{Connection, interface};

pub(crate) const ITEMS: [&str; 3] = ["apple", "pear", "plum"];

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) price: u32,
    pub(crate) tags: Vec<String>,
    /// Never declared.
    pub(crate) stock: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) items: BTreeMap<String, Item>,
    pub(crate) mode: String,
    pub(crate) log: Vec<String>,
    /// The price of this item cannot be set.
    pub(crate) stubborn: Option<String>,
}

type Shared = Arc<Mutex<State>>;

struct Front(Shared);

#[interface(name = "org.example.Shop1")]
impl Front {
    #[zbus(property)]
    fn mode(&self) -> String {
        self.0.lock().unwrap().mode.clone()
    }

    fn set_mode(&self, mode: String, interactive: bool) {
        assert!(!interactive);
        let mut state = self.0.lock().unwrap();
        state.log.push(format!("SetMode {mode}"));
        state.mode = mode;
    }

    fn restore_mode(&self, mode: String, from: String) {
        let mut state = self.0.lock().unwrap();
        assert_eq!(state.mode, from);
        state.log.push(format!("RestoreMode {mode}"));
        state.mode = mode;
    }
}

struct Shelf(String, Shared);

#[interface(name = "org.example.Shop1.Item")]
impl Shelf {
    #[zbus(property)]
    fn name(&self) -> String {
        self.0.clone()
    }

    #[zbus(property)]
    fn price(&self) -> u32 {
        self.1.lock().unwrap().items[&self.0].price
    }

    #[zbus(property)]
    fn set_price(&self, price: u32) -> zbus::fdo::Result<()> {
        let mut state = self.1.lock().unwrap();
        if state.stubborn.as_ref() == Some(&self.0) {
            return Err(zbus::fdo::Error::AccessDenied("not this one".to_owned()));
        }
        state.log.push(format!("Price {}", self.0));
        state.items.get_mut(&self.0).unwrap().price = price;
        Ok(())
    }

    #[zbus(property)]
    fn tags(&self) -> Vec<String> {
        self.1.lock().unwrap().items[&self.0].tags.clone()
    }

    #[zbus(property)]
    fn set_tags(&self, tags: Vec<String>) {
        let mut state = self.1.lock().unwrap();
        state.log.push(format!("Tags {}", self.0));
        state.items.get_mut(&self.0).unwrap().tags = tags;
    }

    #[zbus(property)]
    fn stock(&self) -> u64 {
        self.1.lock().unwrap().items[&self.0].stock
    }
}

const PLUGIN: &str = r#"name = "shop"
version = "1.0.0"
introspection_path = "org.example.Shop1"
capabilities = ["read", "write"]
enabled = true
"#;

const MAPPING: &str = r#"
[interfaces]
"org.example.Shop1" = ["FRONT"]
"org.example.Shop1.Item" = ["ITEM"]

[[resource]]
name = "front"
interface = "org.example.Shop1"
path = "/org/example/Shop1"
properties = { Mode = "s" }

[[resource]]
name = "item"
interface = "org.example.Shop1.Item"
path = "/org/example/Shop1/Items/*"
identity = "Name"
properties = { Name = "s", Price = "u", Tags = "as", Stock = "t" }

[[write]]
resource = "item"
property = "Price"
safe = true
reviewed_by = "somebody"
reviewed_at = "2026-11-21"

[[write]]
resource = "item"
property = "Tags"
safe = true
reviewed_by = "somebody"
reviewed_at = "2026-11-21"

[[write]]
resource = "front"
property = "Mode"
safe = true
reviewed_by = "somebody"
reviewed_at = "2026-11-21"
[write.call]
method = "SetMode"
signature = "sb"
arguments = ["$value", false]
[write.inverse]
method = "RestoreMode"
signature = "ss"
arguments = ["$value", "$before"]
"#;

/// The shop is open on a bus of its own, and a base has the plugin for it.
pub(crate) struct Shop {
    pub(crate) state: Shared,
    pub(crate) base: PathBuf,
    connection: Option<Connection>,
    runtime: Runtime,
    _bus: SystemBus,
    _machine: Machine,
}

impl Shop {
    pub(crate) fn open() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let bus = machine.system_bus()?;
        let items = ITEMS.map(|name| {
            (
                name.to_owned(),
                Item {
                    stock: u64::MAX,
                    ..Item::default()
                },
            )
        });
        let state = Arc::new(Mutex::new(State {
            items: items.into(),
            mode: "day".to_owned(),
            log: Vec::new(),
            stubborn: None,
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let serve = async {
            let mut builder = zbus::connection::Builder::system()
                .serve_at("/org/example/Shop1", Front(state.clone()))
                .name("org.example.Shop1");
            for name in ITEMS {
                let path = format!("/org/example/Shop1/Items/{name}_1");
                builder = builder.serve_at(path, Shelf(name.to_owned(), state.clone()));
            }
            builder.build().await.unwrap()
        };
        let connection = runtime.block_on(serve);
        let base = machine.dir().join("base");
        let place = base.join("@plugins/shop");
        fs::create_dir_all(&place).unwrap();
        let unreviewed = MAPPING.replace("\"FRONT\"", "").replace("\"ITEM\"", "");
        let known = digests(&Mapping::parse(PLUGIN, &unreviewed).unwrap()).unwrap();
        let reviewed = MAPPING
            .replace("FRONT", &known["org.example.Shop1"])
            .replace("ITEM", &known["org.example.Shop1.Item"]);
        fs::write(place.join("plugin.toml"), PLUGIN).unwrap();
        fs::write(place.join("semantic-mapping.toml"), reviewed).unwrap();
        Some(Self {
            state,
            base,
            connection: Some(connection),
            runtime,
            _bus: bus,
            _machine: machine,
        })
    }

    pub(crate) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close()).unwrap();
        }
    }

    pub(crate) fn declaration(&self, section: &serde_json::Value) -> Declaration {
        let text = serde_json::json!({
            "version": "1.0",
            "plugins": { "btrfs": { "base": self.base }, "shop": section },
        });
        Declaration::parse_with(&text.to_string(), Format::Json, &Mapped::default()).unwrap()
    }

    /// The plugin for a section.
    pub(crate) fn plugin(&self, section: &serde_json::Value) -> Vec<Box<dyn Plugin>> {
        only(plugins::declared(&self.declaration(section)))
    }

    pub(crate) fn view(&self) -> Vec<Box<dyn Plugin>> {
        only(plugins::views(
            &self.declaration(&serde_json::json!({})),
            Some("shop"),
        ))
    }

    pub(crate) fn now(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    pub(crate) fn mapping(&self) -> PathBuf {
        Path::new(&self.base).join("@plugins/shop/semantic-mapping.toml")
    }
}

fn only(list: Vec<Box<dyn Plugin>>) -> Vec<Box<dyn Plugin>> {
    list.into_iter()
        .filter(|plugin| plugin.name() == "shop")
        .collect()
}
