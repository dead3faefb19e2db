//! Small things that must not be in the repository: unfinished work, silenced lints, stray white space, paths of
//! somebody's machine.
//!
//! The words it looks for stand in this file, so this file alone is not searched for them.

use super::lex::is_word;
use super::source::{Breach, Source, Text, Tree};

/// This file.
const SELF: &str = "xtask/src/tidy/hygiene.rs";

/// Forbidden in Rust code, tests included; comments and literals do not count.
const CODE: &[(&str, &str)] = &[
    ("#[allow(", "use `#[expect(…, reason = \"…\")]`"),
    ("#![allow(", "use `#![expect(…, reason = \"…\")]`"),
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or leave it out"),
    ("#[should_panic", "assert on a returned error"),
    ("#[ignore", "a test that is not run proves nothing"),
    ("serde(flatten", "destroys error paths; name the fields"),
    ("serde(untagged", "destroys error paths; read the value and decide"),
];

/// Tests that may carry `#[ignore]`, by path. None yet.
const IGNORED: &[&str] = &[];

/// Words of unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX"];

/// Starts of paths that exist on one machine only. `/tmp` may stand in tests.
const MACHINE: &[&str] = &["/tmp", "/work", "/root", "/home"];

/// Package registries: a build must not depend on which one a machine uses.
const REGISTRIES: &[&str] = &[
    "static.crates.io",
    "index.crates.io",
    "pypi.org",
    "files.pythonhosted.org",
    "registry.npmjs.org",
    "deb.debian.org",
    "proxy.golang.org",
];

/// The only registry a lock file may name.
const LOCKED: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// What may stand beside the directories: scratch files come in through here.
const ROOT: &[&str] = &[
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// Checks every text file.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    for source in tree.sources.iter().filter(|source| source.path != SELF) {
        code(source, out);
    }
    for text in &tree.texts {
        if text.path.ends_with("Cargo.lock") {
            lock(text, out);
        } else if text.path != SELF && !recorded(&text.path) {
            let tests = tree.sources.iter().find(|source| source.path == text.path);
            prose(text, |line| tests.is_some_and(|source| source.in_test(line)), out);
        }
    }
    for path in tree.paths.iter().filter(|path| path.ends_with(".snap.new")) {
        out.push(Breach::new(path, 1, "a snapshot nobody has accepted or rejected"));
    }
    for path in tree.paths.iter().filter(|path| !path.contains('/') && !ROOT.contains(&path.as_str())) {
        out.push(Breach::new(
            path,
            1,
            "nobody looks for this at the root; if somebody should, name it in `ROOT`",
        ));
    }
}

/// Files whose every byte is somebody else's words: recorded traffic, snapshots, the licence.
fn recorded(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "fixtures" | "snapshots" | "LICENSE"))
        || path.ends_with(".snap")
}

fn code(source: &Source, out: &mut Vec<Breach>) {
    for (number, line) in source.numbered() {
        for (word, hint) in CODE {
            let spared = *word == "#[ignore" && IGNORED.contains(&source.path.as_str());
            if line.code.contains(word) && !spared {
                out.push(Breach::new(&source.path, number, format!("`{word}`: {hint}")));
            }
        }
    }
}

fn prose(text: &Text, in_test: impl Fn(usize) -> bool, out: &mut Vec<Breach>) {
    let mut breach = |line: usize, message: String| out.push(Breach::new(&text.path, line, message));
    for (index, line) in text.text.split('\n').enumerate() {
        let number = index + 1;
        if line.ends_with('\r') {
            breach(number, "line ends in CR LF".to_owned());
        } else if line.ends_with([' ', '\t']) {
            breach(number, "white space at the end of the line".to_owned());
        }
        if line.contains('\t') && !text.path.ends_with("Makefile") {
            breach(number, "a tab".to_owned());
        }
        for word in UNFINISHED.iter().filter(|word| stands(line, word, true)) {
            breach(number, format!("`{word}`: finish it or leave it out"));
        }
        for path in MACHINE.iter().filter(|path| stands(line, path, false)) {
            if *path != "/tmp" || !in_test(number) {
                breach(number, format!("`{path}`: a path of one machine"));
            }
        }
        for host in REGISTRIES.iter().filter(|host| line.contains(*host)) {
            breach(number, format!("`{host}`: a registry's host; let the client choose"));
        }
    }
    if !text.text.is_empty() && !text.text.ends_with('\n') {
        breach(text.text.lines().count(), "no newline at the end of the file".to_owned());
    }
}

