//! The caller's own body made fit for a target of the same wire: usually every byte as it came, the model being in
//! the path.

use super::words::same;
use crate::format::Inbound;
use crate::outline::Outline;
use crate::target::Target;
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

/// Members that speak to unfail and not to the provider, which refuses what it does not know.
const OURS: &[&str] = &["models", "fallbacks"];

/// The body for `target`. A body the outline would not have passed comes back unchanged.
pub(super) fn adapt(inbound: Inbound<'_>, outline: &Outline<'_>, target: &Target<'_>) -> Bytes {
    let refused = target.quirks.refused;
    let quoted = |name: &&str| memmem::find(inbound.body, format!("\"{name}\"").as_bytes()).is_some();
    let ours = !outline.fallbacks.is_empty() || OURS.iter().chain(refused).any(quoted);
    let most = target.traits.max_output.filter(|most| outline.needs.max_output_tokens > Some(*most));
    if !ours && most.is_none() {
        return Bytes::copy_from_slice(inbound.body);
    }
    let Ok(members) = outline.members_of(inbound.body) else { return Bytes::copy_from_slice(inbound.body) };
    let mut edits = members.edit();
    for name in OURS.iter().chain(refused) {
        edits.remove(name);
    }
    if let Some(most) = most {
        for name in members.keys().filter(|key| same(key, "generationConfig")) {
            if let Some(config) = members.get(name).and_then(|config| clamped(config, most)) {
                edits.set(name, config);
            }
        }
    }
    Bytes::from(edits.apply())
}

/// `generationConfig` with its output limit lowered; `None` when there is nothing to lower.
fn clamped(config: &str, most: u64) -> Option<String> {
    let mut config: Value = serde_json::from_str(config).ok()?;
    let object = config.as_object_mut()?;
    for (_, limit) in object.iter_mut().filter(|(key, _)| same(key, "maxOutputTokens")) {
        *limit = Value::from(most);
    }
    Some(config.to_string())
}
