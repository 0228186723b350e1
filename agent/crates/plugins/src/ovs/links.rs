//! The kernel's side: addresses and routes, and veth pairs.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use netlink::{Address, Error, Link, Netlink, Route};
use reconcile::PluginError;

/// `RTPROT_KERNEL` of `linux/rtnetlink.h`: a route that comes and goes with an address.
pub(super) const BY_KERNEL: u8 = 2;
/// The alias of links that we made.
const ALIAS: &str = "op-dbus";
/// How long an IPv6 address may be checked for duplicates before a route can name it as its source.
const DUPLICATES: Duration = Duration::from_secs(5);

/// The links of this network namespace.
pub(super) struct Links(Netlink);

/// What netlink says already names what was being done.
fn failed(doing: impl Into<String>) -> impl FnOnce(Error) -> PluginError {
    |error| PluginError::failed(doing, error)
}

impl Links {
    pub(super) fn open() -> Result<Self, PluginError> {
        Netlink::open()
            .map(Self)
            .map_err(failed("talk to the kernel"))
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Link>, PluginError> {
        self.0
            .link(name)
            .map_err(failed(format!("find link {name}")))
    }

    /// The addresses of a link that reach beyond it; none if there is no such link.
    pub(super) fn global_addresses(&self, name: &str) -> Result<Vec<Address>, PluginError> {
        let Some(link) = self.find(name)? else {
            return Ok(Vec::new());
        };
        let mut addresses = self
            .0
            .addresses(link.index)
            .map_err(failed(format!("read the addresses of {name}")))?;
        addresses.retain(|address| address.scope_global);
        Ok(addresses)
    }

    /// The same, with the length of their prefixes and nothing else.
    pub(super) fn addresses(&self, name: &str) -> Result<Vec<IpNet>, PluginError> {
        let addresses = self.global_addresses(name)?;
        Ok(addresses.iter().map(|address| address.net).collect())
    }

    pub(super) fn up(&self, link: &Link) -> Result<(), PluginError> {
        self.0
            .set_up(link.index)
            .map_err(failed(format!("set {} up", link.name)))
    }

    /// Sets a link up, if it is there.
    pub(super) fn up_if_there(&self, name: &str) -> Result<(), PluginError> {
        self.find(name)?.map_or(Ok(()), |link| self.up(&link))
    }

    pub(super) fn add_address(&self, link: &Link, address: IpNet) -> Result<(), PluginError> {
        self.0
            .add_address(link.index, address)
            .map_err(failed(format!("give {} the address {address}", link.name)))
    }

    /// Takes an address from a link, and only that: the kernel may take the others of its prefix along, and
    /// the routes that go with those.
    pub(super) fn delete_address(&self, link: &Link, address: IpNet) -> Result<(), PluginError> {
        let before = self.addresses(&link.name)?;
        let routes = self.routes_over(link.index)?;
        self.0
            .delete_address(link.index, address)
            .map_err(failed(format!("take {address} from {}", link.name)))?;
        let after = self.addresses(&link.name)?;
        for other in before {
            if other != address && !after.contains(&other) {
                self.add_address(link, other)?;
            }
        }
        let left = self.routes_over(link.index)?;
        let lost = routes.iter().filter(|route| {
            route.protocol != BY_KERNEL
                && route.source != Some(address.addr())
                && !left.contains(route)
        });
        for route in lost {
            // One that led through the prefix of this address is rightly gone.
            if let Err(error) = self.0.add_route(route) {
                log::debug!("{error}");
            }
        }
        Ok(())
    }

    pub(super) fn routes_over(&self, link: u32) -> Result<Vec<Route>, PluginError> {
        let mut routes = self.0.routes().map_err(failed("read the routes"))?;
        routes.retain(|route| route.link == link);
        Ok(routes)
    }

    pub(super) fn add_route(
        &self,
        route: &Route,
        doing: impl Fn() -> String,
    ) -> Result<(), PluginError> {
        self.0.add_route(route).map_err(failed(doing()))
    }

    /// Adds a route whose IPv6 source the kernel may still check for duplicates: until that is over it
    /// refuses the route. It also takes the source out of a route when that address goes from another link.
    pub(super) fn add_route_with_source(
        &self,
        route: &Route,
        doing: impl Fn() -> String,
    ) -> Result<(), PluginError> {
        let present = self.routes_over(route.link)?;
        if present.contains(route) {
            return Ok(());
        }
        let bare = Route {
            source: None,
            ..route.clone()
        };
        if present.contains(&bare) {
            self.delete_route(&bare, &doing)?;
        }
        let deadline = Instant::now() + DUPLICATES;
        loop {
            match self.0.add_route(route) {
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                added => return added.map_err(failed(doing())),
            }
        }
    }

    pub(super) fn delete_route(
        &self,
        route: &Route,
        doing: impl Fn() -> String,
    ) -> Result<(), PluginError> {
        self.0.delete_route(route).map_err(failed(doing()))
    }

    /// Sets a bridge's local interface up, gives it the `wanted` addresses and takes the `gone` ones.
    pub(super) fn address(
        &self,
        name: &str,
        wanted: &[IpNet],
        gone: &[IpNet],
    ) -> Result<(), PluginError> {
        let Some(link) = self.find(name)? else {
            return Err(PluginError::failed(
                format!("give {name} its addresses"),
                "the bridge's interface is not there",
            ));
        };
        self.up(&link)?;
        // The new ones first: with its last address a link loses its routes.
        for address in wanted {
            self.add_address(&link, *address)?;
        }
        let present = self.addresses(name)?;
        for address in gone.iter().filter(|address| present.contains(address)) {
            self.delete_address(&link, *address)?;
        }
        Ok(())
    }

    /// Marks a link that Open vSwitch has made for us.
    pub(super) fn claim(&self, name: &str) -> Result<(), PluginError> {
        match self.find(name)? {
            Some(link) if link.alias.is_none() => self
                .0
                .set_alias(link.index, ALIAS)
                .map_err(failed(format!("mark {name}"))),
            _ => Ok(()),
        }
    }

    /// Whether there is a link of that name that is not marked as ours.
    pub(super) fn is_taken(&self, name: &str) -> Result<bool, PluginError> {
        let link = self.find(name)?;
        Ok(link.is_some_and(|link| link.alias.as_deref() != Some(ALIAS)))
    }

    /// Removes a link of ours that ovs-vswitchd has made and died over: its taps outlive it.
    pub(super) fn remove_abandoned(&self, name: &str) -> Result<(), PluginError> {
        match self.find(name)? {
            Some(link)
                if link.alias.as_deref() == Some(ALIAS)
                    && link.kind.as_deref() == Some("tun")
                    && !link.carrier =>
            {
                self.0
                    .delete_link(link.index)
                    .map_err(failed(format!("remove link {name}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a link is one end of a pair that we made; the other may be in another namespace by now.
    pub(super) fn is_paired(&self, name: &str) -> Result<bool, PluginError> {
        let link = self.find(name)?;
        Ok(link.is_some_and(|link| is_ours(&link)))
    }

    /// Makes a veth pair, or finishes one of ours; refuses links that are somebody else's.
    pub(super) fn pair(&self, one: &str, other: &str) -> Result<(), PluginError> {
        let doing = || format!("make the pair {one} and {other}");
        match (self.find(one)?, self.find(other)?) {
            (None, None) => self.0.create_veth(one, other).map_err(failed(doing()))?,
            (Some(first), _) if is_ours(&first) => {}
            (Some(first), Some(second)) if is_half_made(&first, &second) => {}
            (first, _) => {
                let taken = if first.is_some() { one } else { other };
                return Err(PluginError::failed(
                    doing(),
                    format!("a link `{taken}` is there and not ours; rename it, or this port"),
                ));
            }
        }
        for name in [one, other] {
            if let Some(link) = self.find(name)? {
                self.0
                    .set_alias(link.index, ALIAS)
                    .map_err(failed(doing()))?;
                self.up(&link)?;
            }
        }
        Ok(())
    }

    /// Removes a veth pair of ours.
    pub(super) fn unpair(&self, one: &str, other: &str) -> Result<(), PluginError> {
        let Some(link) = self.find(one)? else {
            return Ok(());
        };
        let half_made = match self.find(other)? {
            Some(other) => is_half_made(&link, &other),
            None => false,
        };
        if is_ours(&link) || half_made {
            let doing = format!("remove the pair {one} and {other}");
            self.0.delete_link(link.index).map_err(failed(doing))?;
        }
        Ok(())
    }
}

fn is_veth(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

fn is_ours(link: &Link) -> bool {
    is_veth(link) && link.alias.as_deref() == Some(ALIAS)
}

/// A pair that a crash left between its making and its mark: as the kernel makes them, still down.
fn is_half_made(one: &Link, other: &Link) -> bool {
    let bare = |link: &Link| is_veth(link) && !link.up && link.controller.is_none();
    let marked = |link: &Link| link.alias.as_deref().is_none_or(|alias| alias == ALIAS);
    one.peer == Some(other.index)
        && bare(other)
        && (bare(one) || is_ours(one))
        && marked(one)
        && marked(other)
}
