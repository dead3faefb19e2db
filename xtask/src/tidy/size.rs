//! Sizes: files, functions, parameters, fields, variants; and the `//!` every file opens with.
//!
//! Test code has no size limits, flat tables (`// tidy: table`) have none either.

use super::lex::Line;
use super::source::{Breach, Source, TABLE_MARK, Tree, first_line, last_line};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// Lines of code in a file: not blank, not comment, not test.
const FILE_LINES: usize = 600;
/// Lines of a function, signature and braces included.
const FUNCTION_LINES: usize = 70;
/// Parameters besides `self`.
const PARAMETERS: usize = 5;
/// Fields of a struct.
const FIELDS: usize = 15;
/// Variants of an enum.
const VARIANTS: usize = 15;

/// Checks every Rust file.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    for source in &tree.sources {
        opening(source, out);
        if source.table || source.test {
            continue;
        }
        let code = source.product_lines().filter(|(_, line)| line.is_code()).count();
        if code > FILE_LINES {
            out.push(Breach::new(&source.path, 1, format!("{code} lines of code (limit {FILE_LINES})")));
        }
        Sizes { source, out }.visit_file(&source.ast);
    }
}

fn opening(source: &Source, out: &mut Vec<Breach>) {
    let marker = |line: &&Line| line.comment.trim() == TABLE_MARK;
    let first = source.lines.iter().find(|line| !marker(line));
    let opens = first.is_some_and(|line| line.code.is_empty() && line.comment.starts_with("//!"));
    if !opens {
        out.push(Breach::new(
            &source.path,
            1,
            "does not open with `//!`: what is it for, what must it not do?",
        ));
    }
}

struct Sizes<'a> {
    source: &'a Source,
    out: &'a mut Vec<Breach>,
}

impl Sizes<'_> {
    fn limit(&mut self, line: usize, found: usize, limit: usize, what: &str) {
        if found > limit && !self.source.in_test(line) {
            self.out.push(Breach::new(&self.source.path, line, format!("{what}: {found} (limit {limit})")));
        }
    }

    fn function(&mut self, signature: &syn::Signature, last: usize) {
        let (line, name) = (first_line(signature.span()), &signature.ident);
        self.limit(line, last + 1 - line, FUNCTION_LINES, &format!("lines of `fn {name}`"));
        let inputs = signature.inputs.iter();
        let parameters = inputs.filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        self.limit(line, parameters, PARAMETERS, &format!("parameters of `fn {name}`"));
    }
}

impl<'ast> Visit<'ast> for Sizes<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, last_line(function.block.span()));
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, last_line(function.block.span()));
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        self.function(&function.sig, last_line(function.span()));
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let line = first_line(item.ident.span());
        self.limit(line, item.fields.len(), FIELDS, &format!("fields of `struct {}`", item.ident));
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        let line = first_line(item.ident.span());
        self.limit(line, item.variants.len(), VARIANTS, &format!("variants of `enum {}`", item.ident));
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Tree;

    fn found(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        check(&Tree::of(&[("crates/x/src/a.rs", text)]), &mut out);
        out.iter().map(|breach| format!("{}: {}", breach.line, breach.message)).collect()
    }

    fn body(lines: usize) -> String {
        "    a();\n".repeat(lines)
    }

    #[test]
    fn limits_are_inclusive() {
        let fields = |count| (0..count).map(|index| format!("f{index}: u8,")).collect::<String>();
        let variants = |count| (0..count).map(|index| format!("V{index},")).collect::<String>();
        let table = [
            (format!("fn f() {{\n{}}}\n", body(68)), None),
            (format!("fn f() {{\n{}}}\n", body(69)), Some("2: lines of `fn f`: 71 (limit 70)")),
            (format!("#[test]\nfn f() {{\n{}}}\n", body(99)), None),
            (
                format!("trait T {{\n/// x\nfn f() {{\n{}}}\n}}\n", body(69)),
                Some("4: lines of `fn f`: 71 (limit 70)"),
            ),
            ("impl X { fn f(&self, a: A, b: A, c: A, d: A, e: A) {} }".to_owned(), None),
            (
                "impl X { fn f(a: A, b: A, c: A, d: A, e: A, f: A) {} }".to_owned(),
                Some("2: parameters of `fn f`: 6 (limit 5)"),
            ),
            (format!("struct S {{ {} }}", fields(15)), None),
            (format!("struct S {{ {} }}", fields(16)), Some("2: fields of `struct S`: 16 (limit 15)")),
            (format!("enum E {{ {} }}", variants(15)), None),
            (format!("enum E {{ {} }}", variants(16)), Some("2: variants of `enum E`: 16 (limit 15)")),
            (format!("// tidy: table\nenum E {{ {} }}", variants(16)), None),
            (format!("#[cfg(test)]\nmod tests {{ enum E {{ {} }} }}", variants(16)), None),
            ("const A: u8 = 1;\n".repeat(600), None),
            ("const A: u8 = 1;\n".repeat(601), Some("1: 601 lines of code (limit 600)")),
            ("// x\n\nconst A: u8 = 1;\n".repeat(600), None),
            (format!("#[cfg(test)]\nmod tests {{\n{}}}", "const A: u8 = 1;\n".repeat(900)), None),
        ];
        for (text, expected) in table {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            let start: String = text.chars().take(60).collect();
            assert_eq!(found(&format!("//! X.\n{text}")), expected, "{start}");
        }
    }

    #[test]
    fn files_open_with_their_purpose() {
        for (text, breaches) in [
            ("//! X.\n", 0),
            ("// tidy: table\n//! X.\n", 0),
            ("// X.\n", 1),
            ("", 1),
            ("\n//! X.\n", 1),
            ("#![no_main]\n//! X.", 1),
        ] {
            assert_eq!(found(text).len(), breaches, "{text:?}");
        }
    }
}
