//! What the rules look at: parsed Rust files, manifests and other texts of the repository.
//!
//! Built from text alone, so that a rule's tests need no files. Only [`Tree::read`] touches the disk.

use super::lex::{self, Line};
use proc_macro2::Span;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Command;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What a flat table says of itself; may stand above the file's `//!`.
pub(crate) const TABLE_MARK: &str = "// tidy: table";

/// A rule broken at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    /// Path from the repository's root.
    pub path: String,
    /// Line, counted from 1; 1 when the whole file is meant.
    pub line: usize,
    /// What is wrong, and the limit.
    pub message: String,
}

impl Breach {
    /// A breach at `path:line`.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A Rust file.
pub(crate) struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// The file's lines, taken apart.
    pub lines: Vec<Line>,
    /// The file as `syn` sees it.
    pub ast: syn::File,
    /// The file is a flat table (`// tidy: table`) and exempt from size limits.
    pub table: bool,
    /// The whole file is test code.
    pub test: bool,
    test_lines: Vec<(usize, usize)>,
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// A breach when the text is no Rust.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, Breach> {
        let ast = syn::parse_file(text)
            .map_err(|error| Breach::new(path, first_line(error.span()), format!("not parsed: {error}")))?;
        let mut tests = TestItems::default();
        tests.visit_file(&ast);
        let lines = lex::lines(text);
        let table = lines.iter().any(|line| line.comment.trim() == TABLE_MARK);
        let test = path.split('/').rev().skip(1).any(|folder| matches!(folder, "tests" | "benches"));
        Ok(Self { path: path.to_owned(), lines, ast, table, test, test_lines: tests.ranges })
    }

    /// Whether a line (from 1) belongs to test code.
    pub(crate) fn in_test(&self, line: usize) -> bool {
        self.test || self.test_lines.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// Lines outside tests, with their numbers.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered().filter(|(number, _)| !self.in_test(*number))
    }

    /// All lines with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Files that only exist under `#[cfg(test)] mod name;` in this one.
    fn test_modules(&self) -> impl Iterator<Item = String> + '_ {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let own = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        self.ast.items.iter().filter_map(move |item| match item {
            syn::Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => {
                Some(format!("{own}/{}", module.ident))
            }
            _ => None,
        })
    }
}

/// Any other file that is text.
pub(crate) struct Text {
    /// Path from the repository's root.
    pub path: String,
    /// The whole file.
    pub text: String,
}

/// The repository as the rules see it.
#[derive(Default)]
pub(crate) struct Tree {
    /// Rust files.
    pub sources: Vec<Source>,
    /// Every text file, Rust files and manifests included.
    pub texts: Vec<Text>,
    /// Every path, text or not.
    pub paths: Vec<String>,
}

impl Tree {
    /// Builds a tree from paths and texts, reporting files that cannot be parsed.
    pub(crate) fn build(files: impl IntoIterator<Item = (String, String)>, out: &mut Vec<Breach>) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            if path.ends_with(".rs") {
                match Source::parse(&path, &text) {
                    Ok(source) => tree.sources.push(source),
                    Err(breach) => out.push(breach),
                }
            }
            tree.paths.push(path.clone());
            tree.texts.push(Text { path, text });
        }
        let tests: BTreeSet<String> = tree.sources.iter().flat_map(Source::test_modules).collect();
        for source in &mut tree.sources {
            let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
            source.test |= stem
                .match_indices('/')
                .any(|(at, _)| stem.get(..at).is_some_and(|folder| tests.contains(folder)))
                || tests.contains(stem);
        }
        tree
    }

    /// Reads every file git tracks or would track.
    ///
    /// # Errors
    /// When git does not answer.
    pub(crate) fn read(root: &Path, out: &mut Vec<Breach>) -> Result<Self, String> {
        let listing = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git ls-files: {error}"))?;
        if !listing.status.success() {
            return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listing.stderr).trim()));
        }
        let paths: BTreeSet<String> = String::from_utf8_lossy(&listing.stdout)
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        let files = paths.iter().filter_map(|path| {
            std::fs::read_to_string(root.join(path)).ok().map(|text| (path.clone(), text))
        });
        let mut tree = Self::build(files, out);
        tree.paths = paths.into_iter().collect();
        Ok(tree)
    }

    /// Parses one in-memory file for a rule's test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut out = Vec::new();
        let tree =
            Self::build(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())), &mut out);
        assert_eq!(out, [], "test sources must parse");
        tree
    }
}

