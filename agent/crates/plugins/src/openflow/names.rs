//! Which name a port number of a bridge has, and the other way round.

use std::collections::HashMap;

use declaration::{BridgeName, LinkName};
use openflow::{Port, PortNo};

/// The ports of one bridge.
#[derive(Debug, Default)]
pub(super) struct PortNames {
    numbers: HashMap<LinkName, PortNo>,
    names: HashMap<PortNo, LinkName>,
}

impl PortNames {
    /// From what the switch has and the numbers that are `fixed` for ports that are not there yet.
    /// What the switch says counts. The bridge's own port has the bridge's name.
    pub(super) fn new<'a>(
        bridge: &BridgeName,
        ports: &[Port],
        fixed: impl IntoIterator<Item = (&'a LinkName, &'a u16)>,
    ) -> Self {
        let mut all = Self::default();
        all.add(bridge.into(), PortNo::LOCAL);
        for port in ports {
            // A name that we could not declare stays a number.
            if let Ok(name) = port.name.parse() {
                all.add(name, port.number);
            }
        }
        for (name, number) in fixed {
            all.add(name.clone(), PortNo(u32::from(*number)));
        }
        all
    }

    fn add(&mut self, name: LinkName, number: PortNo) {
        if !self.numbers.contains_key(&name) && !self.names.contains_key(&number) {
            self.numbers.insert(name.clone(), number);
            self.names.insert(number, name);
        }
    }

    /// The number of a port.
    pub(super) fn number(&self, name: &LinkName) -> Option<PortNo> {
        self.numbers.get(name).copied()
    }

    /// The name of a port.
    pub(super) fn name(&self, number: PortNo) -> Option<&LinkName> {
        self.names.get(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u32, name: &str) -> Port {
        Port {
            number: PortNo(number),
            name: name.to_owned(),
            mac: [0; 6],
            link: true,
        }
    }

    #[test]
    fn the_switch_counts_before_the_fixed_numbers() {
        let bridge = "br0".parse().unwrap();
        let fixed: [(LinkName, u16); 3] = [
            ("moved".parse().unwrap(), 2000),
            ("taken".parse().unwrap(), 5),
            ("to-come".parse().unwrap(), 3000),
        ];
        let ports = [
            port(0xffff_fffe, "br0"),
            port(5, "eth0"),
            port(9, "moved"),
            port(10, "no name at all"),
        ];
        let fixed = fixed.iter().map(|(name, number)| (name, number));
        let names = PortNames::new(&bridge, &ports, fixed);
        let number = |name: &str| names.number(&name.parse().unwrap()).map(|port| port.0);
        assert_eq!(number("br0"), Some(PortNo::LOCAL.0));
        assert_eq!(number("eth0"), Some(5));
        assert_eq!(number("moved"), Some(9));
        assert_eq!(number("to-come"), Some(3000));
        // Its number belongs to another port, so a flow must not use it.
        assert_eq!(number("taken"), None);
        assert_eq!(names.name(PortNo(2000)), None);
        assert_eq!(names.name(PortNo(10)), None);
        assert_eq!(names.name(PortNo(5)).unwrap().as_str(), "eth0");
    }
}
