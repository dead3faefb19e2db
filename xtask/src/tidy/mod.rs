//! `cargo xtask tidy`: the limits of this project as a test.
//!
//! A rule is a function from the repository's texts to breaches, tested on texts of its own. A rule that cannot be
//! checked by a machine belongs into CONTRIBUTING.md, not here.

mod ambient;
mod cycles;
mod duplicates;
mod floors;
mod hygiene;
mod lex;
mod modules;
mod reasons;
mod size;
mod source;
mod vendors;

use source::{Breach, Tree};
use std::path::Path;

/// Every rule, in the order of its explanation in CONTRIBUTING.md.
const RULES: &[fn(&Tree, &mut Vec<Breach>)] = &[
    floors::check,
    size::check,
    cycles::check,
    ambient::check,
    vendors::check,
    hygiene::check,
    duplicates::check,
    reasons::check,
];

/// Checks the repository at `root` and prints every breach. Returns whether there was none.
///
/// # Errors
/// When the repository cannot be read.
pub(crate) fn run(root: &Path) -> Result<bool, String> {
    let mut breaches = Vec::new();
    let tree = Tree::read(root, &mut breaches)?;
    for rule in RULES {
        rule(&tree, &mut breaches);
    }
    breaches.sort();
    breaches.dedup();
    for breach in &breaches {
        println!("{breach}");
    }
    let (rust, files) = (tree.sources.len(), tree.paths.len());
    println!("tidy: {} breaches in {files} files ({rust} of Rust)", breaches.len());
    Ok(breaches.is_empty())
}
