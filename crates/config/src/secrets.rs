//! Where secrets come from. The configuration names a place, never a value; the world answers through [`Secrets`].

use crate::config::Credential;
use secrecy::SecretString;
use std::io;
use std::path::Path;

/// What the configuration may ask of the world. The binary answers; tests answer from tables.
pub trait Secrets {
    /// The value of an environment variable, if it is set and is text.
    fn env(&self, name: &str) -> Option<String>;

    /// The text of a file; relative paths start where the configuration file stands.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// A place a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `env:NAME`.
    Env(String),
    /// `file:PATH`.
    File(String),
}

impl Reference {
    /// Reads `env:NAME` or `file:PATH`. `None` for anything else, which may be a secret and is not to be shown.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("env", name) => is_variable(name).then(|| Self::Env(name.to_owned())),
            ("file", path) => (!path.is_empty()).then(|| Self::File(path.to_owned())),
            _ => None,
        }
    }

    /// As it was written: `env:NAME`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Env(name) => format!("env:{name}"),
            Self::File(path) => format!("file:{path}"),
        }
    }

    /// What would make it hold a secret.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Env(name) if !looks_named(name) => {
                "write the name of a variable behind `env:`, not the key itself".to_owned()
            }
            Self::Env(name) => format!("set {name}"),
            Self::File(path) => format!("write the key to {path}"),
        }
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// Why there is none, without its value.
    pub(crate) fn fetch(&self, secrets: &dyn Secrets) -> Result<Credential, String> {
        let name = self.name();
        let text = match self {
            Self::Env(variable) => secrets.env(variable).ok_or_else(|| match looks_named(variable) {
                true => format!("`{name}` is not set"),
                false => "the variable named here is not set".to_owned(),
            })?,
            Self::File(path) => secrets
                .file(Path::new(path))
                .map_err(|error| format!("`{name}` cannot be read: {}", unread(&error)))?,
        };
        let value = text.trim();
        if value.is_empty() {
            return Err(format!("`{name}` is empty"));
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`{name}` holds characters no key has"));
        }
        Ok(Credential { name, secret: SecretString::from(value) })
    }
}

/// Why a file cannot be read, in the words people use.
pub(crate) fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        kind => kind.to_string(),
    }
}

/// A letter or underscore, then letters, digits and underscores. Strict, so that a key pasted behind `env:` is not
/// mistaken for a name and shown.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Letters of a word in a name; a key has longer runs.
const WORD_CHARS_MAX: usize = 16;

/// Upper-case words joined by underscores, as variables are named. What is spelled otherwise and is not set may be a
/// key that was pasted in place of a name, and is not shown.
fn looks_named(name: &str) -> bool {
    let word =
        |word: &str| word.len() <= WORD_CHARS_MAX && !word.bytes().any(|byte| byte.is_ascii_lowercase());
    name.split('_').all(word)
}

/// A world made of tables, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) env: Vec<(&'static str, &'static str)>,
    pub(crate) files: Vec<(&'static str, &'static str)>,
}

#[cfg(test)]
impl Secrets for World {
    fn env(&self, name: &str) -> Option<String> {
        self.env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let found = self.files.iter().find(|(known, _)| Path::new(known) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn references() {
        let world = World {
            env: vec![("GOOD", "key-1"), ("BLANK", "  "), ("BROKEN", "key\u{7}1"), ("SPACED", "key 1")],
            files: vec![("/run/key", "key-2\n")],
        };
        let table = [
            ("env:GOOD", Ok("key-1")),
            ("file:/run/key", Ok("key-2")),
            ("env:MISSING", Err("`env:MISSING` is not set")),
            ("env:BLANK", Err("`env:BLANK` is empty")),
            ("env:BROKEN", Err("`env:BROKEN` holds characters no key has")),
            ("env:SPACED", Err("`env:SPACED` holds characters no key has")),
            ("file:/run/none", Err("`file:/run/none` cannot be read: no such file")),
        ];
        for (text, expected) in table {
            let fetched = Reference::parse(text).unwrap().fetch(&world);
            let value = fetched.as_ref().map(|credential| credential.secret.expose_secret());
            assert_eq!(value.map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_reference() {
        for text in
            ["", "key-1", "env:", "file:", "env:sk-live-123", "env:1A", "ENV:A", "http://x", "env:A B"]
        {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
