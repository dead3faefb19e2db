//! From what was written to what it means. Everything is checked even after the first problem, so that one run
//! shows them all; a [`Config`] comes out only when there is none.

mod breakers;
mod callers;
mod models;
mod providers;
mod routes;
mod server;
mod unenforced;

use crate::config::Config;
use crate::raw::{self, Section};
use crate::report::{Findings, Place, Report};
use crate::secrets::Secrets;
use unfail_catalog::Catalog;

/// Checks a whole configuration file.
///
/// `file` is how the file is called in the report. The configuration is `None` exactly when the report has
/// problems; warnings alone do not stop it. An empty file is zero configuration: route `auto` over whatever
/// providers have a key in the environment.
pub fn load(file: &str, bytes: &[u8], secrets: &dyn Secrets) -> (Option<Config>, Report) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let text = String::from_utf8_lossy(valid);
            let mut findings = Findings::new(file, &text);
            let place = Place { span: text.len()..text.len(), ..Place::default() };
            findings.problem(&place, "the file is not UTF-8", None);
            return (None, findings.report());
        }
    };
    let mut findings = Findings::new(file, text);
    let config = check(text, secrets, &mut findings);
    let report = findings.report();
    (config.filter(|_| report.problems.is_empty()), report)
}

impl Config {
    /// Zero configuration: as an empty file.
    pub fn from_env(secrets: &dyn Secrets) -> (Option<Self>, Report) {
        load("environment", b"", secrets)
    }
}

fn check(text: &str, secrets: &dyn Secrets, findings: &mut Findings<'_>) -> Option<Config> {
    let root = raw::read(text, findings);
    let embedded = match Catalog::embedded() {
        Ok(catalog) => catalog,
        Err(error) => {
            findings.problem(&Place::default(), error.to_string(), None);
            return None;
        }
    };
    check_names(&root, findings);
    let providers = providers::check(&root, secrets, findings);
    let catalog = models::check(&root, &providers, embedded, findings);
    let (routes, defaults) = routes::check(&root, &providers, &catalog, secrets, findings);
    let breakers = breakers::settle(&root, &routes, &defaults.breaker, findings);
    let callers = callers::check(&root, &routes, secrets, findings);
    let server = server::check(&root, findings)?;
    Some(Config { server, providers: providers.usable, catalog, routes, callers, defaults, breakers })
}

/// Longest name in metrics, logs and headers, in characters.
const LONGEST_NAME: usize = 64;

/// Names the operator chooses end up in metrics, logs, headers and `provider/model`: they are plain.
fn check_names(root: &Section, findings: &mut Findings<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for section in
        ["providers", "routes", "keys"].iter().filter_map(|name| root.table(name)).flat_map(Section::tables)
    {
        let name = &section.name;
        if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(plain) {
            let message = format!("a name has at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`");
            findings.problem(&section.place, message, None);
        }
    }
}
