//! The ambient world: clock, randomness and environment are read in one place each.
//!
//! Clippy bans the same calls; this rule also sees crates and code that Clippy is not run on, and cannot be
//! switched off by an attribute.

use super::lex::is_word;
use super::source::{Breach, Tree};

/// What must not be called, and what it stands for.
const AMBIENT: &[(&str, &str)] = &[
    ("Instant::now", "reads the clock"),
    ("SystemTime::now", "reads the clock"),
    ("rand::", "draws random numbers"),
    ("getrandom", "draws random numbers"),
    ("thread_rng", "draws random numbers"),
    ("env::var", "reads the environment"),
    ("env::vars", "reads the environment"),
    ("env::var_os", "reads the environment"),
];

/// Where the world comes in, by start of path and start of call (empty: any).
const DOORS: &[(&str, &str)] = &[
    ("crates/engine/src/world.rs", ""),
    ("crates/sim/src/clock.rs", ""),
    ("crates/unfail/src/main.rs", "env::"),
    ("xtask/", ""),
    ("bench/", ""),
    ("fuzz/", ""),
];

/// Checks every Rust file outside tests.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    for source in &tree.sources {
        for (number, line) in source.product_lines() {
            let call = AMBIENT.iter().find(|(call, _)| calls(&line.code, call) && !open(&source.path, call));
            if let Some((call, what)) = call {
                let message = format!("`{call}` {what}: only `engine::world` does; take it as an argument");
                out.push(Breach::new(&source.path, number, message));
            }
        }
    }
}

fn open(path: &str, call: &str) -> bool {
    DOORS.iter().any(|(door, allowed)| path.starts_with(door) && call.starts_with(allowed))
}

/// Whether `call` stands in `code` as a whole: not a part of longer words.
fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + call.len()..).and_then(|text| text.chars().next());
        let closed = call.ends_with(':') || !after.is_some_and(is_word);
        closed && !before.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Tree;

    #[test]
    fn the_world_has_few_doors() {
        let table = [
            ("crates/policy/src/a.rs", "fn f() { let a = Instant::now(); }", 1),
            ("crates/policy/src/a.rs", "fn f() { let a = std::time::SystemTime::now(); }", 1),
            ("crates/policy/src/a.rs", "fn f() { let a = brand::new(); }", 0),
            ("crates/policy/src/a.rs", "use rand::Rng;", 1),
            ("crates/policy/src/a.rs", "fn f() { std::env::var_os(\"A\"); }", 1),
            ("crates/policy/src/a.rs", "fn f() { my::env::variable(\"A\"); }", 0),
            ("crates/policy/src/a.rs", "/// Never calls `Instant::now`.\nfn f() { g(\"getrandom\") }", 0),
            ("crates/policy/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }", 0),
            ("crates/policy/tests/a.rs", "fn f() { Instant::now(); }", 0),
            ("crates/engine/src/world.rs", "fn f() { Instant::now(); }", 0),
            ("crates/unfail/src/main.rs", "fn f() { std::env::var(\"A\"); }", 0),
            ("crates/unfail/src/main.rs", "fn f() { Instant::now(); }", 1),
            ("xtask/src/main.rs", "fn f() { Instant::now(); }", 0),
        ];
        for (path, text, breaches) in table {
            let mut out = Vec::new();
            check(&Tree::of(&[(path, text)]), &mut out);
            assert_eq!(out.len(), breaches, "{path}: {text}: {out:?}");
        }
    }
}
