//! `[keys.*]`: caller keys kept in the file.

use super::unenforced;
use crate::config::{CallerKey, Route};
use crate::raw::Section;
use crate::report::{Findings, did_you_mean, shown};
use crate::secrets::Secrets;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// Checks every caller key's table.
pub(super) fn check(
    root: &Section,
    routes: &BTreeMap<String, Route>,
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> Vec<CallerKey> {
    let mut callers: Vec<CallerKey> = Vec::new();
    for section in root.table("keys").into_iter().flat_map(Section::tables) {
        unenforced::warn_table(section, "limits", findings);
        let Some(caller) = caller(section, routes, secrets, findings) else { continue };
        let twin = callers.iter().find(|known| known.secret.expose_secret() == caller.secret.expose_secret());
        if let Some(twin) = twin {
            let message = format!("is the same key as {}", shown(&twin.name));
            findings.problem(&section.place_at("secret"), message, None);
        }
        callers.push(caller);
    }
    callers
}

fn caller(
    section: &Section,
    routes: &BTreeMap<String, Route>,
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> Option<CallerKey> {
    let written = section.texts("routes");
    if written.as_ref().is_some_and(Vec::is_empty) {
        let hint = "leave it out to allow every route".to_owned();
        findings.problem(&section.place_at("routes"), "allows no route", Some(hint));
    }
    let mut allowed = Vec::new();
    for route in written.unwrap_or_default() {
        if !routes.contains_key(route.value) {
            let message = format!("there is no route {}", shown(route.value));
            let hint = did_you_mean(route.value, routes.keys().map(String::as_str));
            findings.problem(&route.place, message, hint);
        }
        allowed.push(route.value.to_owned());
    }
    let Some(reference) = section.references("secret").and_then(|found| found.into_iter().next()) else {
        if section.is_missing("secret") {
            findings.problem(
                &section.place,
                "`secret` is missing",
                Some("add `secret = \"env:NAME\"`".to_owned()),
            );
        }
        return None;
    };
    match reference.value.fetch(secrets) {
        Ok(credential) => {
            Some(CallerKey { name: section.name.clone(), secret: credential.secret, routes: allowed })
        }
        Err(why) => {
            findings.problem(&reference.place, why, None);
            None
        }
    }
}
