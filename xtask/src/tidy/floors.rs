//! Floor arrows: which of our crates a crate may use, and what each must never link.
//!
//! Read from the manifests, not from the code: a dependency nobody uses yet is still a door left open.
//! Development dependencies are free; bans for the whole tree stand in `deny.toml`.

use super::source::{Breach, Tree};

/// One crate's place.
struct Floor {
    package: &'static str,
    /// Our crates it may depend on.
    uses: &'static [&'static str],
    /// Foreign crates it must not depend on.
    never: &'static [&'static str],
}

/// What would let waiting, chance or logging into a pure crate.
const IMPURE: &[&str] =
    &["tokio", "tokio-util", "hyper", "hyper-util", "hyper-rustls", "axum", "tower", "tracing", "rand"];
/// The same, and no JSON values: a machine decides on facts, not on documents.
const IMPURE_OR_JSON: &[&str] = &[
    "tokio",
    "tokio-util",
    "hyper",
    "hyper-util",
    "hyper-rustls",
    "axum",
    "tower",
    "tracing",
    "rand",
    "serde_json",
];

const FLOORS: &[Floor] = &[
    Floor { package: "unfail-wire", uses: &[], never: IMPURE },
    Floor { package: "unfail-sim", uses: &[], never: &["hyper", "axum"] },
    Floor { package: "unfail-catalog", uses: &["unfail-wire"], never: IMPURE },
    Floor { package: "unfail-policy", uses: &["unfail-wire", "unfail-catalog"], never: IMPURE_OR_JSON },
    Floor {
        package: "unfail-config",
        uses: &["unfail-wire", "unfail-catalog", "unfail-policy"],
        never: IMPURE,
    },
    Floor {
        package: "unfail-engine",
        uses: &["unfail-wire", "unfail-catalog", "unfail-policy", "unfail-config"],
        never: &["axum"],
    },
    Floor {
        package: "unfail-server",
        uses: &["unfail-wire", "unfail-catalog", "unfail-policy", "unfail-config", "unfail-engine"],
        never: &[],
    },
    Floor {
        package: "unfail",
        uses: &[
            "unfail-wire",
            "unfail-sim",
            "unfail-catalog",
            "unfail-policy",
            "unfail-config",
            "unfail-engine",
            "unfail-server",
        ],
        never: &[],
    },
    Floor {
        package: "unfail-testkit",
        uses: &[
            "unfail-wire",
            "unfail-sim",
            "unfail-catalog",
            "unfail-policy",
            "unfail-config",
            "unfail-engine",
            "unfail-server",
        ],
        never: &[],
    },
    Floor { package: "unfail-bench", uses: &[], never: &[] },
    Floor { package: "xtask", uses: &[], never: &["tokio", "hyper"] },
];

/// Checks every manifest of the workspace.
pub(crate) fn check(tree: &Tree, out: &mut Vec<Breach>) {
    for text in &tree.texts {
        let manifest = text.path.ends_with("/Cargo.toml") && !text.path.starts_with("fuzz/");
        if manifest {
            manifest_breaches(&text.path, &text.text, out);
        }
    }
}

fn manifest_breaches(path: &str, text: &str, out: &mut Vec<Breach>) {
    let manifest = match text.parse::<toml::Table>() {
        Ok(manifest) => manifest,
        Err(error) => return out.push(Breach::new(path, 1, format!("not parsed: {}", error.message()))),
    };
    let package = manifest.get("package").and_then(|package| package.get("name")?.as_str()).unwrap_or("");
    let Some(floor) = FLOORS.iter().find(|floor| floor.package == package) else {
        return out.push(Breach::new(
            path,
            1,
            format!("package `{package}` has no row in the floor table of xtask/src/tidy/floors.rs"),
        ));
    };
    for name in dependencies(&manifest) {
        let ours = FLOORS.iter().any(|floor| floor.package == name);
        let line = line_of(text, &name);
        if ours && !floor.uses.contains(&name.as_str()) {
            let allowed = if floor.uses.is_empty() { "none".to_owned() } else { floor.uses.join(", ") };
            let message = format!("`{package}` may not depend on `{name}` (allowed of ours: {allowed})");
            out.push(Breach::new(path, line, message));
        } else if floor.never.contains(&name.as_str()) {
            out.push(Breach::new(path, line, format!("`{package}` may not depend on `{name}`")));
        }
    }
}

