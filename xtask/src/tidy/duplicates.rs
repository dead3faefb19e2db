//! Copied code: how much of it stands in six-line windows that occur more than once.
//!
//! Lines are compared without indentation; blank lines, comments, imports and lone brackets are no lines here.
//! Test code and flat tables may repeat themselves.

use super::source::{Breach, Source, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// Lines in a window.
const WINDOW: usize = 6;
/// Highest share of lines in repeated windows, in percent.
const LIMIT: usize = 5;
/// Examples printed when the limit is broken.
const EXAMPLES: usize = 10;

/// Where the limit holds: everywhere together, and the wires by themselves, since translators tempt most.
const SCOPES: &[&str] = &["", "crates/wire/src/wires/"];

/// Checks every scope.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    for scope in SCOPES {
        let sources = tree.sources.iter().filter(|source| source.path.starts_with(scope));
        let files: Vec<File<'_>> = sources.filter_map(File::of).collect();
        let report = measure(&files);
        if report.repeated * 100 <= report.lines * LIMIT {
            continue;
        }
        let place = if scope.is_empty() { "the repository" } else { scope };
        let share = (report.repeated * 1000 / report.lines.max(1)) as f64 / 10.0;
        for (first, second) in report.pairs.iter().take(EXAMPLES) {
            let message = format!(
                "{share} % of {place} is copied (limit {LIMIT} %): these {WINDOW} lines also stand at {}:{}",
                second.0, second.1
            );
            out.push(Breach::new(first.0, first.1, message));
        }
    }
}

struct File<'a> {
    path: &'a str,
    lines: Vec<(usize, String)>,
}

impl<'a> File<'a> {
    fn of(source: &'a Source) -> Option<Self> {
        if source.table || source.test {
            return None;
        }
        let mut importing = false;
        let mut lines = Vec::new();
        for (number, line) in source.product_lines() {
            let code = line.code.trim();
            importing |= ["use ", "pub use ", "pub(crate) use ", "mod ", "pub mod "]
                .iter()
                .any(|start| code.starts_with(start));
            let says_something = code.chars().any(char::is_alphanumeric) || !line.literal.trim().is_empty();
            if !importing && says_something && line.is_code() {
                lines.push((number, format!("{code} {}", line.literal.trim())));
            }
            importing &= !code.ends_with(';');
        }
        Some(Self { path: &source.path, lines })
    }
}

type Spot<'a> = (&'a str, usize);

struct Report<'a> {
    lines: usize,
    repeated: usize,
    pairs: Vec<(Spot<'a>, Spot<'a>)>,
}

fn measure<'a>(files: &'a [File<'a>]) -> Report<'a> {
    let mut windows: BTreeMap<Vec<&str>, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        for (start, window) in file.lines.windows(WINDOW).enumerate() {
            let text = window.iter().map(|(_, text)| text.as_str()).collect();
            windows.entry(text).or_default().push((index, start));
        }
    }
    let mut repeated: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut pairs = Vec::new();
    for spots in windows.values() {
        let Some(first) = spots.first() else { continue };
        // A run of equal lines overlaps itself: that is one place, not two.
        let apart = |spot: &&(usize, usize)| spot.0 != first.0 || spot.1 >= first.1 + WINDOW;
        let Some(other) = spots.iter().find(apart) else { continue };
        let fresh = !repeated.contains(first);
        for (file, start) in spots {
            repeated.extend((*start..start + WINDOW).map(|line| (*file, line)));
        }
        if fresh && let (Some(first), Some(other)) = (spot(files, *first), spot(files, *other)) {
            pairs.push((first, other));
        }
    }
    pairs.sort_unstable();
    let lines = files.iter().map(|file| file.lines.len()).sum();
    Report { lines, repeated: repeated.len(), pairs }
}

fn spot<'a>(files: &'a [File<'a>], (file, line): (usize, usize)) -> Option<Spot<'a>> {
    let file = files.get(file)?;
    Some((file.path, file.lines.get(line)?.0))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Tree;

    fn code(from: usize, to: usize) -> String {
        (from..to).map(|index| format!("const A{index}: u8 = {index};\n// why\n")).collect()
    }

    fn found(files: &[(&str, String)]) -> Vec<String> {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let mut out = Vec::new();
        check(&Tree::of(&files), &mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn copies_are_counted_by_window() {
        let copy = |lines| [("crates/a/src/a.rs", code(0, 100)), ("crates/b/src/b.rs", code(0, lines))];
        assert_eq!(found(&copy(5)).len(), 0, "shorter than a window");
        assert!(found(&copy(6))[0].starts_with("crates/a/src/a.rs:1: 11.3 % of the repository is copied"));
        let long = [("crates/a/src/a.rs", code(0, 300)), ("crates/b/src/b.rs", code(0, 6))];
        assert_eq!(found(&long).len(), 0, "within the limit");
    }

    #[test]
    fn wires_have_their_own_limit() {
        let files = [
            ("crates/wire/src/wires/a.rs", code(0, 30)),
            ("crates/wire/src/wires/b.rs", code(0, 10)),
            ("crates/policy/src/big.rs", code(100, 900)),
        ];
        let found = found(&files);
        assert!(found.iter().all(|text| text.contains("% of crates/wire/src/wires/ is copied")), "{found:?}");
        assert!(!found.is_empty());
    }

    #[test]
    fn tests_tables_imports_and_runs_of_equal_lines_are_free() {
        let table = |text: String| format!("// tidy: table\n{text}");
        let tests = |text: String| format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        let uses = (0..20).map(|index| format!("use a::{{\n    b{index},\n}};\n")).collect::<String>();
        for text in [table(code(0, 50)), tests(code(0, 50)), uses] {
            let files = [("crates/a/src/a.rs", text.clone()), ("crates/b/src/b.rs", text)];
            assert_eq!(found(&files).len(), 0);
        }
        let equal = format!("fn f() {{\n{}}}\n", "    a();\n".repeat(9));
        assert_eq!(found(&[("crates/a/src/a.rs", equal)]).len(), 0);
    }
}
