//! Machines of one, two, four and eight nodes as sysfs describes them, some without processors or memory; and what
//! the kernel of this machine says of a thread that was placed.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use numa::{
    Error, List, MemoryPolicy, Mode, Placement, Placer, Policy, Strategy, Topology, memory_policy,
    set_memory_policy,
};

/// A node: its number, processors, memory and free memory in kB, and distances.
type Written = (u32, &'static str, u64, u64, &'static str);

const ONE: &[Written] = &[(0, "0-1", 24_684_084, 7_565_296, "10")];
const TWO: &[Written] = &[
    (0, "0-15,32-47", 65_843_200, 1_048_576, "10 21"),
    (1, "16-31,48-63", 66_060_288, 50_331_648, "21 10"),
];
/// The second has no memory, the fourth no processors; the third is not there.
const FOUR: &[Written] = &[
    (0, "0-7", 32_768_000, 16_384_000, "10 16 32 32"),
    (1, "8-15", 0, 0, "16 10 32 32"),
    (3, "16-23", 32_768_000, 30_000_000, "32 32 10 17"),
    (4, "", 131_072_000, 131_000_000, "32 32 17 10"),
];
const EIGHT: &[Written] = &[
    (0, "0-3", 8_000_000, 1_000_000, "10 12 12 12 22 22 22 22"),
    (1, "4-7", 8_000_000, 2_000_000, "12 10 12 12 22 22 22 22"),
    (2, "8-11", 8_000_000, 3_000_000, "12 12 10 12 22 22 22 22"),
    (3, "12-15", 8_000_000, 4_000_000, "12 12 12 10 22 22 22 22"),
    (4, "16-19", 8_000_000, 7_000_000, "22 22 22 22 10 12 12 12"),
    (5, "20-23", 8_000_000, 6_000_000, "22 22 22 22 12 10 12 12"),
    (6, "24-27", 8_000_000, 5_000_000, "22 22 22 22 12 12 10 12"),
    (7, "28-31", 8_000_000, 500_000, "22 22 22 22 12 12 12 10"),
];

fn write(nodes: &[Written]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let ids: List = nodes.iter().map(|(id, ..)| *id).collect();
    fs::write(tree.path().join("online"), format!("{ids}\n")).unwrap();
    for (id, cpus, total, free, distances) in nodes {
        let node = tree.path().join(format!("node{id}"));
        fs::create_dir(&node).unwrap();
        fs::write(node.join("cpulist"), format!("{cpus}\n")).unwrap();
        fs::write(node.join("distance"), format!("{distances}\n")).unwrap();
        let memory = format!(
            "Node {id} MemTotal:       {total} kB\nNode {id} MemFree:        {free} kB\nNode {id} MemUsed: 1 kB\n"
        );
        fs::write(node.join("meminfo"), memory).unwrap();
    }
    tree
}

fn placer(tree: &Path, strategy: Strategy, policy: Policy, nodes: &[u32]) -> Result<Placer, Error> {
    let placement = Placement {
        strategy,
        policy,
        nodes: nodes.iter().copied().collect(),
    };
    Placer::at(placement, tree, (0..64).collect())
}

fn list(text: &str) -> List {
    text.parse().unwrap()
}

#[test]
fn nodes_are_read_as_the_kernel_writes_them() {
    let tree = write(FOUR);
    let topology = Topology::read(tree.path()).unwrap();
    assert_eq!(topology.ids().to_string(), "0-1,3-4");
    assert_eq!(topology.with_memory().to_string(), "0,3-4");
    let third = topology.node(3).unwrap();
    assert_eq!(third.cpus, list("16-23"));
    assert_eq!(
        (third.memory, third.free),
        (32_768_000 << 10, 30_000_000 << 10)
    );
    assert_eq!(
        third.distances,
        BTreeMap::from([(0, 32), (1, 32), (3, 10), (4, 17)])
    );
    assert!(topology.node(4).unwrap().cpus.is_empty());
    assert_eq!(topology.node_of_cpu(9).unwrap().id, 1);
    for nodes in [ONE, TWO, EIGHT] {
        let tree = write(nodes);
        assert_eq!(
            Topology::read(tree.path()).unwrap().nodes().len(),
            nodes.len()
        );
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let tree = write(TWO);
    fs::write(tree.path().join("node1/distance"), "10\n").unwrap();
    let error = Topology::read(tree.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Malformed { path, .. } if path.ends_with("node1/distance")),
        "{error}"
    );
    fs::write(tree.path().join("online"), "0-zwei\n").unwrap();
    assert!(matches!(
        Topology::read(tree.path()),
        Err(Error::Malformed { .. })
    ));
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(Topology::read(nothing.path()).unwrap().nodes().len(), 1);
}

