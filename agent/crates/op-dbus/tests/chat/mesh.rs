//! The mesh in the topology, as its links say it is.

use super::client::Client;
use super::*;

#[test]
fn who_is_in_the_mesh_is_drawn_as_soon_as_they_are_heard_of() {
    let Some(host) = Host::plain() else { return };
    let Some(mesh) = host.rig.machine.mesh() else {
        return;
    };
    let mut chat = Client::new(&host.web, &host.viewer);
    chat.send(&json!({ "type": "watch", "topics": ["topology"] }));
    let id = format!("peer:nm0:{}", mesh.key(1));
    let is = |event: &Value, state: &str| {
        let nodes = event["value"]["nodes"].as_array();
        let mut nodes = nodes.into_iter().flatten();
        event["topic"] == "topology"
            && nodes.any(|node| node["id"] == id.as_str() && node["state"] == state)
    };
    let drawn = chat.until("a peer", |event| is(event, "unreached"));
    let link = json!({ "from": "mesh:nm0", "to": id, "kind": "peer" });
    let links = drawn["value"]["links"].as_array().unwrap();
    assert!(links.contains(&link), "{drawn:#}");
    mesh.speak();
    chat.until("a handshake", |event| is(event, "connected"));

    chat.say("who is in the mesh?");
    let listed = chat.done("net_list_peers");
    let row = &listed["answer"]["rows"][0];
    assert_eq!(row["public_key"], mesh.key(1), "{listed:#}");
}
