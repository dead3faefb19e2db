//! Reads the configuration for a command: the file if there is one, the environment otherwise.

use std::io::{self, Read as _};
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
    let text = whole(&file)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display())))?;
    let base = file.parent().map(Path::to_owned).unwrap_or_default();
    let (config, report) = unfail_config::load(&file.display().to_string(), &text, &World { base });
    Ok(Settings { file: Some(file), config, report })
}

/// No configuration, key or certificate is larger, in bytes.
const LARGEST: u64 = 16 << 20;

/// All of a file. What is no file may never end, or never begin.
fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    // What is named as a device was meant: `/dev/stdin`, or what a shell puts in place of `<(…)`.
    if !about.is_file() && !path.starts_with("/dev") {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is not a regular file"));
    }
    if about.len() > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LARGEST} bytes"),
        ));
    }
    let mut bytes = Vec::new();
    io::Read::take(std::fs::File::open(path)?, LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
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
        String::from_utf8(whole(&self.base.join(path))?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not valid UTF-8"))
    }
}
