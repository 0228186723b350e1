//! Walks over peers that mean harm, or are broken, on a real bus.
#![allow(clippy::unwrap_used)]

mod peer;

use std::collections::HashMap;

use introspect::dbus::{Limits, Reason, Tree, WalkError, survey, walk};
use peer::{Answer, impatient, lab, node, patient, roomy_lab};
use zbus::names::BusName;
use zbus::{Message, ObjectPath, Variant};

fn reasons(tree: &Tree) -> Vec<Reason> {
    tree.truncated.iter().map(|cut| cut.reason).collect()
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.objects
        .iter()
        .map(|object| object.path.as_str())
        .collect()
}

#[test]
fn an_endless_tree_ends_at_the_depth() {
    let Some(lab) = lab() else { return };
    let mut last = 0;
    let peer = lab.peer("org.example.Endless", move |_, _| {
        last += 1;
        Answer::Xml(node(&[&format!("n{last}")]))
    });
    let tree = lab.walk("org.example.Endless", &Limits::default());
    assert_eq!(reasons(&tree), [Reason::Depth]);
    assert_eq!(tree.objects.len(), Limits::default().depth + 1);
    assert_eq!(peer.calls(), tree.objects.len());
}

#[test]
fn a_tree_that_grows_at_every_object_ends_at_the_number() {
    let Some(lab) = lab() else { return };
    let peer = lab.peer("org.example.Bush", |_, _| {
        Answer::Xml(node(&["a", "b", "c", "d", "e", "f", "g", "h"]))
    });
    let limits = Limits {
        objects: 50,
        ..Limits::default()
    };
    let tree = lab.walk("org.example.Bush", &limits);
    assert_eq!(reasons(&tree), [Reason::Objects]);
    assert_eq!((tree.objects.len(), peer.calls()), (50, 50));
}

#[test]
fn cyclic_and_absurd_paths_are_not_followed() {
    let Some(lab) = lab() else { return };
    let long = "x".repeat(100_000);
    let peer = lab.peer("org.example.Odd", move |path, _| match path {
        "/" => Answer::Xml(node(&[
            "..", "/", "", "../..", "a", "a", "a/", "/a", "ä", &long,
        ])),
        _ => Answer::Xml("<node name='/'><node name='/a'/><node name='.'/></node>".to_owned()),
    });
    let tree = lab.walk("org.example.Odd", &Limits::default());
    assert_eq!(paths(&tree), ["/", "/a"]);
    assert_eq!(peer.calls(), 2);
    assert!(tree.truncated.is_empty());
    assert!(tree.faults.len() >= 9, "{:?}", tree.faults);
    assert!(tree.faults.iter().all(|fault| fault.text.len() < 300));
}

#[test]
fn fifty_megabytes_of_xml_are_refused_and_the_others_are_read() {
    let Some(lab) = roomy_lab() else { return };
    lab.peer("org.example.Large", large);
    let tree = lab.walk("org.example.Large", &patient());
    assert_eq!(paths(&tree), ["/", "/huge", "/small"]);
    assert_eq!(tree.faults.len(), 1);
    assert_eq!(tree.faults[0].path, "/huge");
    assert!(
        tree.faults[0].text.contains("52428813 bytes"),
        "{:?}",
        tree.faults
    );
}

#[test]
fn a_peer_that_the_bus_throws_out_is_gone() {
    let Some(lab) = lab() else { return };
    lab.peer("org.example.Large", large);
    let tree = lab.walk("org.example.Large", &patient());
    assert_eq!(
        (paths(&tree), reasons(&tree)),
        (vec!["/"], vec![Reason::Gone])
    );
}

fn large(path: &str, _: &str) -> Answer {
    match path {
        "/" => Answer::Xml(node(&["huge", "small"])),
        "/huge" => Answer::Xml(format!("<node>{}</node>", " ".repeat(50 << 20))),
        _ => Answer::Xml(node(&[])),
    }
}

