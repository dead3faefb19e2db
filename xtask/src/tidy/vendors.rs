//! One place names a vendor: the catalog. Everywhere else a vendor is a row of data.
//!
//! The names are read from the catalog's own rows, so a new row is guarded the day it is added. Names of wire
//! formats are free: a format is no vendor.

use super::lex::{Line, is_word};
use super::source::{Breach, Source, Tree};
use syn::visit::{self, Visit};

/// Where rows live.
const ROWS: &str = "crates/catalog/src/providers.rs";
/// Vendors whose name is also a format's.
const FORMATS: &[&str] = &["openai", "anthropic", "gemini"];
/// Ids that are also English words: looked for in code and machine-readable literals, not in prose.
const ENGLISH: &[&str] = &["together", "fireworks"];

/// Checks every Rust file outside tests and outside the catalog.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    let Some(rows) = tree.sources.iter().find(|source| source.path == ROWS) else { return };
    let ids = ids(rows);
    if ids.is_empty() {
        return out.push(Breach::new(
            ROWS,
            1,
            "no provider id found (`id: \"…\"`), so vendor names go unguarded",
        ));
    }
    for source in tree.sources.iter().filter(|source| !source.path.starts_with("crates/catalog/")) {
        for (number, line) in source.product_lines() {
            if let Some(id) = ids.iter().find(|id| names(line, id)) {
                let message = format!("names the vendor `{id}`; vendors are rows of {ROWS}");
                out.push(Breach::new(&source.path, number, message));
            }
        }
    }
}

/// The provider ids that are no format's name.
fn ids(rows: &Source) -> Vec<String> {
    struct Ids(Vec<String>);
    impl<'ast> Visit<'ast> for Ids {
        fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
            if let (syn::Member::Named(name), syn::Expr::Lit(value)) = (&field.member, &field.expr)
                && let (true, syn::Lit::Str(id)) = (name == "id", &value.lit)
            {
                self.0.push(id.value());
            }
            visit::visit_field_value(self, field);
        }
    }
    let mut found = Ids(Vec::new());
    found.visit_file(&rows.ast);
    found.0.retain(|id| !FORMATS.contains(&id.as_str()));
    found.0
}

fn names(line: &Line, id: &str) -> bool {
    let machine = !line.literal.trim().contains(' ');
    let prose = !ENGLISH.contains(&id);
    mentions(&line.code, id)
        || ((prose || machine) && mentions(&line.literal, id))
        || (prose && mentions(&line.comment, id))
}

/// Whether `id` is a word of `text`, also as a part of `SNAKE_CASE` and `CamelCase`.
fn mentions(text: &str, id: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices(id).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let first = text.get(at..).and_then(|text| text.chars().next());
        let last = text.get(..at + id.len()).and_then(|text| text.chars().next_back());
        let after = text.get(at + id.len()..).and_then(|text| text.chars().next());
        splits(before, first) && splits(last, after)
    })
}

/// Whether a word ends between two characters: at anything but a letter or digit, or where `camelCase` steps up.
fn splits(left: Option<char>, right: Option<char>) -> bool {
    let inside = |side: Option<char>| side.is_some_and(|side| is_word(side) && side != '_');
    let step = left.is_some_and(|left| !left.is_uppercase()) && right.is_some_and(char::is_uppercase);
    !inside(left) || !inside(right) || step
}

#[cfg(test)]
mod tests {
    use super::{ROWS, check};
    use crate::tidy::source::Tree;

    const CATALOG: &str =
        r#"const A: [Row; 3] = [Row { id: "groq" }, Row { id: "together" }, Row { id: "openai" }];"#;

    #[test]
    fn vendors_are_named_once() {
        let table = [
            ("crates/engine/src/a.rs", "fn f() { if p == \"groq\" {} }", 1),
            ("crates/engine/src/a.rs", "// Groq sends this early.", 1),
            ("crates/engine/src/a.rs", "const GROQ_API_KEY: u8 = 1;", 1),
            ("crates/engine/src/a.rs", "struct GroqQuirk;", 1),
            ("crates/engine/src/a.rs", "struct Agroq;", 0),
            ("crates/engine/src/a.rs", "fn groqish() {}", 0),
            ("crates/engine/src/a.rs", "// Taken together, f(\"all together now\").", 0),
            ("crates/engine/src/a.rs", "fn f() { g(\"together/llama\") }", 1),
            ("crates/engine/src/a.rs", "// openai is a format here.", 0),
            ("crates/engine/src/a.rs", "#[cfg(test)]\nmod tests { const A: &str = \"groq\"; }", 0),
            ("crates/engine/tests/a.rs", "const A: &str = \"groq\";", 0),
            ("crates/catalog/src/lib.rs", "const A: &str = \"groq\";", 0),
        ];
        for (path, text, breaches) in table {
            let mut out = Vec::new();
            check(&Tree::of(&[(ROWS, CATALOG), (path, text)]), &mut out);
            assert_eq!(out.len(), breaches, "{path}: {text}: {out:?}");
        }
    }

    #[test]
    fn a_catalog_without_ids_is_itself_a_breach() {
        let mut out = Vec::new();
        check(&Tree::of(&[(ROWS, "const A: u8 = 1;")]), &mut out);
        assert_eq!(out.len(), 1);
        out.clear();
        check(&Tree::of(&[("crates/a/src/a.rs", "// groq")]), &mut out);
        assert_eq!(out, [], "no catalog, no names");
    }
}
