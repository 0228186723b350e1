//! The host's end of a container's link.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use netlink::{LinkName, Netlink};
use ovsdb::{Client, Operation, Tables, Value, Where};
use reconcile::PluginError;

use crate::ovs::DATABASE;

/// How long the switch may take to take a new link in.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a switch takes a new link in by itself; then it is told to.
const BY_ITSELF: Duration = Duration::from_millis(100);
/// The last number of a port, just below `OFPP_MAX` (OpenFlow 1.3 §A.2.1); containers have smaller ones.
const HIGHEST: i64 = 0xfeff;
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Sets a port up after the switch has taken it in.
///
/// ovs-vswitchd reads a new link's flags, adds one, and writes them back: what LXC set in between is lost.
/// Where no switch takes the link in, it is set up after a while all the same.
///
/// A switch in user space goes on reading from a link that is gone after another has come in its place, which
/// happens when a container is started again: with `database`, the socket of its database, it is told to look.
pub(super) fn set_up(port: &str, database: Option<&Path>) -> Result<(), PluginError> {
    let failed = |error| PluginError::failed(format!("set {port} up"), error);
    let port: LinkName = port.parse().map_err(failed)?;
    let netlink = Netlink::open().map_err(failed)?;
    let begun = Instant::now();
    let deadline = begun + PATIENCE;
    let mut database = database;
    loop {
        let link = netlink.link(port.as_str()).map_err(failed)?;
        let late = Instant::now() >= deadline;
        match link {
            Some(link) if link.promiscuous || late => {
                return netlink.set_up(link.index).map_err(failed);
            }
            None if late => return Ok(()),
            Some(_) if begun.elapsed() > BY_ITSELF && database.is_some() => {
                let told = database
                    .take()
                    .map(|database| open_again(database, port.as_str()));
                if let Some(Err(error)) = told {
                    log::warn!(
                        "the switch was not told that {} is another link: {error}",
                        port.as_str()
                    );
                }
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// Lets the switch close a port's link and open it again, by giving the port another number for a moment
/// (`ofport_request`, ovs-vswitchd.conf.db(5)).
fn open_again(database: &Path, port: &str) -> Result<(), ovsdb::Error> {
    let client = Client::connect(database, PATIENCE)?;
    let columns: &[&str] = &["name", "ofport", "ofport_request"];
    client.monitor(DATABASE, &[("Interface", columns)])?;
    let find = |tables: &Tables| {
        let name = Value::of(port);
        let mut rows = tables.rows("Interface");
        let (id, row) = rows.find(|(_, row)| row.get("name") == Some(&name))?;
        Some((
            id.clone(),
            row.get("ofport")?.clone(),
            row.get("ofport_request")?.clone(),
        ))
    };
    let Some((id, number, wanted)) = client.wait_for(PATIENCE, find)? else {
        return Ok(());
    };
    let ask = |number: Value| {
        let update = Operation::Update {
            table: "Interface",
            rows: Where::uuid(&id),
            row: BTreeMap::from([("ofport_request", number)]),
        };
        client.transact(DATABASE, &[update]).map(drop)
    };
    ask(Value::of(HIGHEST))?;
    let has_moved = client.wait_for(PATIENCE, |tables| {
        find(tables).filter(|(_, now, _)| *now != number)
    });
    // Whatever came of it, the port keeps its own number.
    ask(wanted)?;
    has_moved.map(drop)
}

/// Lets the port answer no question for an address of the host (`arp_ignore`, Linux
/// Documentation/networking/ip-sysctl.rst).
///
/// A switch in user space gets copies of packets, and the kernel sees them too: it would answer for the
/// bridge's address on the port, and drop as misdirected what a container then sends there.
pub(super) fn keep_from_answering(port: &str) -> Result<(), PluginError> {
    let failed = |error| PluginError::failed(format!("keep {port} from answering"), error);
    let port: LinkName = port.parse().map_err(failed)?;
    let setting = format!("/proc/sys/net/ipv4/conf/{port}/arp_ignore");
    // Without it the container still works, but for a strict packet filter on the host.
    if let Err(error) = std::fs::write(&setting, "8") {
        log::warn!("{setting}: {error}");
    }
    Ok(())
}