#[test]
fn objects_that_say_something_new_again_and_again_end_at_the_bytes() {
    let Some(lab) = lab() else { return };
    let children: Vec<_> = (0..100).map(|number| format!("n{number}")).collect();
    lab.peer("org.example.Talker", move |path, _| match path {
        "/" => Answer::Xml(node(
            &children.iter().map(String::as_str).collect::<Vec<_>>(),
        )),
        path => Answer::Xml(format!(
            "<node><interface name='a.{}'><doc>{}</doc></interface></node>",
            &path[1..],
            " ".repeat(100_000)
        )),
    });
    let limits = Limits {
        bytes: 1_000_000,
        ..Limits::default()
    };
    let tree = lab.walk("org.example.Talker", &limits);
    assert_eq!(reasons(&tree), [Reason::Bytes]);
    assert_eq!(tree.objects.len(), 11);
}

#[test]
fn what_is_no_xml_is_a_fault_of_its_object_alone() {
    let Some(lab) = lab() else { return };
    lab.peer("org.example.Garbage", |path, _| match path {
        "/" => Answer::Xml(node(&["a", "b", "c", "d"])),
        "/a" => Answer::Xml("\u{1}\u{2}<<<".to_owned()),
        "/b" => Answer::Unknown,
        "/c" => Answer::Body(Box::new(|call| {
            Message::method_return(&call.header())
                .build(&(7_u32,))
                .unwrap()
        })),
        _ => Answer::Xml(node(&[])),
    });
    let tree = lab.walk("org.example.Garbage", &Limits::default());
    assert_eq!(tree.objects.len(), 5);
    let faulty: Vec<_> = tree
        .faults
        .iter()
        .map(|fault| fault.path.as_str())
        .collect();
    assert_eq!(faulty, ["/a", "/b", "/c"]);
    assert!(
        tree.faults[1].text.contains("UnknownMethod"),
        "{:?}",
        tree.faults
    );
}

#[test]
fn a_name_that_vanishes_in_the_middle_ends_its_walk_and_no_other() {
    let Some(lab) = lab() else { return };
    lab.peer("org.example.Brief", |path, _| match path {
        "/" => Answer::Xml(node(&["a", "b", "c"])),
        "/a" => Answer::Xml(node(&[])),
        _ => Answer::Leave,
    });
    lab.peer("org.example.Steady", |_, _| Answer::Xml(node(&[])));
    let tree = lab.walk("org.example.Brief", &Limits::default());
    assert_eq!(reasons(&tree), [Reason::Gone]);
    assert_eq!(paths(&tree), ["/", "/a"]);
    assert_eq!(
        lab.walk("org.example.Steady", &Limits::default())
            .objects
            .len(),
        1
    );
    let connection = lab.connect();
    let service = BusName::try_from("org.example.Brief").unwrap();
    let root = ObjectPath::try_from("/").unwrap();
    let limits = Limits::default();
    let again = lab
        .runtime
        .block_on(walk(&connection, &service, &root, &limits, &|_, _| true));
    assert!(matches!(again, Err(WalkError::NotRunning(_))), "{again:?}");
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let Some(lab) = lab() else { return };
    let peer = lab.peer("org.example.Mute", |path, _| match path {
        "/" => Answer::Xml(node(&["a", "b"])),
        _ => Answer::Silence,
    });
    let tree = lab.walk("org.example.Mute", &impatient());
    assert_eq!(reasons(&tree), [Reason::Hung]);
    assert!(
        tree.truncated[0].text.contains("/a"),
        "{:?}",
        tree.truncated
    );
    assert_eq!(peer.calls(), 2);
}

#[test]
fn a_walk_is_stopped_by_whoever_asked_for_it() {
    let Some(lab) = lab() else { return };
    let peer = lab.peer("org.example.Bush", |_, _| Answer::Xml(node(&["a", "b"])));
    let connection = lab.connect();
    let service = BusName::try_from("org.example.Bush").unwrap();
    let root = ObjectPath::try_from("/").unwrap();
    let limits = Limits::default();
    let walk = walk(&connection, &service, &root, &limits, &|_, done| done < 5);
    let tree = lab.runtime.block_on(walk).unwrap();
    assert_eq!(reasons(&tree), [Reason::Stopped]);
    assert_eq!(peer.calls(), 5);
}

