//! Reading JSON with the path kept, and changing a body without re-writing it.
//!
//! [`Cursor`] walks a parsed value and turns every disappointment into an [`Invalid`] that names the field.
//! [`Members`] knows where each top-level member of an object stands, so a few can be replaced by splicing while
//! every other byte stays as it came.

use crate::format::Invalid;
use serde_json::{Map, Value};
use std::fmt;

/// A value and the path that led to it.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    value: &'a Value,
    path: Path<'a>,
}

#[derive(Debug, Clone)]
enum Path<'a> {
    Root,
    Key(std::rc::Rc<Path<'a>>, &'a str),
    Index(std::rc::Rc<Path<'a>>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(parent, key) => match **parent {
                Self::Root => write!(f, "{key}"),
                _ => write!(f, "{parent}.{key}"),
            },
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl<'a> Cursor<'a> {
    /// Starts at the top of a body.
    #[must_use]
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::Root }
    }

    /// The value here.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// An error about this very place.
    #[must_use]
    pub fn invalid(&self, message: impl Into<String>) -> Invalid {
        let path = self.path.to_string();
        Invalid { param: (!path.is_empty()).then_some(path), message: message.into() }
    }

    /// `expected a string, found an array`.
    fn mismatch(&self, expected: &str) -> Invalid {
        let place = match &self.path {
            Path::Root => "the body".to_owned(),
            path => format!("`{path}`"),
        };
        self.invalid(format!("{place} must be {expected}, but is {}", name_of(self.value)))
    }

    /// The member `key`, if present and not null.
    ///
    /// # Errors
    /// When this is not an object.
    pub fn get(&self, key: &'a str) -> Result<Option<Cursor<'a>>, Invalid> {
        let found = self.object()?.get(key).filter(|value| !value.is_null());
        let path = || Path::Key(std::rc::Rc::new(self.path.clone()), key);
        Ok(found.map(|value| Cursor { value, path: path() }))
    }

    /// The member `key`.
    ///
    /// # Errors
    /// When this is not an object or has no such member.
    pub fn need(&self, key: &'a str) -> Result<Cursor<'a>, Invalid> {
        let path = Path::Key(std::rc::Rc::new(self.path.clone()), key);
        self.get(key)?
            .ok_or_else(|| Invalid { param: Some(path.to_string()), message: format!("`{path}` is missing") })
    }

    /// This as an object.
    ///
    /// # Errors
    /// When it is none.
    pub fn object(&self) -> Result<&'a Map<String, Value>, Invalid> {
        self.value.as_object().ok_or_else(|| self.mismatch("an object"))
    }

    /// The items of this array.
    ///
    /// # Errors
    /// When it is none.
    pub fn items(&self) -> Result<impl Iterator<Item = Cursor<'a>> + use<'a>, Invalid> {
        let items = self.value.as_array().ok_or_else(|| self.mismatch("an array"))?;
        let parent = std::rc::Rc::new(self.path.clone());
        Ok(items
            .iter()
            .enumerate()
            .map(move |(index, value)| Cursor { value, path: Path::Index(parent.clone(), index) }))
    }

    /// This as text.
    ///
    /// # Errors
    /// When it is none.
    pub fn str(&self) -> Result<&'a str, Invalid> {
        self.value.as_str().ok_or_else(|| self.mismatch("a string"))
    }

    /// This as a non-negative integer.
    ///
    /// # Errors
    /// When it is none.
    pub fn u64(&self) -> Result<u64, Invalid> {
        self.value.as_u64().ok_or_else(|| self.mismatch("a non-negative integer"))
    }

    /// This as an integer.
    ///
    /// # Errors
    /// When it is none.
    pub fn i64(&self) -> Result<i64, Invalid> {
        self.value.as_i64().ok_or_else(|| self.mismatch("an integer"))
    }

    /// This as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn f64(&self) -> Result<f64, Invalid> {
        self.value.as_f64().ok_or_else(|| self.mismatch("a number"))
    }

    /// This as `true` or `false`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn bool(&self) -> Result<bool, Invalid> {
        self.value.as_bool().ok_or_else(|| self.mismatch("`true` or `false`"))
    }

    /// An optional member read by `read`: `cursor.opt("seed", Cursor::i64)?`.
    ///
    /// # Errors
    /// When this is not an object or the member is of another type.
    pub fn opt<T>(
        &self,
        key: &'a str,
        read: impl FnOnce(&Cursor<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        self.get(key)?.map(|member| read(&member)).transpose()
    }

    /// A required text member.
    ///
    /// # Errors
    /// When this is not an object or has no such text.
    pub fn need_str(&self, key: &'a str) -> Result<&'a str, Invalid> {
        self.need(key)?.str()
    }
}

/// Parses a body, naming line and column when it is no JSON.
///
/// # Errors
/// [`Invalid`] without a field: the body as a whole is wrong.
pub fn parse(body: &[u8]) -> Result<Value, Invalid> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

/// How a body that is no JSON is reported.
#[must_use]
pub fn not_json(error: &serde_json::Error) -> Invalid {
    Invalid { param: None, message: format!("the body is not valid JSON: {error}") }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
