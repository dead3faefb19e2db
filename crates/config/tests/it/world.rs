//! A world made of tables: the environment and the files a test's configuration may refer to.

use std::io;
use std::path::Path;
use unfail_config::{Config, Report, Secrets, load};

/// Environment and files, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) files: Vec<(String, String)>,
}

impl World {
    /// A world with these variables.
    pub(crate) fn with_env(variables: &[(&str, &str)]) -> Self {
        Self { env: owned(variables), files: Vec::new() }
    }

    /// And these files.
    pub(crate) fn and_files(self, files: &[(&str, &str)]) -> Self {
        Self { files: owned(files), ..self }
    }

    /// Loads a file called `unfail.toml`.
    pub(crate) fn load(&self, text: &str) -> (Option<Config>, Report) {
        load("unfail.toml", text.as_bytes(), self)
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

impl Secrets for World {
    fn env(&self, name: &str) -> Option<String> {
        find(&self.env, name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        find(&self.files, &path.to_string_lossy()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}
