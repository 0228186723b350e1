//! How much of the corpus is understood, and how long that takes with 150 tools and 1,000 names.

#[allow(clippy::unwrap_used, dead_code)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;

use std::time::{Duration, Instant};

use say::{Catalog, Context, World};

/// How many tools and names a large host has.
const TOOLS: usize = 150;
const NAMES: usize = 1000;

fn main() {
    let catalog = corpus::catalog();
    for (part, text) in corpus::PARTS {
        print!("{}", corpus::score(&catalog, text).table(part));
    }
    let (catalog, world) = large(&catalog);
    let now = corpus::now();
    let mut times = Vec::new();
    for (_, text) in corpus::PARTS {
        for case in corpus::cases(text) {
            // The fastest of five: others use the machine as well.
            let one = || {
                let begun = Instant::now();
                let understood = catalog.understand(&world, &Context::default(), &case.say, &now);
                std::hint::black_box(understood);
                begun.elapsed()
            };
            times.extend((0..5).map(|_| one()).min());
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let all: Duration = times.iter().sum();
    println!(
        "{TOOLS} tools, {NAMES} names, {} sentences: mean {:?}, median {:?}, p99 {:?}, longest {:?}",
        times.len(),
        all / u32::try_from(times.len()).unwrap_or(1),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let long = "delete all containers and restart nginx, ".repeat(say::LONGEST / 41);
    let begun = Instant::now();
    std::hint::black_box(catalog.understand(&world, &Context::default(), &long, &now));
    println!("a text of {} KiB: {:?}", long.len() >> 10, begun.elapsed());
}

fn large(catalog: &Catalog) -> (Catalog, World) {
    let mut tools = catalog.tools().to_vec();
    while tools.len() < TOOLS {
        let mut tool = tools[tools.len() % 100].clone();
        tool.name = format!("{}_{}", tool.name, tools.len());
        tools.push(tool);
    }
    let mut world = corpus::world();
    world
        .containers
        .extend((0..NAMES / 2).map(|number| format!("app-{number:04}")));
    world
        .units
        .extend((0..NAMES / 2).map(|number| format!("job-{number:04}.service")));
    (Catalog::new(tools), world)
}