/// Whether `word` stands in `line` by itself. What may come before a path is narrower: `a.b/home` and `#/root` are
/// no paths of a machine.
fn stands(line: &str, word: &str, plain: bool) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let joins = |side: char| {
            is_word(side) || (!plain && matches!(side, '.' | '-' | '~' | '#' | '}' | '*' | '$' | ')'))
        };
        !before.is_some_and(joins) && !after.is_some_and(|side| is_word(side) || (!plain && side == '-'))
    })
}

fn lock(text: &Text, out: &mut Vec<Breach>) {
    for (index, line) in text.text.lines().enumerate() {
        if line.starts_with("source = ") && line != LOCKED {
            out.push(Breach::new(&text.path, index + 1, "locked to another registry than crates.io"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SELF, check};
    use crate::tidy::source::Tree;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        check(&Tree::of(&[(path, text)]), &mut out);
        out.iter().map(|breach| format!("{}: {}", breach.line, breach.message)).collect()
    }

    #[test]
    fn what_must_not_be_there() {
        // path, text, start of the one breach
        let table = [
            ("a/src/a.rs", "#[allow(dead_code)]\nfn f() {}\n", Some("1: `#[allow(`")),
            ("a/src/a.rs", "// #[allow(x)] is banned\nfn f() { g(\"todo!\") }\n", None),
            ("a/src/a.rs", "fn f() { todo!() }\n", Some("1: `todo!`")),
            ("a/tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n", Some("2: `#[ignore`")),
            ("a/tests/a.rs", "#[test]\n#[should_panic]\nfn f() {}\n", Some("2: `#[should_panic`")),
            ("a/src/a.rs", "#[derive(X)]\n#[serde(untagged)]\nenum E {}\n", Some("2: `serde(untagged`")),
            ("a/src/a.rs", "// TODO later\n", Some("1: `TODO`")),
            ("README.md", "TODOS are fine, fixme too\n", None),
            ("README.md", "a  \n", Some("1: white space")),
            ("README.md", "a\r\n", Some("1: line ends")),
            ("README.md", "a\n\tb\n", Some("2: a tab")),
            ("README.md", "a", Some("1: no newline")),
            ("README.md", "see /home/me/x\n", Some("1: `/home`")),
            ("README.md", "see ~/home, https://x.org/home and docs/work.md\n", None),
            ("a/src/a.rs", "const A: &str = \"/tmp/x\";\n", Some("1: `/tmp`")),
            ("a/tests/a.rs", "const A: &str = \"/tmp/x\";\n", None),
            ("a/pip.conf", "index = https://pypi.org/simple\n", Some("1: `pypi.org`")),
            ("a/fixtures/x.sse", "data: TODO\r\n\r\n", None),
            ("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n", None),
            ("Cargo.lock", "source = \"registry+https://elsewhere/index\"\n", Some("1: locked")),
            ("a/snapshots/b.snap.new", "x", Some("1: a snapshot")),
            ("key", "k\n", Some("1: nobody looks")),
            (SELF, "// TODO\n", None),
        ];
        for (path, text, expected) in table {
            let found = found(path, text);
            let matches = match expected {
                Some(start) => found.len() == 1 && found[0].starts_with(start),
                None => found.is_empty(),
            };
            assert!(matches, "{path}: {text:?}: {found:?}");
        }
    }
}
