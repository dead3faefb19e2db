//! `[providers.*]`: rows of the catalog with what differs, rows of the operator's own, and the providers whose key
//! is simply there in the environment.

use super::unenforced;
use crate::config::{Authority, Credential, ProviderConfig};
use crate::raw::{At, Section};
use crate::report::{Findings, did_you_mean, shown};
use crate::secrets::{Reference, Secrets, unread};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::path::Path;
use unfail_catalog::providers::quirks_of_wire;
use unfail_catalog::{AUTO_ORDER, Auth, PROVIDERS, Provider, provider};

/// The providers there are.
#[derive(Debug)]
pub(super) struct Providers {
    /// Those that can be used, in the order route `auto` tries them.
    pub(super) usable: Vec<ProviderConfig>,
    /// Those the file names, whether they can be used or not.
    declared: BTreeSet<String>,
}

impl Providers {
    /// The usable provider with this id.
    pub(super) fn get(&self, id: &str) -> Option<&ProviderConfig> {
        self.usable.iter().find(|provider| provider.id == id)
    }

    /// Whether the file names it.
    pub(super) fn is_declared(&self, id: &str) -> bool {
        self.declared.contains(id)
    }

    /// Whether the file or the catalog knows it.
    pub(super) fn is_known(&self, id: &str) -> bool {
        self.is_declared(id) || provider(id).is_some()
    }

    /// The nearest known id.
    pub(super) fn nearest(&self, id: &str) -> Option<String> {
        let known = PROVIDERS.iter().map(|row| row.id).chain(self.declared.iter().map(String::as_str));
        did_you_mean(id, known)
    }
}

/// Checks every provider's table and looks for keys in the environment.
pub(super) fn check(root: &Section, secrets: &dyn Secrets, findings: &mut Findings<'_>) -> Providers {
    let mut providers = Providers { usable: Vec::new(), declared: BTreeSet::new() };
    for section in root.table("providers").into_iter().flat_map(Section::tables) {
        providers.declared.insert(section.name.clone());
        providers.usable.extend(declared(section, secrets, findings));
    }
    for row in PROVIDERS.iter().filter(|row| !providers.declared.contains(row.id)) {
        if let Some(key) = usual_key(row, secrets, findings) {
            providers.usable.push(plain(row, vec![key]));
        }
    }
    providers.usable.sort_by_key(|provider| rank(&provider.id));
    providers
}

/// Where a provider stands in route `auto`: the automatic order, the rest of the catalog, the operator's own.
fn rank(id: &str) -> (usize, usize) {
    let automatic = AUTO_ORDER.iter().position(|known| *known == id);
    let row = PROVIDERS.iter().position(|row| row.id == id);
    match (automatic, row) {
        (Some(position), _) => (0, position),
        (None, Some(position)) => (1, position),
        (None, None) => (2, 0),
    }
}

/// The first of the row's usual variables that holds a key. One that holds something else is said out loud.
fn usual_key(row: &Provider, secrets: &dyn Secrets, findings: &mut Findings<'_>) -> Option<Credential> {
    for name in row.key_env {
        if secrets.env(name).is_none_or(|value| value.trim().is_empty()) {
            continue;
        }
        match Reference::Env((*name).to_owned()).fetch(secrets) {
            Ok(key) => return Some(key),
            Err(why) => findings.about_variable(name, format!("{why}; it is not used")),
        }
    }
    None
}

/// A row of the catalog as it is.
fn plain(row: &Provider, keys: Vec<Credential>) -> ProviderConfig {
    ProviderConfig {
        id: row.id.to_owned(),
        wire: row.wire.to_owned(),
        base_url: row.base_url.to_owned(),
        http2: false,
        ca: None,
        auth: row.auth,
        keys,
        quirks: row.quirks,
        default_model: row.default_model.map(str::to_owned),
    }
}

/// A provider the file names; `None` after a problem.
fn declared(section: &Section, secrets: &dyn Secrets, findings: &mut Findings<'_>) -> Option<ProviderConfig> {
    unenforced::warn_table(section, "limits", findings);
    let base = base(section, findings)?;
    let ca = authority(section, &base, secrets, findings);
    let keys = match section.references("keys") {
        Some(references) => {
            let keys = written_keys(section, &references, secrets, findings);
            if keys.is_empty() {
                return None;
            }
            keys
        }
        None if section.is_wrong("keys") => return None,
        None => own_keys(section, &base, secrets, findings)?,
    };
    let auth = match (keys.is_empty(), base.auth) {
        (true, _) => Auth::None,
        (false, Auth::None) => Auth::of_wire(&base.wire),
        (false, auth) => auth,
    };
    Some(ProviderConfig { auth, keys, ca, ..base })
}

