use proptest::prelude::*;

use super::super::{Access, Direction, EmitsChanged};
use super::*;

const REAL: &str = r#"<?xml version="1.0"?>
<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node name="/org/example" xmlns:doc="http://www.freedesktop.org/dbus/1.0/doc.dtd">
 <doc:doc><doc:summary>An   example</doc:summary> of <doc:para>a &lt;node&gt; &amp; more</doc:para></doc:doc>
 <interface name="org.example.One">
  <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="invalidates"/>
  <method name="Do">
   <annotation name="org.gtk.GDBus.DocString" value="Does &quot;it&quot;."/>
   <annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
   <annotation name="org.freedesktop.systemd1.Privileged" value="true"/>
   <arg name="what" type="a{sv}" direction="in"/>
   <arg type="(uo)" direction="out"/>
   <arg type="as"/>
  </method>
  <method name="Tell"><annotation name="org.freedesktop.DBus.Method.NoReply" value="true"/></method>
  <signal name="Done"><arg name="how" type="s"/><arg type="u" direction="in"/></signal>
  <property name="Level" type="t" access="read"/>
  <property name="Fixed" type="s" access="readwrite">
   <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
  </property>
 </interface>
 <node name="child"/>
 <node name="inline/deep"><interface name="org.example.Two"/></node>
</node>"#;

fn parsed(text: &str) -> Parsed {
    parse(text, &Limits::default()).unwrap()
}

fn within(body: &str) -> Parsed {
    parsed(&format!(
        "<node><interface name='a.b'>{body}</interface></node>"
    ))
}

#[test]
fn everything_that_a_peer_says_of_an_object_is_kept() {
    let Parsed { node, warnings } = parsed(REAL);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(node.doc.as_deref(), Some("An example of a <node> & more"));
    let names: Vec<_> = node.children.iter().map(|child| &child.name).collect();
    assert_eq!(names, ["child", "inline/deep"]);
    assert_eq!(node.children[1].interfaces[0].name.as_str(), "org.example.Two");
    let [one] = &node.interfaces[..] else { panic!() };
    let action = &one.methods[0];
    assert_eq!(action.doc.as_deref(), Some("Does \"it\"."));
    assert!(action.is_deprecated() && action.is_privileged() && !action.is_no_reply());
    assert!(one.methods[1].is_no_reply());
    let taken: Vec<_> = action.args(Direction::In).collect();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].name.as_deref(), Some("what"));
    assert_eq!(taken[1].signature.to_string(), "as");
    assert_eq!(action.args(Direction::Out).count(), 1);
    let directions: Vec<_> = one.signals[0].args.iter().map(|arg| arg.direction).collect();
    assert_eq!(directions, [Direction::Out, Direction::Out]);
    let seen: Vec<_> = one
        .properties
        .iter()
        .map(|property| (property.access, property.emits_changed))
        .collect();
    assert_eq!(
        seen,
        [
            (Access::Read, EmitsChanged::Invalidates),
            (Access::ReadWrite, EmitsChanged::Const)
        ]
    );
}

