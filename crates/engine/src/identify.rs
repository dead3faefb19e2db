//! Who is asking: a caller's key becomes a [`Caller`].
//!
//! Keys are compared by their SHA-256, so a lookup takes the same time whatever was sent.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Who is asking and what they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the key in the configuration.
    pub name: Arc<str>,
    /// Routes this key may use; `None` means all.
    pub routes: Option<Vec<String>>,
}

/// All keys that are known.
#[derive(Default)]
pub struct Callers {
    by_hash: HashMap<[u8; 32], Arc<Caller>>,
    anonymous: Option<Arc<Caller>>,
}

impl std::fmt::Debug for Callers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callers").field("keys", &self.by_hash.len()).finish_non_exhaustive()
    }
}

impl Callers {
    /// Everybody is the same caller: only for an endpoint that listens on loopback.
    #[must_use]
    pub fn open() -> Self {
        let anonymous = Arc::new(Caller { name: "anonymous".into(), routes: None });
        Self { by_hash: HashMap::new(), anonymous: Some(anonymous) }
    }

    /// Adds a key. The first key closes an open set.
    pub fn add(&mut self, secret: &SecretString, caller: Caller) {
        self.anonymous = None;
        self.by_hash.insert(hash(secret.expose_secret()), Arc::new(caller));
    }

    /// The caller with this key; without keys, everybody.
    #[must_use]
    pub fn identify(&self, presented: Option<&str>) -> Option<Arc<Caller>> {
        if let Some(anonymous) = &self.anonymous {
            return Some(anonymous.clone());
        }
        self.by_hash.get(&hash(presented?)).cloned()
    }
}

/// Whoever has not said who they are.
static UNKNOWN: LazyLock<Arc<Caller>> =
    LazyLock::new(|| Arc::new(Caller { name: "unknown".into(), routes: Some(Vec::new()) }));

impl Caller {
    /// Whoever has not said who they are; may use nothing.
    #[must_use]
    pub fn unknown() -> Arc<Self> {
        UNKNOWN.clone()
    }

    /// Whether this caller may use `route`.
    #[must_use]
    pub fn may_use(&self, route: &str) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.iter().any(|allowed| allowed == route))
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller { name: name.into(), routes: Some(vec!["support".to_owned()]) }
    }

    #[test]
    fn only_exact_keys_identify() {
        let mut callers = Callers::open();
        assert_eq!(callers.identify(None).unwrap().name.as_ref(), "anonymous");
        callers.add(&SecretString::from("uf-0123456789"), caller("web"));
        callers.add(&SecretString::from("uf-012345678"), caller("other"));
        for wrong in [None, Some(""), Some("uf-01234567890"), Some("UF-0123456789"), Some("anonymous")] {
            assert!(callers.identify(wrong).is_none(), "{wrong:?}");
        }
        let web = callers.identify(Some("uf-0123456789")).unwrap();
        assert_eq!(web.name.as_ref(), "web");
        assert!(web.may_use("support"));
        assert!(!web.may_use("auto"));
        assert!(!format!("{callers:?}").contains("uf-"));
    }
}