#[test]
fn the_strategies_choose() {
    let tree = write(EIGHT);
    let chosen = |strategy, cpu| {
        let placer = placer(tree.path(), strategy, Policy::Default, &[]).unwrap();
        let take = |_| placer.choose(cpu).map(|(node, _)| node.id);
        (0..10).map(take).collect::<Option<Vec<_>>>()
    };
    assert_eq!(chosen(Strategy::LocalNode, 21), Some(vec![5; 10]));
    assert_eq!(
        chosen(Strategy::RoundRobin, 0),
        Some(vec![0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
    );
    assert_eq!(chosen(Strategy::MostMemory, 0), Some(vec![4; 10]));
    assert_eq!(chosen(Strategy::Disabled, 0), None);
}

#[test]
fn the_most_free_memory_is_that_of_the_moment() {
    let tree = write(TWO);
    let placer = placer(tree.path(), Strategy::MostMemory, Policy::Bind, &[]).unwrap();
    assert_eq!(placer.choose(0).unwrap().0.id, 1);
    fs::write(
        tree.path().join("node1/meminfo"),
        "Node 1 MemTotal: 66060288 kB\nNode 1 MemFree: 12 kB\n",
    )
    .unwrap();
    let (node, memory) = placer.choose(0).unwrap();
    assert_eq!((node.id, memory.to_string().as_str()), (0, "bind:0"));
}

#[test]
fn the_policies_say_where_memory_comes_from() {
    let tree = write(FOUR);
    let memory = |policy, nodes: &[u32], cpu| {
        let placer = placer(tree.path(), Strategy::LocalNode, policy, nodes).unwrap();
        placer.choose(cpu).unwrap().1.to_string()
    };
    assert_eq!(memory(Policy::Default, &[], 16), "default");
    assert_eq!(memory(Policy::Preferred, &[], 16), "preferred:3");
    assert_eq!(memory(Policy::Preferred, &[4], 16), "preferred:4");
    assert_eq!(memory(Policy::Bind, &[], 16), "bind:3");
    assert_eq!(memory(Policy::Bind, &[0, 4], 16), "bind:0,4");
    assert_eq!(memory(Policy::Interleave, &[], 16), "interleave:0,3-4");
    // The node of processor 8 has none of its own.
    assert_eq!(memory(Policy::Bind, &[], 8), "default");
}

#[test]
fn what_cannot_be_is_refused() {
    let tree = write(FOUR);
    let error = placer(tree.path(), Strategy::LocalNode, Policy::Bind, &[2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no NUMA node 2 on this machine; it has 0-1,3-4"
    );
    let error = placer(tree.path(), Strategy::LocalNode, Policy::Bind, &[1]).unwrap_err();
    assert!(matches!(error, Error::NoMemory(1)));
    let placement = Placement {
        strategy: Strategy::RoundRobin,
        policy: Policy::Default,
        nodes: List::default(),
    };
    let nowhere = Placer::at(placement, tree.path(), list("100"));
    assert!(matches!(nowhere, Err(Error::NoProcessor)));
}

#[test]
fn on_one_node_nothing_is_set() {
    let tree = write(ONE);
    let placer = placer(tree.path(), Strategy::RoundRobin, Policy::Interleave, &[]).unwrap();
    assert!(!placer.is_active());
    assert!(placer.to_string().starts_with("one NUMA node"));
    let before = (memory_policy().unwrap(), std::thread::current().id());
    assert_eq!(placer.place().unwrap(), None);
    let inside = placer.run(|| (memory_policy().unwrap(), std::thread::current().id()));
    assert_eq!(inside.unwrap(), before);
}

/// `Cpus_allowed_list` of the calling thread (proc(5)).
fn cpus_of_this_thread() -> List {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap().parse().unwrap()
}

/// The node of processor 0, as if there were another one: what is set is seen in three places.
#[test]
fn a_placed_thread_is_where_the_kernel_says() {
    let cpus = cpus_of_this_thread();
    let (Some(first), true) = (
        cpus.iter().next(),
        Path::new("/sys/devices/system/node/node0").exists(),
    ) else {
        lab::skip("this kernel has no NUMA nodes");
        return;
    };
    let tree = write(TWO);
    fs::write(tree.path().join("node0/cpulist"), format!("{first}\n")).unwrap();
    fs::write(tree.path().join("node1/cpulist"), "\n").unwrap();
    for (policy, expected) in [
        (Policy::Default, "default"),
        (Policy::Preferred, "prefer:0"),
        (Policy::Bind, "bind:0"),
        (Policy::Interleave, "interleave:0"),
    ] {
        let nodes: &[u32] = match policy {
            Policy::Default => &[],
            _ => &[0],
        };
        let placer = placer(tree.path(), Strategy::RoundRobin, policy, nodes).unwrap();
        let seen = std::thread::scope(|scope| {
            let placed = scope.spawn(|| {
                let placed = placer.place().unwrap().unwrap();
                assert_eq!(placed.memory, memory_policy().unwrap());
                // A thread that this one starts is there too.
                let child =
                    std::thread::spawn(|| (cpus_of_this_thread(), memory_policy().unwrap()));
                assert_eq!(child.join().unwrap(), (placed.cpus.clone(), placed.memory));
                let maps = fs::read_to_string("/proc/thread-self/numa_maps").unwrap();
                (placed.cpus, cpus_of_this_thread(), maps)
            });
            placed.join().unwrap()
        });
        assert_eq!((&seen.0, &seen.1), (&list(&first.to_string()), &seen.0));
        assert!(
            seen.2
                .lines()
                .any(|line| line.split(' ').nth(1) == Some(expected)),
            "{expected}: {}",
            seen.2
        );
    }
    assert_eq!(cpus_of_this_thread(), cpus, "the caller stays where it is");
}

#[test]
fn a_node_that_is_not_there_is_refused_by_the_kernel() {
    let policy = MemoryPolicy {
        mode: Mode::Bind,
        nodes: list("1000"),
    };
    let refused = std::thread::spawn(move || set_memory_policy(&policy))
        .join()
        .unwrap();
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
}

/// How many pages of a piece of memory are on a node, as the kernel says.
fn pages_on(node: u32, memory: &[u8]) -> usize {
    let address = memory.as_ptr().addr();
    let maps = fs::read_to_string("/proc/self/numa_maps").unwrap();
    let begins = |line: &&str| {
        let begin = line.split(' ').next().unwrap();
        usize::from_str_radix(begin, 16).unwrap() <= address
    };
    let line = maps.lines().rfind(begins).unwrap();
    let count = line
        .split(' ')
        .find_map(|word| word.strip_prefix(&format!("N{node}=")));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Where there are several nodes, such as in QEMU with `-numa`: threads and their pages are really there.
#[test]
fn on_several_nodes_threads_and_pages_are_where_they_belong() {
    let machine = Topology::of_this_machine().unwrap();
    let count = machine.nodes().len();
    if count < 2 {
        return lab::skip("this machine has one NUMA node");
    }
    let place = |strategy, policy, nodes: &[u32]| {
        let nodes = nodes.iter().copied().collect();
        Placer::new(Placement {
            strategy,
            policy,
            nodes,
        })
        .unwrap()
    };
    let kept = RefCell::new(Vec::new());
    let work = |placer: &Placer| {
        std::thread::scope(|scope| {
            let placed = scope.spawn(|| {
                let placed = placer.place().unwrap().unwrap();
                let memory = vec![1_u8; 16 << 20];
                let ids = machine.ids();
                let pages = ids.iter().map(|id| (id, pages_on(id, &memory)));
                let pages: BTreeMap<_, _> = pages.collect();
                (placed, pages, memory)
            });
            let (placed, pages, memory) = placed.join().unwrap();
            // Given back, it would be given out again with its pages where they are.
            kept.borrow_mut().push(memory);
            (placed, pages)
        })
    };
    // Of 4 KiB; the kernel counts large ones as that many.
    let all = 4096;
    let mut seen = Vec::new();
    let bound = place(Strategy::RoundRobin, Policy::Bind, &[]);
    for _ in 0..2 * count {
        let (placed, pages) = work(&bound);
        assert_eq!(placed.cpus, machine.node(placed.node).unwrap().cpus);
        assert!(pages[&placed.node] >= all, "{placed:?}: {pages:?}");
        seen.push(placed.node);
    }
    let ids: Vec<_> = machine.ids().iter().collect();
    assert_eq!(seen, [&ids[..], &ids[..]].concat());
    // In turn: each has its share.
    let (_, pages) = work(&place(Strategy::LocalNode, Policy::Interleave, &ids));
    assert!(
        pages.values().all(|pages| *pages >= all / count / 2),
        "{pages:?}"
    );
    let last = *ids.last().unwrap();
    let (_, pages) = work(&place(Strategy::MostMemory, Policy::Preferred, &[last]));
    assert!(pages[&last] >= all, "{pages:?}");
}
