use std::fmt::Write;
use std::time::Instant;
use declaration::*;
#[test]
fn timing() {
    for n in [100usize, 1000, 10000, 50000] {
        let mut y = "version: 1\nplugins:\n  ovs: { bridges: { br0: {} } }\n  openflow:\n    bridges:\n      br0:\n        flows:\n".to_owned();
        for i in 0..n { writeln!(y, "          - {{ table: 5, priority: {}, match: {{ ip_dst: 10.{}.{}.{} }}, actions: [ {{ goto: 10 }} ] }}", i % 60000, i>>16, (i>>8)&255, i&255).unwrap(); }
        writeln!(y, "  lxc:\n    templates: {{ t: {{ recipe: busybox }} }}\n    containers:").unwrap();
        for i in 0..n { writeln!(y, "      c{i}: {{ template: t, network: none, after: [c{}] }}", (i+1)%n).unwrap(); }
        let t = Instant::now();
        let r = Declaration::from_yaml(&y);
        let e = t.elapsed();
        println!("{n} yaml {} bytes {e:?} {}", y.len(), r.is_ok());
        let y = y.replace(&format!("c{}: {{ template: t, network: none, after: [c0] }}", n-1), &format!("c{}: {{ template: t, network: none }}", n-1));
        let t = Instant::now();
        let d = Declaration::from_yaml(&y).unwrap();
        println!("{n} yaml good {:?}", t.elapsed());
        let j = serde_json::to_string(&d).unwrap();
        let t = Instant::now();
        Declaration::from_json(&j).unwrap();
        println!("{n} json {} {:?}", j.len(), t.elapsed());
    }
}
