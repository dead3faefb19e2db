//! Module cycles: no two modules of a folder may need each other, directly or through others.
//!
//! Looked at once per module that has children. Its children and its own code are the nodes: a parent that calls
//! its child while the child uses the parent's types is a cycle too.

use super::modules::{ModulePath, Modules};
use super::source::{Breach, Tree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A child's name, or the parent's own code.
type Node = Option<String>;

/// Where one module of `from` first refers to one of `to`.
type Edges = BTreeMap<Node, BTreeMap<Node, (String, usize)>>;

/// Checks every crate.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    let roots: BTreeSet<&str> = tree
        .sources
        .iter()
        .filter_map(|source| source.path.find("src/").and_then(|at| source.path.get(..at + 4)))
        .collect();
    for root in roots {
        let modules = Modules::read(root, &tree.sources);
        for parent in modules.all.keys() {
            folder(parent, &modules, out);
        }
    }
}

fn folder(parent: &ModulePath, modules: &Modules, out: &mut Vec<Breach>) {
    let edges = edges(parent, modules);
    let mut reported: BTreeSet<Node> = BTreeSet::new();
    for node in edges.keys() {
        let Some(cycle) = shortest_cycle(node, &edges) else { continue };
        if cycle.iter().any(|node| reported.contains(node)) {
            continue;
        }
        let name = |node: &Node| match node {
            Some(child) => child.clone(),
            None => {
                parent.last().map_or_else(|| "the crate's root".to_owned(), |own| format!("{own} (own code)"))
            }
        };
        let first = cycle.get(1).and_then(|next| edges.get(node)?.get(next));
        if let Some((file, line)) = first {
            let path: Vec<String> = cycle.iter().map(name).collect();
            out.push(Breach::new(file, *line, format!("module cycle: {}", path.join(" → "))));
        }
        reported.extend(cycle);
    }
}

fn edges(parent: &ModulePath, modules: &Modules) -> Edges {
    let node = |path: &ModulePath| path.get(parent.len()).cloned();
    let mut edges = Edges::new();
    for (path, module) in modules.all.iter().filter(|(path, _)| path.starts_with(parent)) {
        for reference in &module.references {
            let Some(place) = modules.resolve(path, reference) else { continue };
            // Naming the parent module alone uses nothing of its own code.
            let inside = place.module.starts_with(parent) && (place.item || place.module != *parent);
            let (from, to) = (node(path), node(&place.module));
            if inside && from != to {
                edges
                    .entry(from)
                    .or_default()
                    .entry(to)
                    .or_insert_with(|| (module.file.clone(), reference.line));
            }
        }
    }
    edges
}

/// The shortest way from a node back to itself, both ends named.
fn shortest_cycle(start: &Node, edges: &Edges) -> Option<Vec<Node>> {
    let mut came_from: BTreeMap<&Node, &Node> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in edges.get(node)?.keys().filter(|next| edges.contains_key(*next)) {
            if next == start {
                let mut cycle = vec![start.clone(), node.clone()];
                let mut at = node;
                while let Some(before) = came_from.get(at) {
                    cycle.push((*before).clone());
                    at = before;
                }
                cycle.reverse();
                return Some(cycle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Tree;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("crates/x/src/{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let mut out = Vec::new();
        check(&Tree::of(&files), &mut out);
        out.iter().map(|breach| breach.to_string().replace("crates/x/src/", "")).collect()
    }

    #[test]
    fn cycles_between_siblings() {
        let root = ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;");
        let table: &[(&str, &str, &str, Option<&str>)] = &[
            ("use crate::b::B;", "use crate::c::C;", "", None),
            ("use crate::b::B;", "use crate::a::A;", "", Some("a.rs:1: module cycle: a → b → a")),
            (
                "use super::b;",
                "fn f() { crate::c::g() }",
                "use super::{a::X, std};",
                Some("a.rs:1: module cycle: a → b → c → a"),
            ),
            ("use crate::b::B;", "#[cfg(test)]\nmod tests { use crate::a::A; }", "", None),
            (
                "use crate::b::B;",
                "fn f() -> crate::A { todo() }",
                "",
                Some("a.rs:1: module cycle: a → b → a"),
            ),
            (
                "use crate::b::B;",
                "fn f() { assert!(crate::a::x() == 1); }",
                "",
                Some("a.rs:1: module cycle: a → b → a"),
            ),
            ("use crate::b::B;", "fn f(a: &str) { let a = a::b(); }", "", None),
            (
                "use crate::b as beta;",
                "mod inner { use super::super::a::A; }",
                "",
                Some("a.rs:1: module cycle: a → b → a"),
            ),
            ("use crate::b::B;", "pub(in crate::a) fn f() {}", "", None),
        ];
        for (a, b, c, expected) in table {
            let a = format!("{a}\npub struct A;");
            let result = found(&[root, ("a.rs", &a), ("b.rs", b), ("c.rs", c)]);
            let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(result, expected, "{a} | {b} | {c}");
        }
    }

    #[test]
    fn parents_and_children() {
        let table: &[(&str, &str, &[&str])] = &[
            // Declaring and re-exporting a child needs nothing of it.
            ("mod child;\npub use child::C;\npub struct P;", "use super::P;\npub struct C;", &[]),
            ("mod child;\npub use child::*;\npub struct P;", "use super::P;\npub struct C;", &[]),
            ("mod child;\nuse child::C;\npub struct P;", "pub struct C;", &[]),
            (
                "mod child;\nfn f() { child::g() }\npub struct P;",
                "use super::P;",
                &["p/mod.rs:2: module cycle: p (own code) → child → p (own code)"],
            ),
            (
                "mod child;\nuse child::C;\npub struct P;",
                "use super::*;\npub struct C;",
                &["p/mod.rs:2: module cycle: p (own code) → child → p (own code)"],
            ),
            // Reaching an uncle through the parent is no use of the parent.
            ("mod child;\nfn f() { child::g() }\npub struct P;", "use super::super::u::U;", &[]),
        ];
        for (parent, child, expected) in table {
            let result = found(&[
                ("lib.rs", "mod p;\nmod u;"),
                ("p/mod.rs", parent),
                ("p/child.rs", child),
                ("u.rs", "pub struct U;"),
            ]);
            assert_eq!(result, *expected, "{parent} | {child}");
        }
    }

    #[test]
    fn siblings_in_a_folder_and_inline_modules() {
        let result = found(&[
            ("lib.rs", "mod p;"),
            ("p/mod.rs", "mod a;\nmod b;"),
            ("p/a.rs", "use super::b::B;"),
            ("p/b.rs", "use crate::p::a::A;"),
        ]);
        assert_eq!(result, ["p/a.rs:1: module cycle: a → b → a"]);
        let inline = found(&[("lib.rs", "mod a { use super::b::B; }\nmod b {\n  use crate::a::A;\n}")]);
        assert_eq!(inline, ["lib.rs:1: module cycle: a → b → a"]);
    }

    #[test]
    fn a_binary_beside_a_library_is_its_own_crate() {
        let result =
            found(&[("lib.rs", "pub mod a;"), ("a.rs", "use crate::main_only;"), ("main.rs", "use x::a;")]);
        assert!(result.is_empty(), "{result:?}");
    }
}
