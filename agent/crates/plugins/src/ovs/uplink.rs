//! The move of an uplink's addresses and routes to its bridge, and back.
//!
//! What moves is written into the database, on the uplink's port, before it moves, and taken out of it
//! after it has moved back: a crash at any point leaves a record from which the move can go on or return.
//! Each piece is added at its new place before it is taken from the old one.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink::Route;
use reconcile::PluginError;
use serde::{Deserialize, Serialize};

use super::links::{BY_KERNEL, Links};

// `RTPROT_…` of `linux/rtnetlink.h`.
/// From a router advertisement: expires.
const BY_ROUTER: u8 = 9;
/// From a lease: expires.
const BY_DHCP: u8 = 16;

/// What an uplink had and its bridge has now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    /// Addresses that last.
    pub(super) addresses: Vec<IpNet>,
    /// Addresses that were leased or announced: they move, but are never brought back to life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leased: Vec<IpNet>,
    routes: Vec<MovedRoute>,
}

/// A route, less its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MovedRoute {
    destination: Option<IpNet>,
    gateway: Option<IpAddr>,
    metric: Option<u32>,
    table: u32,
    source: Option<IpAddr>,
    protocol: u8,
    onlink: bool,
}

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

impl Moved {
    /// What would move off a link.
    pub(super) fn off(links: &Links, name: &str) -> Result<Self, PluginError> {
        let Some(link) = links.find(name)? else {
            return Err(PluginError::unavailable(
                format!("there is no link `{name}` to be an uplink"),
                "name one that `ip link` shows",
            ));
        };
        let (lasting, leased): (Vec<_>, Vec<_>) = links
            .global_addresses(name)?
            .into_iter()
            .partition(|address| address.permanent);
        let nets = |addresses: Vec<netlink::Address>| -> Vec<IpNet> {
            addresses.iter().map(|address| address.net).collect()
        };
        let routes = links.routes_over(link.index)?;
        let routes = routes.iter().filter(|route| route.protocol != BY_KERNEL);
        Ok(Self {
            addresses: nets(lasting),
            leased: nets(leased),
            routes: routes.map(MovedRoute::of).collect(),
        })
    }

    /// What is to move, given what is on the link now and what was remembered of an earlier move to
    /// `bridge`. A move that was interrupted goes on with both; a link that was set up anew since, such as
    /// at boot, has only what it has.
    pub(super) fn resume(self, before: Self, bridge: &[IpNet]) -> Self {
        let interrupted = self.addresses.is_empty()
            || before
                .addresses
                .iter()
                .any(|address| bridge.contains(address));
        if !interrupted {
            return self;
        }
        Self {
            addresses: union(before.addresses, self.addresses),
            leased: union(before.leased, self.leased),
            routes: union(before.routes, self.routes),
        }
    }

    /// Whether it is all on the bridge, and nothing of it on the link any more.
    pub(super) fn is_done(
        &self,
        links: &Links,
        link: &str,
        bridge: &str,
    ) -> Result<bool, PluginError> {
        let there = links.addresses(bridge)?;
        let here = links.addresses(link)?;
        let mut all = self.addresses.iter().chain(&self.leased);
        if all.any(|address| here.contains(address)) {
            return Ok(false);
        }
        if !self.addresses.iter().all(|address| there.contains(address)) {
            return Ok(false);
        }
        let Some(target) = links.find(bridge)? else {
            return Ok(self.addresses.is_empty());
        };
        // What routes follow from a lease is up to who renews it.
        let lasting = |route: &&MovedRoute| {
            self.leased.is_empty() && ![BY_ROUTER, BY_DHCP].contains(&route.protocol)
        };
        let routes = links.routes_over(target.index)?;
        let mut expected = self.routes.iter().filter(lasting);
        Ok(expected.all(|route| routes.contains(&route.over(target.index))))
    }

    /// Moves it from one link to another, addresses first. What has moved already stays moved, and the
    /// addresses in `kept` are not taken from the first link.
    pub(super) fn carry(
        &self,
        links: &Links,
        from: &str,
        to: &str,
        kept: &[IpNet],
    ) -> Result<(), PluginError> {
        let doing = || format!("move addresses and routes from {from} to {to}");
        let Some(target) = links.find(to)? else {
            return Err(PluginError::failed(
                doing(),
                format!("there is no link `{to}`"),
            ));
        };
        let source = links.find(from)?;
        let here = links.addresses(from)?;
        let leased = self.leased.iter().filter(|address| here.contains(address));
        let addresses: Vec<IpNet> = self.addresses.iter().chain(leased).copied().collect();
        links.up(&target)?;
        for address in &addresses {
            links.add_address(&target, *address)?;
        }
        // A route from an IPv6 source needs that address settled, and gone from the other link.
        let (late, early): (Vec<_>, Vec<_>) = self
            .routes
            .iter()
            .partition(|route| route.source.is_some_and(|source| source.is_ipv6()));
        for route in early {
            links.add_route(&route.over(target.index), doing)?;
        }
        if let Some(source) = &source {
            for route in &self.routes {
                links.delete_route(&route.over(source.index), doing)?;
            }
            for address in addresses.iter().filter(|address| !kept.contains(address)) {
                links.delete_address(source, *address)?;
            }
            // An uplink without its addresses must still carry frames.
            links.up(source)?;
        }
        for route in late {
            links.add_route_with_source(&route.over(target.index), doing)?;
        }
        Ok(())
    }
}

/// The elements of both, each once, those of the first in front.
fn union<T: PartialEq>(mut first: Vec<T>, second: Vec<T>) -> Vec<T> {
    for element in second {
        if !first.contains(&element) {
            first.push(element);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(addresses: &[&str], gateway: &str) -> Moved {
        Moved {
            addresses: nets(addresses),
            leased: Vec::new(),
            routes: vec![MovedRoute {
                destination: None,
                gateway: gateway.parse().ok(),
                metric: None,
                table: netlink::MAIN_TABLE,
                source: None,
                protocol: 3,
                onlink: false,
            }],
        }
    }

    fn nets(addresses: &[&str]) -> Vec<IpNet> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_interrupted_move_goes_on_with_all_of_it() {
        let before = moved(&["10.0.0.1/24", "10.0.0.2/24"], "10.0.0.254");
        let left = Moved {
            addresses: nets(&["10.0.0.2/24"]),
            ..Moved::default()
        };
        let on_bridge = nets(&["10.0.0.1/24"]);
        assert_eq!(left.resume(before.clone(), &on_bridge), before);
        assert_eq!(Moved::default().resume(before.clone(), &[]), before);
    }

    #[test]
    fn a_link_that_was_set_up_anew_has_what_it_has() {
        let before = moved(&["10.0.0.1/24"], "10.0.0.254");
        let now = moved(&["10.7.0.9/24"], "10.7.0.1");
        assert_eq!(now.clone().resume(before, &[]), now);
    }

    #[test]
    fn the_record_survives_the_database() {
        let before = moved(&["10.0.0.1/24", "2001:db8::1/64"], "10.0.0.254");
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Moved>(&text).unwrap(), before);
        assert!(serde_json::from_str::<Moved>("{\"addresses\":[\"x\"]}").is_err());
    }
}
