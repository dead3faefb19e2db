//! Whom connections trust: the system's certificate authorities, or those the operator named for one provider.
//!
//! Knows certificates and nothing else; connections are made in [`crate::http`].

use hyper_rustls::ConfigBuilderExt;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use std::io;
use std::sync::{Arc, OnceLock};

/// The certificate authorities of one provider, instead of the system's.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the certificates in a PEM text; whatever else is in it is read over.
    ///
    /// # Errors
    /// What is wrong with the text, after its name.
    pub(crate) fn of(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("is no PEM: {error}"))?;
            let added = roots.add(certificate);
            added.map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        }
        if roots.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        let builder = builder().map_err(|error| error.to_string())?.with_root_certificates(roots);
        Ok(Self(Arc::new(without_identity(builder))))
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

/// TLS with the system's certificate authorities (the bundled Mozilla ones where it has none). Reading them takes tens
/// of milliseconds, so they are read once per process.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(crate) fn system() -> io::Result<ClientConfig> {
    static READY: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(ready) = READY.get() {
        return Ok(ready.clone());
    }
    let builder = builder()?;
    let made = match builder.clone().with_native_roots() {
        Ok(with_roots) => without_identity(with_roots),
        Err(_) => without_identity(builder.with_webpki_roots()),
    };
    Ok(READY.get_or_init(|| made).clone())
}

fn builder() -> io::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().map_err(io::Error::other)
}

/// Keys identify unfail to providers, certificates do not.
fn without_identity(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig {
    builder.with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused() {
        let table = [
            ("", "holds no certificate"),
            ("some words\n", "holds no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
            ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "is no PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is no PEM"),
        ];
        for (pem, expected) in table {
            let refused = Trust::of(pem).unwrap_err();
            assert!(refused.contains(expected), "{pem:?}: {refused}");
        }
    }
}
