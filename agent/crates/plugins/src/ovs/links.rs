//! The kernel's side: addresses of bridges, veth pairs, and the move of an uplink's addresses and routes.

use ipnet::IpNet;
use netlink::{Link, Netlink, Route};
use reconcile::PluginError;
use serde::{Deserialize, Serialize};

/// The alias of links that we made.
const ALIAS: &str = "op-dbus";

/// What an uplink had and its bridge has now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) addresses: Vec<IpNet>,
    routes: Vec<MovedRoute>,
}

/// A route, less its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MovedRoute {
    destination: Option<IpNet>,
    gateway: Option<std::net::IpAddr>,
    metric: Option<u32>,
    table: u32,
    source: Option<std::net::IpAddr>,
    protocol: u8,
    onlink: bool,
}

/// `RTPROT_KERNEL` of `linux/rtnetlink.h`: comes and goes with the address.
const BY_KERNEL: u8 = 2;

impl MovedRoute {
    fn of(route: &Route) -> Self {
        Self {
            destination: route.destination,
            gateway: route.gateway,
            metric: route.metric,
            table: route.table,
            source: route.source,
            protocol: route.protocol,
            onlink: route.onlink,
        }
    }

    fn over(&self, link: u32) -> Route {
        Route {
            destination: self.destination,
            gateway: self.gateway,
            link,
            metric: self.metric,
            table: self.table,
            source: self.source,
            protocol: self.protocol,
            onlink: self.onlink,
        }
    }
}

/// The links of this network namespace.
pub(super) struct Links(Netlink);

impl Links {
    pub(super) fn open() -> Result<Self, PluginError> {
        let netlink =
            Netlink::open().map_err(|error| PluginError::failed("talk to the kernel", error))?;
        Ok(Self(netlink))
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Link>, PluginError> {
        self.0
            .link(name)
            .map_err(|error| PluginError::failed(format!("find link {name}"), error))
    }

    /// The addresses of a link that reach beyond it; none if there is no such link.
    pub(super) fn addresses(&self, name: &str) -> Result<Vec<IpNet>, PluginError> {
        let Some(link) = self.find(name)? else {
            return Ok(Vec::new());
        };
        let addresses = self
            .0
            .addresses(link.index)
            .map_err(|error| PluginError::failed(format!("read the addresses of {name}"), error))?;
        let global = addresses.into_iter().filter(|address| address.scope_global);
        Ok(global.map(|address| address.net).collect())
    }

    /// Sets a bridge's local interface up with exactly these of our addresses; others stay.
    pub(super) fn address(
        &self,
        name: &str,
        ours_before: &[IpNet],
        wanted: &[IpNet],
    ) -> Result<(), PluginError> {
        let Some(link) = self.find(name)? else {
            return Err(PluginError::failed(
                format!("give {name} its addresses"),
                "the bridge's interface is not there",
            ));
        };
        let failed = |error| PluginError::failed(format!("give {name} its addresses"), error);
        self.0.set_up(link.index).map_err(failed)?;
        for gone in ours_before
            .iter()
            .filter(|address| !wanted.contains(address))
        {
            self.0.delete_address(link.index, *gone).map_err(failed)?;
        }
        for address in wanted {
            self.0.add_address(link.index, *address).map_err(failed)?;
        }
        Ok(())
    }

    /// Sets a link up, if it is there.
    pub(super) fn set_up(&self, name: &str) -> Result<(), PluginError> {
        let Some(link) = self.find(name)? else {
            return Ok(());
        };
        self.0
            .set_up(link.index)
            .map_err(|error| PluginError::failed(format!("set {name} up"), error))
    }

    /// Makes a veth pair, or finishes one of ours; refuses links that are somebody else's.
    pub(super) fn pair(&self, one: &str, other: &str) -> Result<(), PluginError> {
        let failed = |error| PluginError::failed(format!("make the pair {one} and {other}"), error);
        match (self.find(one)?, self.find(other)?) {
            (None, None) => self.0.create_veth(one, other).map_err(failed)?,
            (Some(first), Some(second)) if first.peer == Some(second.index) => {
                let marked = |link: &Link| link.alias.as_deref().is_none_or(|alias| alias == ALIAS);
                if !marked(&first) || !marked(&second) {
                    return Err(PluginError::failed(
                        format!("make the pair {one} and {other}"),
                        "links of these names are there and not ours",
                    ));
                }
            }
            _ => {
                return Err(PluginError::failed(
                    format!("make the pair {one} and {other}"),
                    "a link of one of these names is there and not the end of such a pair",
                ));
            }
        }
        for name in [one, other] {
            if let Some(link) = self.find(name)? {
                self.0.set_alias(link.index, ALIAS).map_err(failed)?;
                self.0.set_up(link.index).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes a veth pair of ours by one end.
    pub(super) fn unpair(&self, name: &str) -> Result<(), PluginError> {
        match self.find(name)? {
            Some(link) if link.alias.as_deref() == Some(ALIAS) => self
                .0
                .delete_link(link.index)
                .map_err(|error| PluginError::failed(format!("remove link {name}"), error)),
            _ => Ok(()),
        }
    }

    /// What would move off a link.
    pub(super) fn movable(&self, name: &str) -> Result<Moved, PluginError> {
        let Some(link) = self.find(name)? else {
            return Err(PluginError::unavailable(
                format!("there is no link `{name}` to be an uplink"),
                "name one that `ip link` shows",
            ));
        };
        let routes = self
            .0
            .routes()
            .map_err(|error| PluginError::failed("read the routes", error))?;
        let routes = routes
            .iter()
            .filter(|route| route.link == link.index && route.protocol != BY_KERNEL);
        Ok(Moved {
            addresses: self.addresses(name)?,
            routes: routes.map(MovedRoute::of).collect(),
        })
    }

    /// Moves addresses, then routes, from one link to another. What has moved already stays moved.
    pub(super) fn carry(&self, moved: &Moved, from: &str, to: &str) -> Result<(), PluginError> {
        let failed =
            |error| PluginError::failed(format!("move addresses from {from} to {to}"), error);
        let Some(target) = self.find(to)? else {
            return Err(PluginError::failed(
                format!("move addresses from {from} to {to}"),
                format!("there is no link `{to}`"),
            ));
        };
        self.0.set_up(target.index).map_err(failed)?;
        let source = self.find(from)?;
        for address in &moved.addresses {
            if let Some(source) = &source {
                self.0
                    .delete_address(source.index, *address)
                    .map_err(failed)?;
            }
            self.0.add_address(target.index, *address).map_err(failed)?;
        }
        for route in &moved.routes {
            if let Some(source) = &source {
                self.0
                    .delete_route(&route.over(source.index))
                    .map_err(failed)?;
            }
            self.0
                .add_route(&route.over(target.index))
                .map_err(failed)?;
        }
        // An uplink without its addresses must still carry frames.
        match source {
            Some(source) => self.0.set_up(source.index).map_err(failed),
            None => Ok(()),
        }
    }
}
