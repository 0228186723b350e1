//! Has the page's files embedded again when one of them changes, comes or goes.

fn main() {
    println!("cargo::rerun-if-changed=page");
}
