//! Prints how much of the corpus is understood: `cargo run -p say --example accuracy`. With `--wrong`, what is not of
//! the development part.

#[allow(clippy::unwrap_used, dead_code)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;

fn main() {
    let catalog = corpus::catalog();
    let wrong = std::env::args().any(|argument| argument == "--wrong");
    for (part, text) in corpus::PARTS {
        let score = corpus::score(&catalog, text);
        print!("{}", score.table(part));
        if wrong && part == "development" {
            score.wrong.iter().for_each(|wrong| println!("    {wrong}"));
        }
    }
}
