//! Every dependency has its reason: a row of ARCHITECTURE.md's table, and no row without its dependency.

use super::source::{Breach, Tree};
use std::collections::BTreeSet;

const MANIFEST: &str = "Cargo.toml";
const TABLE: &str = "ARCHITECTURE.md";
/// Heading above the table.
const HEADING: &str = "## Dependencies";

/// Compares the workspace's dependencies with the table.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    let text = |path: &str| tree.texts.iter().find(|text| text.path == path).map(|text| text.text.as_str());
    let (Some(manifest), Some(table)) = (text(MANIFEST), text(TABLE)) else { return };
    let listed = listed(table);
    let wanted = wanted(manifest);
    for (name, line) in &wanted {
        if !listed.iter().any(|(row, _)| row == name) {
            out.push(Breach::new(MANIFEST, *line, format!("`{name}` has no reason in {TABLE}")));
        }
    }
    let wanted: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
    for (name, line) in listed.iter().filter(|(name, _)| !wanted.contains(name)) {
        out.push(Breach::new(TABLE, *line, format!("`{name}` is no dependency of the workspace")));
    }
}

/// Foreign crates of `[workspace.dependencies]`, with their lines.
fn wanted(manifest: &str) -> Vec<(String, usize)> {
    let section = numbered(manifest).skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    section
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.contains("path = "))
        .filter_map(|(number, line)| Some((line.split_once(" = ")?.0.to_owned(), number)))
        .collect()
}

/// Names in back quotes in the first column of the table.
fn listed(document: &str) -> Vec<(String, usize)> {
    let section = numbered(document).skip_while(|(_, line)| *line != HEADING).skip(1);
    section
        .take_while(|(_, line)| !line.starts_with("## "))
        .filter_map(|(number, line)| Some((number, line.strip_prefix('|')?.split('|').next()?)))
        .flat_map(|(number, cell)| {
            cell.split('`').skip(1).step_by(2).map(move |name| (name.to_owned(), number))
        })
        .collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Tree;

    #[test]
    fn table_and_manifest_agree() {
        let manifest = "[workspace.dependencies]\nown = { path = \"own\" }\n\nbytes = \"1\"\n# tests\nhttp = { version = \"1\" }\n\n[x]\na = 1\n";
        let table = |rows: &str| {
            format!(
                "| `other` | x |\n## Dependencies\n\n| crate | for |\n| --- | --- |\n{rows}## More\n| `z` | z |\n"
            )
        };
        let cases: [(&str, &[&str]); 3] = [
            ("| `bytes`, `http` | both, not `this` |\n", &[]),
            ("| `bytes` | x |\n", &["Cargo.toml:6: `http` has no reason in ARCHITECTURE.md"]),
            (
                "| `bytes` | x |\n| `http` | x |\n| `tower` | x |\n",
                &["ARCHITECTURE.md:8: `tower` is no dependency of the workspace"],
            ),
        ];
        for (rows, expected) in cases {
            let mut out = Vec::new();
            check(&Tree::of(&[("Cargo.toml", manifest), ("ARCHITECTURE.md", &table(rows))]), &mut out);
            let found: Vec<String> = out.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{rows}");
        }
    }
}
