//! Checks of JSON fields that all wires make and each words in its own way.

use base64::Engine as _;
use serde_json::{Map, Value};

/// What a field may hold. `null` counts as absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Any,
    Bool,
    Text,
    /// Inclusive bounds.
    Int(i64, i64),
    /// Inclusive bounds.
    Number(f64, f64),
    List,
    Object,
    /// Text or list.
    TextOrList,
    /// Text or object.
    TextOrObject,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A field a request may have.
pub(crate) type Rule = (&'static str, Kind);

/// How a field breaks its rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flaw {
    /// No rule names it.
    Unknown(String),
    /// It holds something else.
    Kind(&'static str, Kind),
    /// It is out of bounds, or none of the words.
    Value(&'static str, Kind),
}

/// The first flaw of an object's fields. Unknown fields count when `strict`.
pub(crate) fn fields(object: &Map<String, Value>, rules: &[Rule], strict: bool) -> Result<(), Flaw> {
    for (name, value) in object {
        let Some((name, kind)) = rules.iter().find(|(rule, _)| rule == name) else {
            if strict {
                return Err(Flaw::Unknown(name.clone()));
            }
            continue;
        };
        field(name, *kind, value)?;
    }
    Ok(())
}

/// Checks one field against its rule.
pub(crate) fn field(name: &'static str, kind: Kind, value: &Value) -> Result<(), Flaw> {
    let (fits, bounded) = match kind {
        _ if value.is_null() => (true, true),
        Kind::Any => (true, true),
        Kind::Bool => (value.is_boolean(), true),
        Kind::Text => (value.is_string(), true),
        Kind::Int(low, high) => (value.is_i64(), value.as_i64().is_some_and(|n| (low..=high).contains(&n))),
        Kind::Number(low, high) => {
            (value.is_number(), value.as_f64().is_some_and(|n| (low..=high).contains(&n)))
        }
        Kind::List => (value.is_array(), true),
        Kind::Object => (value.is_object(), true),
        Kind::TextOrList => (value.is_string() || value.is_array(), true),
        Kind::TextOrObject => (value.is_string() || value.is_object(), true),
        Kind::Word(words) => (value.is_string(), value.as_str().is_some_and(|word| words.contains(&word))),
    };
    match (fits, bounded) {
        (true, true) => Ok(()),
        (true, false) => Err(Flaw::Value(name, kind)),
        (false, _) => Err(Flaw::Kind(name, kind)),
    }
}

/// Letters, digits, `_` and `-`, at least one and at most `most`: the alphabet of tool names and ids.
pub(crate) fn is_name(text: &str, most: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= most && text.bytes().all(plain)
}

/// Bytes behind base64 text; none when it is no base64.
pub(crate) fn decoded(text: &str) -> Option<usize> {
    base64::engine::general_purpose::STANDARD.decode(text).ok().map(|bytes| bytes.len())
}

/// The same in either alphabet, padded or not.
pub(crate) fn decoded_leniently(text: &str) -> Option<usize> {
    let plain: String = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    base64::engine::general_purpose::STANDARD_NO_PAD.decode(plain).ok().map(|bytes| bytes.len())
}

/// Texts of a list; others are left out.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The schemas directly inside a schema, with the word to say where.
pub(crate) fn children(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for key in ["properties", "$defs", "definitions"] {
        let named = schema[key].as_object().into_iter().flatten();
        found.extend(named.map(|(name, child)| (format!("{key}.{name}"), child)));
    }
    for key in ["anyOf", "allOf", "oneOf", "prefixItems"] {
        let listed = schema[key].as_array().into_iter().flatten();
        found.extend(listed.enumerate().map(|(at, child)| (format!("{key}.{at}"), child)));
    }
    found.extend(
        schema.get("items").filter(|items| items.is_object()).map(|items| ("items".to_owned(), items)),
    );
    found
}

/// The first complaint of `check` about a schema or any schema inside it; the path is empty at the root.
pub(crate) fn walk(
    schema: &Value,
    path: &str,
    check: &dyn Fn(&Value) -> Option<String>,
) -> Option<(String, String)> {
    if let Some(complaint) = check(schema) {
        return Some((path.to_owned(), complaint));
    }
    children(schema).into_iter().find_map(|(name, child)| {
        let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
        walk(child, &inner, check)
    })
}
