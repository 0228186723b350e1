//! What the machine is made of, from sysfs (sysfs(5)) and procfs.

use std::collections::BTreeMap;
use std::path::Path;

use numa::Topology;
use schemars::JsonSchema;
use serde::Serialize;

use super::look::{Look, Unknown, kilobytes};

/// What the machine is made of. Serial numbers are not part of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Hardware {
    /// What it is, as its firmware says (`/sys/class/dmi/id`).
    pub machine: Machine,
    /// What it runs in, where the kernel or the firmware says so: `kvm`, `xen`, `vmware`, `container` and so on.
    pub virtualisation: Option<String>,
    /// Its processors.
    pub processors: Processors,
    /// Its memory.
    pub memory: Memory,
    /// Parts of the memory with the processors that are near.
    pub numa_nodes: Vec<NumaNode>,
    /// Disks and the like.
    pub block_devices: Vec<BlockDevice>,
    /// Devices on PCI.
    pub pci: Vec<PciDevice>,
    /// Devices on USB.
    pub usb: Vec<UsbDevice>,
    /// Network cards: network devices that have hardware behind them.
    pub network_cards: Vec<NetworkCard>,
    /// What is measured.
    pub sensors: Vec<Sensor>,
    /// What could not be found out.
    pub unknown: Vec<Unknown>,
}

/// A machine and its firmware.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Machine {
    /// Who made it.
    pub vendor: Option<String>,
    /// What it is called.
    pub product: Option<String>,
    /// Its board.
    pub board: Option<String>,
    /// How it was started: `uefi`, or `bios` where the firmware describes itself without that; none where it does not.
    pub firmware: Option<&'static str>,
    /// Who made the firmware.
    pub firmware_vendor: Option<String>,
    /// The firmware's version.
    pub firmware_version: Option<String>,
    /// The firmware's date.
    pub firmware_date: Option<String>,
}

/// Processors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Processors {
    /// The architecture that this program was built for.
    pub architecture: &'static str,
    /// What they are called.
    pub model: Option<String>,
    /// Who made them.
    pub vendor: Option<String>,
    /// Those that work now, as ranges, such as `0-3`.
    pub online: Option<String>,
    /// Processors that programs see.
    pub threads: usize,
    /// Processor cores.
    pub cores: usize,
    /// Processor chips.
    pub sockets: usize,
    /// The highest speed of the first one, in kHz.
    pub max_khz: Option<u64>,
}

/// Memory, in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Memory {
    /// What the kernel has of it.
    pub total_bytes: Option<u64>,
    /// All swap space.
    pub swap_bytes: Option<u64>,
    /// The usual size of a huge page.
    pub huge_page_bytes: Option<u64>,
}

/// A part of the memory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NumaNode {
    /// Its name, such as `node0`.
    pub name: String,
    /// Processors that are near, as ranges.
    pub processors: Option<String>,
    /// Its size.
    pub total_bytes: Option<u64>,
    /// What of it is free.
    pub free_bytes: Option<u64>,
    /// How far each node is, itself included: 10 is local, 20 takes twice as long.
    pub distances: BTreeMap<String, u32>,
}

/// A device that holds blocks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlockDevice {
    /// Its name below `/dev`.
    pub name: String,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// What it is called.
    pub model: Option<String>,
    /// Whether it turns.
    pub rotational: Option<bool>,
    /// Whether it can be taken out.
    pub removable: Option<bool>,
    /// Whether it cannot be written.
    pub read_only: Option<bool>,
    /// Its partitions.
    pub partitions: Vec<Partition>,
}

/// A part of a block device.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Partition {
    /// Its name below `/dev`.
    pub name: String,
    /// Its size.
    pub size_bytes: Option<u64>,
}

/// A device on PCI. Classes, vendors and devices are numbers, as lspci(8) has names for them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PciDevice {
    /// Where it is.
    pub address: String,
    /// Its class.
    pub class: Option<String>,
    /// Its vendor.
    pub vendor: Option<String>,
    /// What it is.
    pub device: Option<String>,
    /// The driver that serves it.
    pub driver: Option<String>,
}

/// A device on USB.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsbDevice {
    /// Where it is.
    pub address: String,
    /// Its vendor, as a number.
    pub vendor_id: Option<String>,
    /// What it is, as a number.
    pub product_id: Option<String>,
    /// Who made it, as it says itself.
    pub manufacturer: Option<String>,
    /// What it is, as it says itself.
    pub product: Option<String>,
    /// Its speed, in Mbit/s.
    pub mbit: Option<f64>,
}

/// A network card.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NetworkCard {
    /// Its link.
    pub name: String,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// Its speed, in Mbit/s; none while it is not connected.
    pub mbit: Option<u64>,
}

/// A value that is measured.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sensor {
    /// The chip.
    pub chip: String,
    /// What is measured.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Its unit: `°C`, `V`, `A`, `W` or `rpm`.
    pub unit: &'static str,
}

