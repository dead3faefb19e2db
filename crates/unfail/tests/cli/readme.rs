//! What the README promises about providers is what the catalog holds.

use unfail_catalog::{AUTO_ORDER, PROVIDERS};

const README: &str = include_str!("../../../../README.md");

#[test]
fn the_table_of_providers_is_the_catalog() {
    let code = |text: &str| format!("`{text}`");
    let expected: Vec<String> = PROVIDERS
        .iter()
        .map(|row| {
            let variables: Vec<String> = row.key_env.iter().map(|name| code(name)).collect();
            let variables = match variables.as_slice() {
                [] => format!("none; add `[providers.{}]`", row.id),
                names => names.join(" or "),
            };
            let model = row.default_model.map(code).unwrap_or_default();
            format!("| {} | `{}` | {variables} | {model} |", row.title, row.id).replace("|  |", "| |")
        })
        .collect();
    let (_, table) = README.split_once("| provider | id |").unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

#[test]
fn the_automatic_order_is_the_catalogs() {
    let order: Vec<String> = AUTO_ORDER.iter().map(|id| format!("`{id}`")).collect();
    assert!(README.contains(&order.join(", ")), "{order:?}");
}
