//! Names, sizes and other small values: what is taken, what is not, and that the schema agrees.
#![allow(clippy::unwrap_used)]

use std::str::FromStr;
use std::sync::LazyLock;

use declaration::{
    BridgeName, Compression, ContainerName, LinkName, MacAddr, Size, SubvolumeName, TemplateName,
    schema,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn taken<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

#[test]
fn names_of_links_are_those_of_the_kernel() {
    for name in [
        "eth0",
        "a",
        "_x",
        "eth0.100",
        "sock_web-01",
        "123456789012345",
        "br-lan",
        "a.b",
    ] {
        assert!(
            taken::<LinkName>(name) && taken::<BridgeName>(name),
            "{name}"
        );
    }
    for name in [
        "",
        ".",
        "..",
        "a..b",
        "-a",
        ".a",
        "a/b",
        "a b",
        "a:b",
        "a\tb",
        "a\n",
        "é",
        "all",
        "default",
        "1234567890123456",
        "a\0",
        "a;b",
        "$(a)",
        "a%d",
    ] {
        assert!(
            !taken::<LinkName>(name) && !taken::<BridgeName>(name),
            "{name:?}"
        );
    }
}

#[test]
fn names_of_containers_are_dns_labels() {
    let longest = "a".repeat(63);
    for name in ["a", "web-01", "0", "a--b", longest.as_str()] {
        assert!(taken::<ContainerName>(name), "{name}");
    }
    let too_long = "a".repeat(64);
    for name in [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "a.b",
        "a/b",
        "..",
        "a b",
        "ä",
        too_long.as_str(),
    ] {
        assert!(!taken::<ContainerName>(name), "{name:?}");
    }
}

#[test]
fn names_of_templates_and_subvolumes_stay_in_their_directory() {
    for name in ["debian-base", "a", "Alpine_3.20", "9"] {
        assert!(taken::<TemplateName>(name), "{name}");
        assert!(taken::<SubvolumeName>(&format!("@{name}")), "{name}");
        assert!(!taken::<SubvolumeName>(name), "{name}");
        assert!(!taken::<TemplateName>(&format!("@{name}")), "{name}");
    }
    for name in [
        "", ".", "..", ".trash", "a/b", "a/..", "-a", "a..b", "a b", "a\n",
    ] {
        assert!(!taken::<TemplateName>(name), "{name:?}");
        assert!(!taken::<SubvolumeName>(&format!("@{name}")), "{name:?}");
    }
}

#[test]
fn a_name_says_why_it_is_refused() {
    let said = |name: &str| name.parse::<BridgeName>().unwrap_err().to_string();
    assert!(said("a-very-long-bridge").ends_with("it has 18 characters, at most 15 are allowed"));
    assert!(said("my bridge").ends_with("it contains a space"));
    assert!(said("a\u{7}").ends_with(r"it contains `\u{7}`"));
}

#[test]
fn sizes_are_counted_in_mebibytes_unless_they_have_a_unit() {
    let bytes = |text: &str| text.parse::<Size>().map(Size::bytes).ok();
    assert_eq!(bytes("2048"), Some(2 << 30));
    assert_eq!(bytes("2GiB"), Some(2 << 30));
    assert_eq!(bytes("2 G"), Some(2 << 30));
    assert_eq!(bytes("512MiB"), Some(512 << 20));
    assert_eq!(bytes("1T"), Some(1 << 40));
    assert_eq!(bytes("3K"), Some(3072));
    assert_eq!(bytes("17B"), Some(17));
    assert_eq!(bytes("0"), Some(0));
    for text in [
        "", " ", "GiB", "2 ", " 2", "2  GiB", "2gib", "2GB", "-2", "+2", "1.5GiB", "2GiBs",
        "8388608T", "٣",
    ] {
        assert_eq!(bytes(text), None, "{text:?}");
    }
    assert_eq!(Size::from_mib(2048).to_string(), "2GiB");
    assert_eq!(Size::from_mib(1536).to_string(), "1536MiB");
    assert_eq!(Size::from_mib(0).to_string(), "0MiB");
    assert_eq!(Size::from_bytes(u64::MAX).bytes(), i64::MAX as u64);
    assert_eq!(Size::from_mib(u64::MAX).bytes(), i64::MAX as u64);
}

#[test]
fn compressions_are_those_of_btrfs() {
    for text in [
        "none", "lzo", "zlib", "zlib:1", "zlib:9", "zstd", "zstd:1", "zstd:15",
    ] {
        assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
    }
    for text in [
        "", "gzip", "zstd:", "zstd:0", "zstd:16", "zstd:03", "zlib:10", "lzo:1", "ZSTD", "zstd:-1",
        "none:1",
    ] {
        assert!(!taken::<Compression>(text), "{text}");
    }
}

#[test]
fn ethernet_addresses_are_six_pairs() {
    let address = MacAddr([0x02, 0xab, 0, 0, 0, 0xff]);
    assert_eq!(address.to_string(), "02:ab:00:00:00:ff");
    assert_eq!("02:AB:00:00:00:ff".parse(), Ok(address));
    for text in [
        "",
        "02:ab:00:00:00",
        "02:ab:00:00:00:ff:00",
        "2:ab:0:0:0:ff",
        "02-ab-00-00-00-ff",
        "+2:ab:00:00:00:ff",
    ] {
        assert!(!taken::<MacAddr>(text), "{text}");
    }
}

/// The schema of one kind of text, taken out of the whole.
fn pattern(pointer: &str) -> jsonschema::Validator {
    let schema = schema();
    let part: &Value = schema.pointer(pointer).unwrap();
    jsonschema::draft202012::new(&json!({ "type": "string", "pattern": part["pattern"] })).unwrap()
}

static SUBVOLUME: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Btrfs/properties/subvolumes/propertyNames"));
static BRIDGE: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Ovs/properties/bridges/propertyNames"));
static LINK: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Bridge/properties/ports/propertyNames"));
static TEMPLATE: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Lxc/properties/templates/propertyNames"));
static CONTAINER: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Lxc/properties/containers/propertyNames"));
static COMPRESSION: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Subvolume/properties/compression/anyOf/0"));
static MAC: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| pattern("/$defs/Match/properties/eth_src/anyOf/0"));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_schema_takes_the_same_names(
        text in r"(@|@\.|all|default|none|lzo|zstd|zlib)?[a-zA-Z0-9@_.:/ -]{0,8}[a-z.-]{0,70}|.{0,3}|([0-9a-fA-F]{1,2}:){5,6}[0-9a-f]{1,2}"
    ) {
        let document = Value::from(text.as_str());
        prop_assert_eq!(taken::<SubvolumeName>(&text), SUBVOLUME.is_valid(&document));
        prop_assert_eq!(taken::<BridgeName>(&text), BRIDGE.is_valid(&document));
        prop_assert_eq!(taken::<LinkName>(&text), LINK.is_valid(&document));
        prop_assert_eq!(taken::<TemplateName>(&text), TEMPLATE.is_valid(&document));
        prop_assert_eq!(taken::<ContainerName>(&text), CONTAINER.is_valid(&document));
        prop_assert_eq!(taken::<Compression>(&text), COMPRESSION.is_valid(&document));
        prop_assert_eq!(taken::<MacAddr>(&text), MAC.is_valid(&document));
    }

    #[test]
    fn a_name_is_itself_in_text_and_json(text in "[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?") {
        let name: ContainerName = text.parse().unwrap();
        prop_assert_eq!(name.to_string(), text.as_str());
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(serde_json::from_str::<ContainerName>(&json).unwrap(), name);
    }

    #[test]
    fn a_size_is_displayed_as_it_is_read(bytes in 0..=i64::MAX as u64, unit in 0..4u32) {
        let size = Size::from_bytes(bytes >> (10 * unit) << (10 * unit));
        prop_assert_eq!(size.to_string().parse(), Ok(size));
    }
}

#[test]
fn names_are_checked_when_they_are_deserialized() {
    assert!(serde_json::from_str::<LinkName>("\"eth/0\"").is_err());
    assert!(serde_json::from_str::<Size>("\"2 GB\"").is_err());
    assert!(serde_json::from_str::<MacAddr>("\"02\"").is_err());
}