/// Looks at the hardware of the machine whose files are below `root`: `/` for this one.
pub fn hardware(root: &Path) -> Hardware {
    let mut look = Look::at(root);
    let look_at = &mut look;
    Hardware {
        machine: machine(look_at),
        virtualisation: virtualisation(look_at),
        processors: processors(look_at),
        memory: memory(look_at),
        numa_nodes: numa_nodes(look_at),
        block_devices: block_devices(look_at),
        pci: pci(look_at),
        usb: usb(look_at),
        network_cards: network_cards(look_at),
        sensors: sensors(look_at),
        unknown: look.unknown(),
    }
}

fn machine(look: &mut Look) -> Machine {
    let mut dmi = |name: &str| look.line(&format!("/sys/class/dmi/id/{name}"));
    let (vendor, product, board) = (dmi("sys_vendor"), dmi("product_name"), dmi("board_name"));
    let (firmware_vendor, firmware_version) = (dmi("bios_vendor"), dmi("bios_version"));
    let firmware_date = dmi("bios_date");
    let uefi = look.path("/sys/firmware/efi").exists();
    Machine {
        vendor,
        product: product.or_else(|| look.line("/proc/device-tree/model")),
        board,
        firmware: match (uefi, firmware_vendor.is_some()) {
            (true, _) => Some("uefi"),
            (false, true) => Some("bios"),
            (false, false) => None,
        },
        firmware_vendor,
        firmware_version,
        firmware_date,
    }
}

/// As far as plain files tell; whoever wants to hide it can.
fn virtualisation(look: &mut Look) -> Option<String> {
    if look.path("/run/.containerenv").exists() || look.path("/.dockerenv").exists() {
        return Some("container".to_owned());
    }
    if look.path("/proc/vz").exists() && !look.path("/proc/bc").exists() {
        return Some("openvz".to_owned());
    }
    if let Some(kind) = look.line("/sys/hypervisor/type") {
        return Some(kind);
    }
    let maker = look
        .line("/sys/class/dmi/id/sys_vendor")
        .unwrap_or_default();
    let product = look
        .line("/sys/class/dmi/id/product_name")
        .unwrap_or_default();
    let text = format!("{maker} {product}").to_lowercase();
    const KNOWN: [(&str, &str); 9] = [
        ("kvm", "kvm"),
        ("qemu", "qemu"),
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        ("microsoft corporation virtual", "hyperv"),
        ("xen", "xen"),
        ("bochs", "bochs"),
        ("amazon ec2", "amazon"),
        ("google", "google"),
    ];
    let known = KNOWN.iter().find(|(word, _)| text.contains(word));
    if let Some((_, kind)) = known {
        return Some((*kind).to_owned());
    }
    let flags = look.text("/proc/cpuinfo")?;
    flags.contains(" hypervisor").then(|| "virtual".to_owned())
}

