//! What is on the machine: services on the bus, hardware, software, file systems, what runs, sessions, network.

mod bus;

use std::path::Path;
use std::sync::Arc;

use introspect::dbus::{Scanners, Sessions, Which};
use introspect::host;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Introspection;
    let scanners = Arc::new(Scanners::default());
    let sessions = Arc::clone(&scanners);
    let mut tools = bus::tools(&scanners);
    tools.extend([
        Tool::read(
            domain,
            "introspect_hardware",
            "Look at the hardware",
            "Shows what the machine is made of: make and firmware, virtualisation, processors, memory, NUMA nodes, block \
             devices, PCI, USB, network cards and sensors. What could not be found out is in `unknown`.",
            |_: &Call<'_>, _: Nothing| Ok(host::hardware(Path::new("/"))),
        )
.says(&["what hardware is there?", "show the hardware", "list pci devices"])
        .example(json!({})),
        Tool::read(
            domain,
            "introspect_software",
            "Look at the software",
            "Shows the operating system, the kernel, how many packages there are, the running generation on NixOS, and the \
             programs that the agent works with.",
            |_: &Call<'_>, _: Nothing| Ok(host::software(Path::new("/"))),
        )
.says(&["what software is this?", "which operating system is it?", "linux version"])
        .example(json!({})),
        Tool::read(
            domain,
            "introspect_filesystems",
            "Look at the file systems",
            "Shows what is mounted and how full it is, and the devices, profiles and subvolumes of btrfs. Network file \
             systems are listed but not asked, since they may not answer.",
            |_: &Call<'_>, _: Nothing| Ok(host::filesystems()),
        )
.says(&["how full are the disks?", "disk usage", "list filesystems"])
        .example(json!({})),
        Tool::read(
            domain,
            "introspect_runtime",
            "Look at what runs",
            "Shows load, pressure, a summary of processes, limits, control groups, namespaces and containers.",
            |call: &Call<'_>, _: Nothing| {
                let seen = host::runtime(&|total, done| {
                    call.progress("looking at processes", done, total);
                    call.check().is_ok()
                });
                call.check()?;
                Ok(seen)
            },
        )
.says(&["show load and pressure", "is the host busy?", "show cgroups"])
        .example(json!({})),
        Tool::read(
            domain,
            "introspect_sessions",
            "Look at sessions",
            "Shows who is logged in and from where, as systemd-logind knows it. Logind is not started for that.",
            move |_: &Call<'_>, _: Nothing| who(&sessions),
        )
.says(&["inspect the sessions", "examine login sessions"])
        .example(json!({})),
        Tool::read(
            domain,
            "introspect_network",
            "Look at the network",
            "Shows links with addresses and what they carried, routes, sockets that listen, and name servers.",
            |_: &Call<'_>, _: Nothing| Ok(host::network()),
        )
.says(&["which ports are listening?", "show dns servers", "listening sockets"])
        .example(json!({})),
    ]);
    tools
}

fn who(scanners: &Scanners) -> Result<Sessions, ToolError> {
    match scanners.of(Which::System) {
        Ok(scanner) => Ok(scanner.sessions()?),
        Err(error) => Ok(Sessions {
            unknown: vec![error.to_string()],
            ..Sessions::default()
        }),
    }
}
