//! A certificate authority of the test's own, and TLS servers with what it signs. Its keys live as long as the test.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;

/// Where test servers listen, as a certificate names it.
pub(crate) const HERE: &str = "127.0.0.1";

/// Protocols a TLS server may offer, by preference.
pub(crate) const BOTH: &[&str] = &["h2", "http/1.1"];
pub(crate) const HTTP1: &[&str] = &["http/1.1"];
pub(crate) const HTTP2: &[&str] = &["h2"];

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Its name is what certificates it signed say of their origin.
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let encoded = STANDARD.encode(params.self_signed(&key).unwrap().der());
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, as a file holds it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS of a server that offers these protocols and shows a certificate for `host` that is good up to this year.
    pub(crate) fn server(&self, host: &str, year: i32, protocols: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A server nobody can object to.
    pub(crate) fn good(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        self.server(HERE, 2999, protocols)
    }
}