fn processors(look: &mut Look) -> Processors {
    let text = look.text("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(key, _)| names.contains(&key.trim()));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let mut chips = std::collections::BTreeSet::new();
    let mut cores = std::collections::BTreeSet::new();
    let mut threads = 0;
    for name in look.names("/sys/devices/system/cpu") {
        let number = name
            .strip_prefix("cpu")
            .and_then(|rest| rest.parse::<u32>().ok());
        if number.is_none() {
            continue;
        }
        let topology = format!("/sys/devices/system/cpu/{name}/topology");
        let chip: Option<i64> = look.number(&format!("{topology}/physical_package_id"));
        let core: Option<i64> = look.number(&format!("{topology}/core_id"));
        threads += 1;
        chips.extend(chip);
        cores.extend(core.map(|core| (chip, core)));
    }
    Processors {
        architecture: std::env::consts::ARCH,
        model: field(&["model name", "Model", "cpu model"]),
        vendor: field(&["vendor_id", "CPU implementer"]),
        online: look.line("/sys/devices/system/cpu/online"),
        threads,
        cores: cores.len(),
        sockets: chips.len(),
        max_khz: look.number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"),
    }
}

fn memory(look: &mut Look) -> Memory {
    let text = look.text("/proc/meminfo").unwrap_or_default();
    Memory {
        total_bytes: kilobytes(&text, "MemTotal"),
        swap_bytes: kilobytes(&text, "SwapTotal"),
        huge_page_bytes: kilobytes(&text, "Hugepagesize"),
    }
}

fn numa_nodes(look: &mut Look) -> Vec<NumaNode> {
    const BASE: &str = "/sys/devices/system/node";
    if !look.path(BASE).join("online").exists() {
        return Vec::new();
    }
    let topology = match Topology::read(&look.path(BASE)) {
        Ok(topology) => topology,
        Err(error) => {
            look.miss(BASE, error);
            return Vec::new();
        }
    };
    let nodes = topology.nodes().iter().map(|node| NumaNode {
        name: format!("node{}", node.id),
        processors: (!node.cpus.is_empty()).then(|| node.cpus.to_string()),
        total_bytes: Some(node.memory),
        free_bytes: Some(node.free),
        distances: node
            .distances
            .iter()
            .map(|(other, distance)| (format!("node{other}"), *distance))
            .collect(),
    });
    nodes.collect()
}

/// The kernel counts in sectors of 512 bytes, whatever the device does (Documentation/ABI/stable/sysfs-block).
fn size(look: &mut Look, path: &str) -> Option<u64> {
    look.number::<u64>(&format!("{path}/size"))?
        .checked_mul(512)
}

fn block_devices(look: &mut Look) -> Vec<BlockDevice> {
    let names = look.names("/sys/block");
    let names = look.cut("block devices", names);
    let mut devices = Vec::new();
    for name in names {
        let path = format!("/sys/block/{name}");
        let size_bytes = size(look, &path);
        // Loop devices and the like that nothing is behind.
        if size_bytes == Some(0) {
            continue;
        }
        let inside = look.names(&path);
        let parts = inside.into_iter().filter(|part| {
            part.starts_with(&name) && look.path(&format!("{path}/{part}/partition")).exists()
        });
        let parts: Vec<_> = parts.collect();
        devices.push(BlockDevice {
            size_bytes,
            model: look.line(&format!("{path}/device/model")),
            rotational: look.flag(&format!("{path}/queue/rotational")),
            removable: look.flag(&format!("{path}/removable")),
            read_only: look.flag(&format!("{path}/ro")),
            partitions: parts
                .into_iter()
                .map(|part| Partition {
                    size_bytes: size(look, &format!("{path}/{part}")),
                    name: part,
                })
                .collect(),
            name,
        });
    }
    devices
}

fn pci(look: &mut Look) -> Vec<PciDevice> {
    let names = look.names("/sys/bus/pci/devices");
    let names = look.cut("devices on PCI", names);
    let device = |address: String| {
        let path = format!("/sys/bus/pci/devices/{address}");
        PciDevice {
            class: look.line(&format!("{path}/class")),
            vendor: look.line(&format!("{path}/vendor")),
            device: look.line(&format!("{path}/device")),
            driver: look.target(&format!("{path}/driver")),
            address,
        }
    };
    names.into_iter().map(device).collect()
}

fn usb(look: &mut Look) -> Vec<UsbDevice> {
    let mut names = look.names("/sys/bus/usb/devices");
    // The others are the interfaces of a device.
    names.retain(|name| !name.contains(':'));
    let names = look.cut("devices on USB", names);
    let device = |address: String| {
        let path = format!("/sys/bus/usb/devices/{address}");
        UsbDevice {
            vendor_id: look.line(&format!("{path}/idVendor")),
            product_id: look.line(&format!("{path}/idProduct")),
            manufacturer: look.line(&format!("{path}/manufacturer")),
            product: look.line(&format!("{path}/product")),
            mbit: look.number(&format!("{path}/speed")),
            address,
        }
    };
    names.into_iter().map(device).collect()
}

fn network_cards(look: &mut Look) -> Vec<NetworkCard> {
    let mut names = look.names("/sys/class/net");
    names.retain(|name| look.path(&format!("/sys/class/net/{name}/device")).exists());
    let card = |name: String| {
        let path = format!("/sys/class/net/{name}");
        // A link that is down has -1, or refuses to say.
        NetworkCard {
            driver: look.target(&format!("{path}/device/driver")),
            mbit: look.number(&format!("{path}/speed")),
            name,
        }
    };
    names.into_iter().map(card).collect()
}

/// Documentation/hwmon/sysfs-interface.rst: kinds of inputs, their units, and what to divide by.
const INPUTS: [(&str, &str, f64); 5] = [
    ("temp", "°C", 1e3),
    ("in", "V", 1e3),
    ("curr", "A", 1e3),
    ("power", "W", 1e6),
    ("fan", "rpm", 1.0),
];

fn sensors(look: &mut Look) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    for monitor in look.names("/sys/class/hwmon") {
        let path = format!("/sys/class/hwmon/{monitor}");
        let chip = look.line(&format!("{path}/name")).unwrap_or(monitor);
        for file in look.names(&path) {
            let Some(input) = file.strip_suffix("_input") else {
                continue;
            };
            let kind = input.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let Some((_, unit, divisor)) = INPUTS.iter().find(|(name, ..)| *name == kind) else {
                continue;
            };
            let Some(raw) = look.number::<f64>(&format!("{path}/{file}")) else {
                continue;
            };
            let label = look.line(&format!("{path}/{input}_label"));
            sensors.push(Sensor {
                chip: chip.clone(),
                label: label.unwrap_or_else(|| input.to_owned()),
                value: raw / divisor,
                unit,
            });
        }
    }
    look.cut("sensors", sensors)
}
