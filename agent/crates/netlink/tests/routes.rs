//! Routes and refusals, against the kernel in a network namespace of its own.
#![allow(clippy::unwrap_used)]

mod witness;

use netlink::{MAIN_TABLE, Netlink, Route};
use witness::{addr, ip, machine, net, pair};

#[test]
fn routes_of_both_families_round_trip() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, right) = pair(&netlink);
    netlink.add_address(left.index, net("10.1.0.2/24")).unwrap();
    netlink
        .add_address(left.index, net("2001:db8:1::2/64"))
        .unwrap();
    let at = |metric, route: Route| Route { metric, ..route };
    let routes = [
        Route::new(None, Some(addr("10.1.0.1")), left.index),
        at(
            Some(70),
            Route::new(None, Some(addr("10.1.0.9")), left.index),
        ),
        Route::new(Some(net("10.9.0.0/16")), None, right.index),
        Route {
            source: Some(addr("10.1.0.2")),
            protocol: 3,
            ..Route::new(Some(net("10.8.0.0/16")), Some(addr("10.1.0.1")), left.index)
        },
        Route {
            onlink: true,
            ..Route::new(
                Some(net("203.0.113.0/24")),
                Some(addr("172.31.1.1")),
                right.index,
            )
        },
        Route::new(
            Some(net("198.51.100.0/24")),
            Some(addr("2001:db8:1::1")),
            left.index,
        ),
        at(
            Some(1024),
            Route::new(None, Some(addr("2001:db8:1::1")), left.index),
        ),
        at(Some(5), Route::new(Some(net("::/0")), None, right.index)),
        at(
            Some(1024),
            Route::new(
                Some(net("2001:db8:9::/48")),
                Some(addr("2001:db8:1::1")),
                left.index,
            ),
        ),
    ];
    for route in &routes {
        netlink.add_route(route).unwrap();
        netlink.add_route(route).unwrap();
    }
    let seen = netlink.routes().unwrap();
    for route in &routes {
        assert_eq!(
            seen.iter().filter(|r| *r == route).count(),
            1,
            "{route} in {seen:#?}"
        );
        assert_eq!(route.table, MAIN_TABLE);
    }
    assert_eq!(seen.iter().filter(|route| route.is_default()).count(), 4);
    let shown = ip(&["-4", "route", "show"]).as_array().unwrap().len()
        + ip(&["-6", "route", "show"]).as_array().unwrap().len();
    assert_eq!(seen.len(), shown);
    assert_eq!(
        ip(&["route", "show", "10.8.0.0/16"])[0]["prefsrc"],
        "10.1.0.2"
    );
    assert_eq!(
        ip(&["route", "show", "203.0.113.0/24"])[0]["flags"][0],
        "onlink"
    );

    for route in &routes {
        netlink.delete_route(route).unwrap();
        netlink.delete_route(route).unwrap();
    }
    let rest = netlink.routes().unwrap();
    assert!(rest.iter().all(|route| route.protocol == 2), "{rest:#?}");
    assert!(
        ip(&["route", "show", "default"])
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn routes_of_others_are_read_as_they_are() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    assert_eq!(
        netlink.routes().unwrap(),
        [],
        "a namespace without addresses"
    );
    let (left, right) = pair(&netlink);
    netlink.add_address(left.index, net("10.1.0.2/24")).unwrap();
    netlink
        .add_address(right.index, net("10.2.0.2/24"))
        .unwrap();
    lab::run(
        "ip",
        &[
            "route", "add", "default", "proto", "dhcp", "metric", "9", "nexthop", "via",
            "10.1.0.1", "nexthop", "via", "10.2.0.1",
        ],
    );
    lab::run("ip", &["route", "add", "blackhole", "10.3.0.0/16"]);
    lab::run(
        "ip",
        &[
            "route",
            "add",
            "10.4.0.0/16",
            "via",
            "10.1.0.1",
            "table",
            "100",
        ],
    );
    let defaults: Vec<Route> = netlink
        .routes()
        .unwrap()
        .into_iter()
        .filter(Route::is_default)
        .collect();
    let hop = |gateway, link| Route {
        metric: Some(9),
        protocol: 16,
        ..Route::new(None, Some(addr(gateway)), link)
    };
    assert_eq!(
        defaults,
        [hop("10.1.0.1", left.index), hop("10.2.0.1", right.index)]
    );
    let all = netlink.routes().unwrap();
    assert!(
        !all.iter()
            .any(|r| r.destination == Some(net("10.3.0.0/16")))
    );
    assert!(
        !all.iter()
            .any(|r| r.destination == Some(net("10.4.0.0/16")))
    );
}

#[test]
fn the_kernel_is_asked_which_link_leads_where() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, right) = pair(&netlink);
    for unreachable in ["10.1.0.7", "2001:db8::7"] {
        assert_eq!(netlink.route_to(addr(unreachable)).unwrap(), None);
    }
    netlink.add_address(left.index, net("10.1.0.2/24")).unwrap();
    netlink
        .add_address(right.index, net("2001:db8::2/64"))
        .unwrap();
    netlink
        .add_route(&Route::new(None, Some(addr("10.1.0.1")), left.index))
        .unwrap();
    lab::run("ip", &["route", "add", "blackhole", "10.3.0.0/16"]);
    lab::run("ip", &["route", "add", "prohibit", "10.4.0.0/16"]);
    lab::run("ip", &["route", "add", "unreachable", "10.5.0.0/16"]);

    let near = netlink.route_to(addr("10.1.0.7")).unwrap().unwrap();
    assert_eq!((near.link, near.gateway), (left.index, None));
    let far = netlink.route_to(addr("8.8.8.8")).unwrap().unwrap();
    assert_eq!(
        (far.link, far.gateway),
        (left.index, Some(addr("10.1.0.1")))
    );
    assert_eq!(far.source, Some(addr("10.1.0.2")));
    let six = netlink.route_to(addr("2001:db8::7")).unwrap().unwrap();
    assert_eq!(six.link, right.index);
    let own = netlink.route_to(addr("10.1.0.2")).unwrap().unwrap();
    assert_eq!(own.link, netlink.link("lo").unwrap().unwrap().index);
    for closed in ["10.3.0.1", "10.4.0.1", "10.5.0.1"] {
        assert_eq!(netlink.route_to(addr(closed)).unwrap(), None, "{closed}");
    }
}

#[test]
fn a_refusal_says_what_was_asked_and_why_not() {
    let Some((_machine, netlink)) = machine() else {
        return;
    };
    let (left, _) = pair(&netlink);
    let route = Route::new(None, Some(addr("192.0.2.1")), left.index);
    let error = netlink.add_route(&route).unwrap_err().to_string();
    assert!(
        error.starts_with("add route default via 192.0.2.1 over link"),
        "{error}"
    );
    assert!(error.contains("Nexthop has invalid gateway"), "{error}");

    let error = std::thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        Netlink::open()
            .unwrap()
            .set_down(left.index)
            .unwrap_err()
            .to_string()
    })
    .join()
    .unwrap();
    assert!(error.contains("root or CAP_NET_ADMIN"), "{error}");
}