/// Line a span starts on, from 1.
pub(crate) fn first_line(span: Span) -> usize {
    span.start().line
}

/// Line a span ends on, from 1.
pub(crate) fn last_line(span: Span) -> usize {
    span.end().line
}

/// Whether attributes make an item test code: `#[cfg(test)]`, `#[test]`, `#[tokio::test]`.
pub(crate) fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        syn::Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let text = list.tokens.to_string();
            text.split(|character| !lex::is_word(character)).any(|word| word == "test")
                && !text.contains("not")
        }
        syn::Meta::List(list) => list.path.segments.last().is_some_and(|last| last.ident == "test"),
        syn::Meta::NameValue(_) => false,
    })
}

#[derive(Default)]
struct TestItems {
    ranges: Vec<(usize, usize)>,
}

impl TestItems {
    /// Records the item if its attributes say so; returns whether to look inside.
    fn enter(&mut self, attrs: &[syn::Attribute], span: Span) -> bool {
        let test = is_test(attrs);
        if test {
            let first = attrs.iter().map(|attr| first_line(attr.span())).min();
            self.ranges.push((first.unwrap_or_else(|| first_line(span)), last_line(span)));
        }
        !test
    }
}

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if self.enter(item_attrs(item), item.span()) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attrs: &[syn::Attribute] = match item {
            syn::ImplItem::Fn(function) => &function.attrs,
            syn::ImplItem::Const(constant) => &constant.attrs,
            _ => &[],
        };
        if self.enter(attrs, item.span()) {
            visit::visit_impl_item(self, item);
        }
    }
}

fn item_attrs(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, Tree};

    #[test]
    fn test_code_is_told_apart() {
        let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(not(test))]\nfn c() {}\n\
                    impl X {\n    #[cfg(test)]\n    fn d() {}\n    fn e() {}\n}\n#[tokio::test]\nasync fn f() {}\n";
        let source = Source::parse("crates/x/src/a.rs", text).unwrap();
        let tests: Vec<usize> = (1..=15).filter(|line| source.in_test(*line)).collect();
        assert_eq!(tests, [3, 4, 5, 6, 10, 11, 14, 15]);
    }

    #[test]
    fn files_of_test_modules_are_test_code() {
        let tree = Tree::of(&[
            ("crates/x/src/lib.rs", "mod a;\n#[cfg(test)]\nmod helpers;"),
            ("crates/x/src/helpers.rs", ""),
            ("crates/x/src/a.rs", "#[cfg(test)]\nmod tests;"),
            ("crates/x/src/a/tests/mod.rs", ""),
            ("crates/x/src/a/tests/more.rs", ""),
            ("crates/x/src/a/product.rs", ""),
            ("crates/x/tests/all.rs", ""),
        ]);
        let tests: Vec<&str> =
            tree.sources.iter().filter(|source| source.test).map(|source| source.path.as_str()).collect();
        assert_eq!(
            tests,
            [
                "crates/x/src/helpers.rs",
                "crates/x/src/a/tests/mod.rs",
                "crates/x/src/a/tests/more.rs",
                "crates/x/tests/all.rs"
            ]
        );
    }

    #[test]
    fn text_that_is_no_rust_is_a_breach_at_its_line() {
        let breach = Source::parse("a.rs", "fn a() {}\nfn {").err().unwrap();
        assert_eq!((breach.path.as_str(), breach.line), ("a.rs", 2));
    }
}
