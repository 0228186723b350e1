//! The bridge behind an MCP server: tools, and signals and properties as resources.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use zbus::ObjectPath;

use super::signals::{Signals, Wanted};
use super::{Bridge, general};
use crate::backend::{Answer, Backend, Fault, Output, Request, Speaker, ToolInfo};

const JSON: &str = "application/json";

/// What a URI stands for: an object's properties, or signals.
enum Named {
    Properties(String),
    Signals(Wanted),
}

impl Backend for Bridge {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(async { Ok(Arc::clone(&self.tools)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async { Ok(self.work(request).await?.into()) })
    }

    fn resources<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Resource>>> {
        Box::pin(async { Ok(Arc::new(self.signals())) })
    }

    fn templates<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ResourceTemplate>>> {
        let base = self.base();
        Box::pin(async move {
            Ok(Arc::new(vec![
                ResourceTemplate::new(format!("{base}{{+object_path}}"), "properties")
                    .with_title("The properties of an object")
                    .with_description("By interface. Watched, it tells that some of them changed.")
                    .with_mime_type(JSON),
                ResourceTemplate::new(format!("{base}{{+object_path}}{{?signal}}"), "signals")
                    .with_title("The signals of an object")
                    .with_description("`signal` is INTERFACE.MEMBER. Those heard since it is watched, the last 20.")
                    .with_mime_type(JSON),
            ]))
        })
    }

    fn read<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, Vec<ResourceContents>> {
        Box::pin(async move {
            let value = match self.named(uri)? {
                Named::Properties(path) => {
                    let asked = general::Get {
                        object_path: path,
                        interface: None,
                        names: Vec::new(),
                    };
                    self.get(asked, &CancellationToken::new()).await?
                }
                Named::Signals(wanted) => {
                    self.signal_args(&wanted)?;
                    let heard = self.heard.of(uri);
                    json!({ "watched": heard.is_some(), "signals": heard.unwrap_or_default() })
                }
            };
            let text = ResourceContents::text(value.to_string(), uri);
            Ok(vec![text.with_mime_type(JSON)])
        })
    }

    fn can_watch(&self) -> bool {
        true
    }

    fn watch<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, BoxStream<'static, ()>> {
        Box::pin(async move {
            let root = self.options.root.as_ref();
            let (connection, service) = (&self.peer.connection, &self.options.service);
            match self.named(uri)? {
                Named::Properties(path) => {
                    let wanted = Wanted {
                        interface: "org.freedesktop.DBus.Properties".to_owned(),
                        member: "PropertiesChanged".to_owned(),
                        path: Some(path),
                    };
                    let signals = Signals::listen(connection, service, &root, &wanted).await?;
                    let told = futures_util::stream::unfold(signals, |mut signals| async move {
                        signals.next().await.map(|_| ((), signals))
                    });
                    Ok(told.boxed())
                }
                Named::Signals(wanted) => {
                    let args = self.signal_args(&wanted)?;
                    let signals = Signals::listen(connection, service, &root, &wanted).await?;
                    let heard = self.heard.clone();
                    Ok(signals.keep(uri.to_owned(), heard, args, self.options.mode))
                }
            }
        })
    }
}

impl Bridge {
    fn base(&self) -> String {
        format!("dbus://{}/{}", self.options.bus.word(), self.service())
    }

    /// A resource for each signal of the service's own interfaces, whichever object emits it.
    fn signals(&self) -> Vec<Resource> {
        let interfaces = self.catalog.interfaces.iter();
        interfaces
            .flat_map(|(interface, known)| {
                known.definition.signals.iter().map(move |signal| {
                    let name = format!("{interface}.{}", signal.name);
                    Resource::new(format!("{}?signal={name}", self.base()), name.clone())
                        .with_title(format!("Signal {}", signal.name))
                        .with_description(format!("The last {name} heard since this is watched"))
                        .with_mime_type(JSON)
                })
            })
            .collect()
    }

    fn named(&self, uri: &str) -> Result<Named, Fault> {
        let unknown = || Fault::NotFound(format!("there is no resource {uri}"));
        let rest = uri.strip_prefix(&self.base()).ok_or_else(unknown)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = match path {
            "" => None,
            path => {
                let root = self.options.root.as_str();
                let inside = root == "/" || path == root || path.starts_with(&format!("{root}/"));
                let valid = ObjectPath::try_from(path).is_ok();
                (inside && valid).then(|| path.to_owned()).ok_or_else(unknown)?.into()
            }
        };
        match (path, query) {
            (Some(path), None) => Ok(Named::Properties(path)),
            (path, Some(query)) => {
                let name = query.strip_prefix("signal=").ok_or_else(unknown)?;
                let (interface, member) = name.rsplit_once('.').ok_or_else(unknown)?;
                Ok(Named::Signals(Wanted {
                    interface: interface.to_owned(),
                    member: member.to_owned(),
                    path,
                }))
            }
            (None, None) => Err(unknown()),
        }
    }
}