/// Names of all dependencies that ship: plain, build and per target; renamed ones by their real name.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let tables = std::iter::once(manifest).chain(
        manifest
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table)),
    );
    tables
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|section| table.get(section)))
        .filter_map(|section| section?.as_table())
        .flatten()
        .map(|(key, value)| value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned())
        .collect()
}

fn line_of(text: &str, name: &str) -> usize {
    let mut shipped = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            shipped = line.contains("dependencies") && !line.contains("dev-dependencies");
        }
        let key = line.split(['.', '=']).next().unwrap_or("").trim().trim_matches('"');
        if shipped && (key == name || line.contains(&format!("package = \"{name}\""))) {
            return index + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::{FLOORS, check};
    use crate::tidy::source::Tree;

    #[test]
    fn arrows_point_down() {
        // manifest below `[package] name`, breaches as `line: start of message`
        let table: &[(&str, &str, &[&str])] = &[
            ("unfail-wire", "[dependencies]\nserde.workspace = true", &[]),
            ("unfail-wire", "[dependencies]\nunfail-catalog.workspace = true", &["4: `unfail-wire` may not"]),
            ("unfail-wire", "[dependencies]\ntokio = \"1\"", &["4: `unfail-wire` may not"]),
            ("unfail-wire", "[dev-dependencies]\ntokio = \"1\"\nunfail-testkit = \"0\"", &[]),
            ("unfail-policy", "[dependencies]\nserde_json = \"1\"", &["4: `unfail-policy` may not"]),
            ("unfail-policy", "[dev-dependencies]\nserde_json = \"1\"", &[]),
            ("unfail-config", "[dependencies]\nserde_json = \"1\"\nunfail-policy = \"0\"", &[]),
            ("unfail-engine", "[dependencies]\nunfail-server = \"0\"", &["4: `unfail-engine` may not"]),
            ("unfail-engine", "[dependencies]\nunfail-testkit = \"0\"", &["4: `unfail-engine` may not"]),
            ("unfail", "[dependencies]\nunfail-sim = \"0\"", &[]),
            ("unfail", "[dependencies]\nunfail-testkit = \"0\"", &["4: `unfail` may not"]),
            ("unfail-sim", "[build-dependencies]\nunfail-wire = \"0\"", &["4: `unfail-sim` may not"]),
            (
                "unfail-catalog",
                "[target.'cfg(unix)'.dependencies]\nnet = { package = \"tokio\", version = \"1\" }",
                &["4: `unfail-catalog` may not"],
            ),
            ("unfail-new", "", &["1: package `unfail-new` has no row"]),
        ];
        for (package, rest, expected) in table {
            let text = format!("[package]\nname = \"{package}\"\n{rest}\n");
            let mut out = Vec::new();
            check(&Tree::of(&[("crates/x/Cargo.toml", &text)]), &mut out);
            let found: Vec<String> =
                out.iter().map(|breach| format!("{}: {}", breach.line, breach.message)).collect();
            assert_eq!(found.len(), expected.len(), "{package} {rest}: {found:?}");
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "{found} for {package} {rest}");
            }
        }
    }

    /// The table itself has no loop: every row uses only rows above it.
    #[test]
    fn the_table_is_a_staircase() {
        for (index, floor) in FLOORS.iter().enumerate() {
            for used in floor.uses {
                let below = FLOORS[..index].iter().any(|lower| lower.package == *used);
                assert!(below, "{} uses {used}, which is not below it", floor.package);
            }
        }
    }
}
