//! Who is measured: nothing at all, nginx, HAProxy and unfail, each in front of the same upstream.
//!
//! The proxies are configured as plain reverse proxies with kept connections and two threads, nothing else.

use super::process::{Server, free_port};
use crate::shell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Route that the load asks for.
pub(crate) const MODEL: &str = "bench";

/// What a contender is started with.
pub(crate) struct Site {
    /// Folder for generated files.
    pub folder: PathBuf,
    /// Port of the mock upstream.
    pub upstream: u16,
}

/// Writes a contender's files and says how to start it on a port.
type Prepare = fn(&Site, u16) -> Result<Command, String>;

/// One contender.
pub(crate) struct Contender {
    /// Name in the tables.
    pub name: &'static str,
    /// `None`: the upstream itself.
    pub prepare: Option<Prepare>,
}

/// Name of the contender without a proxy.
pub(crate) const DIRECT: &str = "direct";
/// Name of the contender others are compared with.
pub(crate) const REFERENCE: &str = "nginx";
/// Our own name.
pub(crate) const OURS: &str = "unfail";

/// All contenders.
pub(crate) const CONTENDERS: &[Contender] = &[
    Contender { name: DIRECT, prepare: None },
    Contender { name: REFERENCE, prepare: Some(nginx) },
    Contender { name: "haproxy", prepare: Some(haproxy) },
    Contender { name: OURS, prepare: Some(unfail) },
];

impl Contender {
    /// Starts the contender and waits for its first answer; `None` where there is nothing to start.
    ///
    /// # Errors
    /// When it cannot be had or does not answer.
    pub(crate) fn start(&self, site: &Site) -> Result<Option<Server>, String> {
        let Some(prepare) = self.prepare else { return Ok(None) };
        let port = free_port()?;
        Server::start(prepare(site, port)?, port, MODEL).map(Some)
    }
}

/// Starts the mock upstream.
///
/// # Errors
/// When it does not answer.
pub(crate) fn mock() -> Result<Server, String> {
    let port = free_port()?;
    let mut command = Command::new(tool());
    command.args(["mock", "--port", &port.to_string()]);
    Server::start(command, port, MODEL)
}

/// Our mock and load generator.
pub(crate) fn tool() -> PathBuf {
    shell::root().join("target/release/unfail-bench")
}

fn nginx(site: &Site, port: u16) -> Result<Command, String> {
    let folder = site.folder.join("nginx");
    let text = format!(
        "worker_processes 2;\n\
         daemon off;\n\
         pid {folder}/pid;\n\
         error_log {folder}/error.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  \
           access_log off;\n  \
           keepalive_requests 1000000000;\n  \
           client_body_temp_path {folder}/body;\n  \
           proxy_temp_path {folder}/proxy;\n  \
           fastcgi_temp_path {folder}/fastcgi;\n  \
           uwsgi_temp_path {folder}/uwsgi;\n  \
           scgi_temp_path {folder}/scgi;\n  \
           upstream mock {{\n    \
             server 127.0.0.1:{upstream};\n    \
             keepalive 256;\n    \
             keepalive_requests 1000000000;\n  \
           }}\n  \
           server {{\n    \
             listen 127.0.0.1:{port};\n    \
             location / {{\n      \
               proxy_pass http://mock;\n      \
               proxy_http_version 1.1;\n      \
               proxy_set_header Connection \"\";\n    \
             }}\n  \
           }}\n\
         }}\n",
        folder = folder.display(),
        upstream = site.upstream,
    );
    let file = write(&folder, "nginx.conf", &text)?;
    let mut command = Command::new(program("nginx")?);
    command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
    Ok(command)
}

fn haproxy(site: &Site, port: u16) -> Result<Command, String> {
    let text = format!(
        "global\n  nbthread 2\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
         http-reuse always\n  option http-no-delay\n\
         frontend in\n  bind 127.0.0.1:{port}\n  default_backend mock\n\
         backend mock\n  server mock 127.0.0.1:{upstream}\n",
        upstream = site.upstream,
    );
    let file = write(&site.folder.join("haproxy"), "haproxy.cfg", &text)?;
    let mut command = Command::new(program("haproxy")?);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

fn unfail(site: &Site, port: u16) -> Result<Command, String> {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n\n\
         [providers.mock]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:{upstream}/v1\"\n\
         keys = [\"env:UNFAIL_BENCH_KEY\"]\n\n\
         [models.\"mock/bench-model\"]\ncontext = 128000\n\n\
         [routes.{MODEL}]\nchain = [\"mock/bench-model\"]\n",
        upstream = site.upstream,
    );
    let file = write(&site.folder.join("unfail"), "unfail.toml", &text)?;
    let mut command = Command::new(shell::root().join("target/release/unfail"));
    command.arg("serve").arg("--config").arg(file).env("UNFAIL_BENCH_KEY", "bench-key");
    Ok(command)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// A Debian server's program; such programs are not on everybody's path.
fn program(name: &str) -> Result<PathBuf, String> {
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.ok_or_else(|| format!("{name} is not installed"))
}

/// Installs the Debian programs that are missing.
pub(crate) fn install() -> Result<(), String> {
    let packages = [("nginx", "nginx-light"), ("haproxy", "haproxy")];
    let missing: Vec<&str> =
        packages.iter().filter(|(name, _)| program(name).is_err()).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { shell::install(&missing) }
}

#[cfg(test)]
mod tests {
    use super::{Site, unfail};

    #[test]
    fn our_configuration_is_toml_with_one_route() {
        let folder = std::env::temp_dir().join(format!("unfail-bench-test-{}", std::process::id()));
        let site = Site { folder: folder.clone(), upstream: 9 };
        unfail(&site, 8).unwrap();
        let text = std::fs::read_to_string(folder.join("unfail/unfail.toml")).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(config["server"]["listen"].as_str(), Some("127.0.0.1:8"));
        assert_eq!(config["routes"]["bench"]["chain"][0].as_str(), Some("mock/bench-model"));
        assert_eq!(config["providers"]["mock"]["base_url"].as_str(), Some("http://127.0.0.1:9/v1"));
    }
}
