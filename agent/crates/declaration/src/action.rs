//! What a flow does with a packet.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::builtin::In;
use crate::flow::MacAddr;
use crate::form::Form;
use crate::names::LinkName;
use crate::problem::Step;
use crate::reader::{Reader, nearest};
use crate::schema::{Definitions, Kind};
use crate::tree::{Node, Value, quote};

/// One thing that is done with a packet.
///
/// Written as a word (`normal`, `local`, `flood`, `drop`, `pop_vlan`) or as a map with one key
/// (`{output: eth0}`, `{goto: 10}`, `{set_eth_src: MAC}`, `{set_eth_dst: MAC}`, `{push_vlan: 10}`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Go on in a later table, 1 to 254.
    Goto(u8),
    /// Send it out of a port.
    Output(LinkName),
    /// Handle it as a learning switch does.
    Normal,
    /// Give it to the bridge's own interface.
    Local,
    /// Send it out of all ports but the one it came by.
    Flood,
    /// Do nothing with it.
    Drop,
    /// Change its Ethernet source address.
    SetEthSrc(MacAddr),
    /// Change its Ethernet destination address.
    SetEthDst(MacAddr),
    /// Add a VLAN tag, 1 to 4094.
    PushVlan(u16),
    /// Take its VLAN tag off.
    PopVlan,
}

const WORDS: [(&str, Action); 5] = [
    ("normal", Action::Normal),
    ("local", Action::Local),
    ("flood", Action::Flood),
    ("drop", Action::Drop),
    ("pop_vlan", Action::PopVlan),
];
const KEYS: [&str; 5] = ["output", "goto", "set_eth_src", "set_eth_dst", "push_vlan"];

type TableNumber = In<1, 254>;
type Vlan = In<1, 4094>;

impl Form<Action> for Action {
    fn accepted() -> String {
        let words: Vec<_> = WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
        let keys: Vec<_> = KEYS.iter().map(|key| format!("`{key}`")).collect();
        format!(
            "{}, or a map with one of the keys {}",
            words.join(", "),
            keys.join(", ")
        )
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Action> {
        match &node.value {
            Value::Text(text) => {
                let action = WORDS.iter().find(|(word, _)| word == text);
                if action.is_none() {
                    reader.report(quote(text), Self::accepted(), meant(text));
                }
                action.map(|(_, action)| action.clone())
            }
            Value::Map(entries) => match entries.as_slice() {
                [(key, node)] => decode_entry(key, node, reader),
                _ => {
                    let found = format!("a map with {} keys", entries.len());
                    let hint = (!entries.is_empty())
                        .then(|| "write each action as an element of its own: `- `".to_owned());
                    reader.report(found, Self::accepted(), hint);
                    None
                }
            },
            _ => {
                reader.wrong::<Action, Self>(node);
                None
            }
        }
    }

    fn encode(action: &Action) -> Json {
        match action {
            Action::Goto(table) => json!({ "goto": table }),
            Action::Output(port) => json!({ "output": port }),
            Action::SetEthSrc(mac) => json!({ "set_eth_src": mac }),
            Action::SetEthDst(mac) => json!({ "set_eth_dst": mac }),
            Action::PushVlan(vlan) => json!({ "push_vlan": vlan }),
            word => WORDS
                .iter()
                .find_map(|(name, action)| (action == word).then_some(*name))
                .into(),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let description = "One thing that is done with a packet.";
        definitions.define("Action", description, |definitions| {
            let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
            let mut choices = vec![json!({ "enum": words })];
            choices.extend(KEYS.iter().map(|key| {
                let value = match *key {
                    "output" => LinkName::schema(definitions),
                    "goto" => <TableNumber as Form<u8>>::schema(definitions),
                    "push_vlan" => <Vlan as Form<u16>>::schema(definitions),
                    _ => MacAddr::schema(definitions),
                };
                json!({
                    "type": "object",
                    "properties": { *key: value },
                    "required": [key],
                    "additionalProperties": false,
                })
            }));
            Kind::Other(json!({ "anyOf": choices }))
        })
    }
}

fn decode_entry(key: &str, node: &Node, reader: &mut Reader) -> Option<Action> {
    let step = Step::Key(key.to_owned());
    match key {
        "goto" => reader.step::<u8, TableNumber>(step, node).map(Action::Goto),
        "output" => reader
            .step::<LinkName, LinkName>(step, node)
            .map(Action::Output),
        "set_eth_src" => reader
            .step::<MacAddr, MacAddr>(step, node)
            .map(Action::SetEthSrc),
        "set_eth_dst" => reader
            .step::<MacAddr, MacAddr>(step, node)
            .map(Action::SetEthDst),
        "push_vlan" => reader.step::<u16, Vlan>(step, node).map(Action::PushVlan),
        _ => {
            let found = format!("a map with the unknown key {}", quote(key));
            reader.report(found, Action::accepted(), meant(key));
            None
        }
    }
}

fn meant(text: &str) -> Option<String> {
    let known: Vec<_> = WORDS.iter().map(|(word, _)| *word).chain(KEYS).collect();
    let near = nearest(&text.to_lowercase(), &known)?;
    Some(if KEYS.contains(&near) {
        format!("did you mean `{{{near}: …}}`?")
    } else {
        format!("did you mean `{near}`?")
    })
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::encode(self).serialize(serializer)
    }
}
