//! The list of keys as things people read: a commented default file and a reference in Markdown.

use crate::keys::{KEYS, Key, TABLES, Table};
use std::fmt::Write as _;

/// Widest line of the commented file, in characters.
const WIDTH: usize = 110;

/// A configuration file that says everything and changes nothing: every key with its default (or, where there is
/// none, an example) behind a `#`, prose behind a `# `.
#[must_use]
pub fn template() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "Configuration of unfail. Everything here is optional: without a file, providers are found by the keys in \
         the environment. Remove a `#` to set a key; the values shown are the defaults, or examples where there is \
         no default. Secrets are written as references: `env:NAME` or `file:PATH`.",
    );
    for table in TABLES {
        out.push('\n');
        comment(&mut out, table.doc);
        line(&mut out, format_args!("#[{}]", table.heading));
        for key in keys_of(table) {
            comment(&mut out, &doc(key));
            let value = if key.default.is_empty() { key.example } else { key.default };
            line(&mut out, format_args!("#{} = {value}", name(table, key)));
        }
    }
    out
}

/// Every key in Markdown: one table of keys for each table of the file.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    for table in TABLES {
        let heading = table.pattern.replace('*', "NAME");
        line(&mut out, format_args!("## `[{heading}]`\n\n{}\n", table.doc));
        line(&mut out, format_args!("| key | value | default | meaning |\n| --- | --- | --- | --- |"));
        for key in keys_of(table) {
            let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            let (name, value) = (name(table, key), key.kind.describe());
            line(&mut out, format_args!("| `{name}` | {value} | {default} | {} |", doc(key)));
        }
        out.push('\n');
    }
    out
}

fn keys_of(table: &Table) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.path.strip_prefix(table.pattern).is_some_and(|rest| rest.starts_with('.')))
}

/// The key's name within its table.
fn name<'k>(table: &Table, key: &'k Key) -> &'k str {
    key.path.strip_prefix(table.pattern).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key.path)
}

/// What the key means, and whether it does anything yet.
fn doc(key: &Key) -> String {
    if key.is_enforced() {
        key.doc.to_owned()
    } else {
        format!("READ, NOT ENFORCED in this version. {}", key.doc)
    }
}

/// Prose behind `# `, broken at words.
fn comment(out: &mut String, prose: &str) {
    let mut width = WIDTH;
    for word in prose.split(' ') {
        let needed = word.chars().count().saturating_add(1);
        if width.saturating_add(needed) > WIDTH {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push('#');
            width = 1;
        }
        out.push(' ');
        out.push_str(word);
        width = width.saturating_add(needed);
    }
    out.push('\n');
}

fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::load;
    use crate::report::Report;
    use crate::secrets::World;
    use secrecy::ExposeSecret;

    fn world() -> World {
        World {
            env: vec![("IN_HOUSE_KEY", "key-1"), ("WEB_APP_KEY", "key-3")],
            files: vec![
                ("/run/secrets/in-house", "key-2\n"),
                ("/etc/unfail/in-house-ca.pem", "-----BEGIN CERTIFICATE-----\n"),
                ("schemas/reply.json", "{}"),
            ],
        }
    }

    fn check(text: &str) -> (String, Report) {
        let (config, report) = load("f", text.as_bytes(), &world());
        let callers = config.iter().flat_map(|config| &config.callers);
        let secrets: Vec<_> = callers.map(|caller| caller.secret.expose_secret()).collect();
        (format!("{config:?} {secrets:?}"), report)
    }

    /// The template with every key set.
    fn uncommented() -> String {
        let text = template();
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_changes_nothing() {
        assert_eq!(check(&template()), check(""));
        assert_eq!(check("").1, Report::default());
        assert!(template().lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn the_template_without_comment_signs_has_no_problem() {
        let text = uncommented();
        let (_, report) = check(&text);
        assert_eq!(report.problems, []);
        assert!(report.warnings.iter().all(|warning| warning.message.contains("not enforced")), "{report}");
        let keys =
            text.lines().filter(|line| !line.starts_with(['#', '['])).filter(|line| line.contains(" = "));
        assert_eq!(keys.count(), KEYS.len());
    }

    #[test]
    fn the_defaults_written_out_are_the_defaults() {
        let mut text = String::new();
        for key in KEYS {
            // What has no default is left out, as are the tables that would then be empty.
            if !key.default.is_empty() {
                line(&mut text, format_args!("{} = {}", key.path.replace('*', "x"), key.default));
            }
        }
        let short =
            "routes.x.chain = ['x/z']\nproviders.x.wire = 'openai-chat'\nproviders.x.base_url = 'http://y'";
        text.push_str(short);
        let (written, report) = check(&text);
        assert_eq!(report.problems, []);
        assert_eq!(written, check(short).0);
    }

    #[test]
    fn no_key_is_without_effect() {
        let needed = [
            ("providers.*.wire", r#""anthropic""#),
            ("providers.*.base_url", r#""http://y""#),
            ("routes.*.chain", r#"["in-house/other"]"#),
            ("keys.*.secret", r#""env:IN_HOUSE_KEY""#),
        ];
        let name = |path: &str| {
            let table = TABLES.iter().find(|table| path.starts_with(table.pattern)).unwrap();
            path.replacen(table.pattern, table.heading, 1)
        };
        let file = |changed: &str, value: &str| {
            let others = needed.iter().filter(|(path, _)| *path != changed);
            let lines = others.map(|(path, value)| format!("{} = {value}\n", name(path)));
            lines.collect::<String>() + &format!("{} = {value}\n", name(changed))
        };
        let usual = "models.\"in-house/my-model\".tools = false\n";
        let before = check(&(usual.to_owned() + &file("server.mode", r#""developer""#)));
        assert_eq!(before.1.problems, []);
        for key in KEYS {
            let usual = if key.path == "models.*.tools" { "" } else { usual };
            let (config, report) = check(&(usual.to_owned() + &file(key.path, key.example)));
            let effect = config != before.0
                || report.problems != before.1.problems
                || report.warnings.len() != before.1.warnings.len();
            assert!(effect, "{} = {} changes nothing", key.path, key.example);
        }
    }

    /// What the template says of a key is what the check says of it.
    #[test]
    fn keys_without_effect_are_marked() {
        let usual = "routes.support_reply.chain = ['in-house/my-model']\nkeys.web-app.secret = 'env:WEB_APP_KEY'\n\
                     providers.in-house.wire = 'openai-chat'\nproviders.in-house.base_url = 'http://y'\n\
                     models.'in-house/my-model'.context = 8000\n";
        let (mut enforced, mut unenforced) = (0, 0);
        for key in KEYS {
            let table = TABLES.iter().find(|table| key.path.starts_with(table.pattern)).unwrap();
            let path = key.path.replacen(table.pattern, table.heading, 1);
            let kept = usual.lines().filter(|line| !line.starts_with(&path.replace('"', "'")));
            let text = format!("{}\n{path} = {}", kept.collect::<Vec<_>>().join("\n"), key.example);
            let (_, report) = check(&text);
            let warned = report.warnings.iter().any(|warning| warning.message.contains("not enforced"));
            assert_eq!(warned, !key.is_enforced(), "{}: {report}", key.path);
            assert_eq!(doc(key).contains("NOT ENFORCED"), warned, "{}", key.path);
            *if warned { &mut unenforced } else { &mut enforced } += 1;
        }
        assert!(enforced > 30 && unenforced > 8, "{enforced} {unenforced}");
    }

    #[test]
    fn the_reference_names_every_key() {
        let text = reference();
        for table in TABLES {
            for key in keys_of(table) {
                assert!(text.contains(&format!("| `{}` | ", name(table, key))), "{}", key.path);
            }
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), KEYS.len());
    }
}