#[test]
fn two_thousand_managed_objects_take_a_handful_of_calls() {
    let Some(lab) = lab() else { return };
    const ITEM: &str =
        "<node><interface name='org.example.Item'><method name='Poke'/></interface></node>";
    let peer = lab.peer("org.example.Store", |path, member| match (path, member) {
        ("/", "Introspect") => Answer::Xml(
            "<node><interface name='org.freedesktop.DBus.ObjectManager'/>\
             <node name='items'/></node>"
                .to_owned(),
        ),
        (_, "GetManagedObjects") => Answer::Body(Box::new(managed)),
        ("/items", _) => Answer::Xml(node(&[])),
        _ => Answer::Xml(ITEM.to_owned()),
    });
    let limits = Limits {
        objects: 5000,
        ..Limits::default()
    };
    let tree = lab.walk("org.example.Store", &limits);
    assert_eq!(tree.objects.len(), 2002);
    assert_eq!((tree.truncated.len(), tree.faults.len()), (0, 0));
    assert_eq!(peer.calls(), 4);
    let last = tree.objects.last().unwrap();
    assert_eq!(last.interfaces[0].methods[0].name.as_str(), "Poke");
    let tree = lab.walk("org.example.Store", &Limits::default());
    assert_eq!(
        (tree.objects.len(), reasons(&tree)),
        (200, vec![Reason::Objects])
    );
}

/// 2000 items below `/items`, and the manager itself, which it may list as well.
fn managed(call: &Message) -> Message {
    let properties = HashMap::from([("Level", Variant::from(7_u32))]);
    let mut objects: HashMap<ObjectPath<'_>, HashMap<&str, HashMap<&str, Variant<'_>>>> = (0..2000)
        .map(|number| {
            let path = ObjectPath::try_from(format!("/items/n{number}")).unwrap();
            let properties = properties
                .iter()
                .map(|(name, value)| (*name, value.try_clone().unwrap()));
            (
                path,
                HashMap::from([("org.example.Item", properties.collect())]),
            )
        })
        .collect();
    objects.insert(ObjectPath::try_from("/").unwrap(), HashMap::new());
    Message::method_return(&call.header())
        .build(&(objects,))
        .unwrap()
}

#[test]
fn a_bus_full_of_hostile_peers_is_surveyed_and_the_good_one_is_seen() {
    let Some(lab) = lab() else { return };
    let mut last = 0;
    lab.peer("org.example.Endless", move |_, _| {
        last += 1;
        Answer::Xml(node(&[&format!("n{last}")]))
    });
    lab.peer("org.example.Mute", |_, _| Answer::Silence);
    lab.peer("org.example.Brief", |path, _| match path {
        "/" => Answer::Xml(node(&["a"])),
        _ => Answer::Leave,
    });
    lab.peer("org.example.Good", |path, _| match path {
        "/" => Answer::Xml(node(&["a", "b"])),
        _ => Answer::Xml(node(&[])),
    });
    let connection = lab.connect();
    let limits = impatient();
    let survey = survey(&connection, &limits, &|_, _| true);
    let seen = lab.runtime.block_on(survey).unwrap();
    let tree = |name: &str| seen[name].as_ref().unwrap();
    assert_eq!(reasons(tree("org.example.Endless")), [Reason::Depth]);
    assert_eq!(reasons(tree("org.example.Mute")), [Reason::Hung]);
    assert_eq!(reasons(tree("org.example.Brief")), [Reason::Gone]);
    assert_eq!(paths(tree("org.example.Good")), ["/", "/a", "/b"]);
    assert!(seen.contains_key("org.freedesktop.DBus"));
}