/// What every certificate in PEM begins with (RFC 7468 §5).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Reads the certificates the table names. Whether they are any good is for the TLS library to say.
fn authority(
    section: &Section,
    base: &ProviderConfig,
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> Option<Authority> {
    let At { value: Reference::File(path), place } = section.references("ca")?.pop()? else { return None };
    if !base.base_url.starts_with("https://") {
        findings.warning(&place, "has no effect: `base_url` is not `https`, so nothing is encrypted", None);
    }
    let name = format!("file:{path}");
    match secrets.file(Path::new(path)) {
        Ok(pem) if pem.contains(CERTIFICATE) => Some(Authority { name, pem: SecretString::from(pem) }),
        Ok(_) => {
            let hint = format!("it is text (PEM) with `{CERTIFICATE}` in it");
            findings.problem(&place, format!("{} holds no certificate", shown(&name)), Some(hint));
            None
        }
        Err(error) => {
            let message = format!("{} cannot be read: {}", shown(&name), unread(&error));
            findings.problem(&place, message, None);
            None
        }
    }
}

/// The provider before its keys are known: the catalog's row under what the file says.
fn base(section: &Section, findings: &mut Findings<'_>) -> Option<ProviderConfig> {
    let id = section.name.clone();
    let (wire, base_url) = (section.text("wire"), section.text("base_url"));
    let row = provider(&id);
    let mut base = match (row, wire, base_url) {
        (Some(row), ..) => plain(row, Vec::new()),
        (None, Some(wire), Some(_)) => ProviderConfig {
            id: id.clone(),
            wire: wire.to_owned(),
            base_url: String::new(),
            http2: false,
            ca: None,
            // A host of one's own may need no key; writing one puts it where the wire has it.
            auth: Auth::None,
            keys: Vec::new(),
            quirks: quirks_of_wire(wire),
            default_model: None,
        },
        _ if section.is_wrong("wire") || section.is_wrong("base_url") => return None,
        _ => {
            let message = "the catalog does not know it, so it needs both `wire` and `base_url`";
            let hint = did_you_mean(&id, PROVIDERS.iter().map(|row| row.id));
            findings.problem(&section.place, message, hint);
            return None;
        }
    };
    if let Some(wire) = wire.filter(|wire| *wire != base.wire) {
        base.wire = wire.to_owned();
        base.quirks = quirks_of_wire(wire);
        base.auth = Auth::of_wire(wire);
    }
    if let Some(url) = base_url {
        base.base_url = url.to_owned();
    }
    base.http2 = section.flag("http2").unwrap_or(false);
    if let Some(model) = section.text("default_model") {
        base.default_model = Some(model.to_owned());
    }
    Some(base)
}

/// The keys of a provider for which the file names none; `None` after a problem.
fn own_keys(
    section: &Section,
    base: &ProviderConfig,
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> Option<Vec<Credential>> {
    let Some(row) = provider(&section.name) else { return Some(Vec::new()) };
    if let Some(key) = usual_key(row, secrets, findings) {
        return Some(vec![key]);
    }
    if base.auth == Auth::None {
        return Some(Vec::new());
    }
    findings.problem(&section.place, "has no key", how_to_give_a_key(row.id));
    None
}

/// What to do about a provider without a key.
pub(super) fn how_to_give_a_key(id: &str) -> Option<String> {
    let variables = provider(id)?.key_env;
    (!variables.is_empty()).then(|| format!("set {}", variables.join(" or ")))
}

/// Fetches the keys the file refers to. One that is missing is a warning as long as another is there.
fn written_keys(
    section: &Section,
    references: &[At<&Reference>],
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> Vec<Credential> {
    let mut keys: Vec<Credential> = Vec::new();
    let mut missing = Vec::new();
    for reference in references {
        match reference.value.fetch(secrets) {
            Ok(key) => {
                let value = key.secret.expose_secret();
                match keys.iter().find(|known| known.secret.expose_secret() == value) {
                    Some(twin) => {
                        let message =
                            format!("{} is the same key as {}", shown(&key.name), shown(&twin.name));
                        findings.warning(&reference.place, message, None);
                    }
                    None => keys.push(key),
                }
            }
            Err(why) => missing.push((reference, why)),
        }
    }
    match (keys.is_empty(), missing.as_slice()) {
        (false, missing) => {
            for (reference, why) in missing {
                findings.warning(&reference.place, format!("{why}; the other keys are used"), None);
            }
        }
        (true, []) if section.is_wrong("keys") => {}
        (true, []) => findings.problem(&section.place_at("keys"), "holds no usable reference", None),
        (true, missing) => {
            let whys: Vec<_> = missing.iter().map(|(_, why)| why.as_str()).collect();
            let message = format!("has no key: {}", whys.join(", "));
            let remedies: Vec<_> = missing.iter().map(|(reference, _)| reference.value.remedy()).collect();
            findings.problem(&section.place_at("keys"), message, Some(remedies.join(" or ")));
        }
    }
    keys
}
