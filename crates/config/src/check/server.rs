//! `[server]`.

use crate::config::{Mode, ServerConfig};
use crate::raw::Section;
use crate::report::Findings;

/// Checks the server's table.
pub(super) fn check(root: &Section, findings: &mut Findings<'_>) -> Option<ServerConfig> {
    let section = root.table("server")?;
    let protected = root.table("keys")?.tables().next().is_some();
    let listen = section.address("listen")?;
    if !listen.ip().to_canonical().is_loopback() && !protected {
        let message = format!("`{listen}` can be reached from outside, and no caller key is configured");
        let hint = "add a key (`[keys.NAME]` with `secret = \"env:…\"`) or listen on `127.0.0.1`";
        findings.problem(&section.place_at("listen"), message, Some(hint.to_owned()));
    }
    Some(ServerConfig {
        listen,
        mode: if section.text("mode") == Some("product") { Mode::Product } else { Mode::Developer },
        max_body: section.count("max_body")?,
        header_timeout: section.duration("header_timeout"),
        body_timeout: section.duration("body_timeout"),
        drain: section.duration("drain"),
    })
}