#[test]
fn what_cannot_be_right_is_left_out_and_named() {
    let cases = [
        ("<method name='A'><arg type='ii'/></method>", "A is left out"),
        ("<method name='A'><arg type='a'/></method>", "no complete type"),
        ("<method name='A'><arg type=''/></method>", "no complete type"),
        ("<method name='A'><arg/></method>", "no type"),
        ("<method name='A'><arg type='{sv}'/></method>", "no complete type"),
        ("<method name='A'><arg type='s' direction='up'/></method>", "direction"),
        ("<method name='A.b'/>", "no name of a method"),
        ("<method/>", "without a name"),
        ("<signal name='1A'/>", "no name of a signal"),
        ("<property name='A' type='s'/>", "no access"),
        ("<property name='A' type='z' access='read'/>", "no complete type"),
        ("<property name='A&#10;B' type='s' access='read'/>", "no name of a property"),
        ("<property name='' type='s' access='read'/>", "no name of a property"),
    ];
    for (body, expected) in cases {
        let Parsed { node, warnings } = within(&format!("{body}<method name='Good'/>"));
        let interface = &node.interfaces[0];
        assert_eq!(interface.methods.len(), 1, "{body}");
        assert!(interface.signals.is_empty() && interface.properties.is_empty(), "{body}");
        assert_eq!(warnings.len(), 1, "{body}");
        assert!(warnings[0].contains(expected), "{body}: {}", warnings[0]);
    }
    let deep = format!("<method name='A'><arg type='{}s'/></method>", "a".repeat(254));
    assert!(within(&deep).node.interfaces[0].methods.is_empty());
    let twice = within("<method name='A'><arg type='s'/></method><method name='A'/>");
    assert_eq!(twice.node.interfaces[0].methods[0].args.len(), 1);
    assert!(twice.warnings[0].contains("told twice"));
}

#[test]
fn children_with_absurd_paths_are_left_out() {
    for name in ["", "/", "/a", "a/", "a//b", "..", "../a", "a b", "ä", "a\u{0}"] {
        let text = format!("<node><node name='{name}'/><node name='good'/></node>");
        let Parsed { node, warnings } = parsed(&text);
        assert_eq!(node.children.len(), 1, "{name}");
        assert_eq!(warnings.len(), 1, "{name}");
    }
}

#[test]
fn entities_are_not_expanded() {
    let text = "<!DOCTYPE node [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>\
        <!ENTITY file SYSTEM 'file:///etc/passwd'>]>\
        <node><doc>&b;&file;&#65;</doc><interface name='a.b'><method name='&b;'/></interface></node>";
    let Parsed { node, warnings } = parsed(text);
    assert_eq!(node.doc.as_deref(), Some("&b;&file;A"));
    assert!(node.interfaces[0].methods.is_empty());
    assert_eq!(warnings.len(), 1);
}

#[test]
fn length_depth_and_number_are_bounded() {
    let limits = Limits { bytes: 1000, depth: 5, elements: 20 };
    let error = |text: &str| parse(text, &limits).unwrap_err();
    assert_eq!(error(&" ".repeat(1001)), Error::TooLong { bytes: 1001, limit: 1000 });
    assert_eq!(error(&"<node name='a'>".repeat(6)), Error::TooDeep(5));
    assert_eq!(error(&format!("<node>{}", "<a/>".repeat(20))), Error::TooMany(20));
    assert_eq!(error("<interface/>"), Error::NoNode);
    assert_eq!(error(""), Error::NoNode);
    for text in ["<node>", "<node></other>", "<node", "</node>", "<node><interface name='a.b'></node>"] {
        assert!(matches!(error(text), Error::Malformed { .. }), "{text}");
    }
    let many = within(&"<method/>".repeat(1000));
    assert_eq!(many.warnings.len(), MOST_WARNINGS);
    let long = within(&format!("<doc>{}</doc>", "ä".repeat(LONGEST_TEXT)));
    assert_eq!(long.node.interfaces[0].doc.as_ref().unwrap().len(), LONGEST_TEXT);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = parse(&text, &Limits::default());
    }

    #[test]
    fn no_heap_of_markup_is_too_strange(parts in prop::collection::vec(
        prop::sample::select(vec![
            "<node>", "<node name='a'>", "</node>", "<interface name='a.b'>", "</interface>", "<method name='M'>",
            "</method>", "<arg type='s'/>", "<arg type='", "'/>", "<doc>", "</doc>", "&amp;", "&x;", "&", "<!--",
            "-->", "<![CDATA[", "]]>", "<!DOCTYPE a [", "]>", "<?xml", "?>", "<annotation name='x' value='y'/>",
        ]), 0..40)) {
        let _ = parse(&parts.concat(), &Limits::default());
    }
}
