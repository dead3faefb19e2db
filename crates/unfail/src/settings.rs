//! Reads the configuration for a command: the file if there is one, the environment otherwise.

use std::io;
use std::path::{Path, PathBuf};
use unfail_config::{Config, Report, Secrets};

/// The file taken when none is named.
const DEFAULT_FILE: &str = "unfail.toml";

/// A configuration and what is to be said about it.
pub(crate) struct Settings {
    /// The file it came from; `None`: the environment alone.
    pub(crate) file: Option<PathBuf>,
    pub(crate) config: Option<Config>,
    pub(crate) report: Report,
}

/// Reads what `named` says, `./unfail.toml` if it exists, or the environment.
///
/// # Errors
/// A named file that cannot be read.
pub(crate) fn read(named: Option<&Path>) -> io::Result<Settings> {
    let file = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let Some(file) = file else {
        let (config, report) = Config::from_env(&World { base: PathBuf::new() });
        return Ok(Settings { file: None, config, report });
    };
    let text = std::fs::read(&file)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display())))?;
    let base = file.parent().map(Path::to_owned).unwrap_or_default();
    let (config, report) = unfail_config::load(&file.display().to_string(), &text, &World { base });
    Ok(Settings { file: Some(file), config, report })
}

/// The environment and the files beside the configuration.
struct World {
    base: PathBuf,
}

impl Secrets for World {
    fn env(&self, name: &str) -> Option<String> {
        unfail_engine::world::environment(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(self.base.join(path))
    }
}
