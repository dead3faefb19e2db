//! Field names of the `gemini` wire: both spellings are taken, one level at a time, so that names inside schemas,
//! arguments and results stay as they are.

use serde_json::{Map, Value};

/// An object with its own field names in camel case.
pub(super) fn level(value: &Value) -> Option<Map<String, Value>> {
    let fields = value.as_object()?.iter();
    Some(fields.map(|(name, value)| (camel(name), value.clone())).collect())
}

/// A list in a field; empty when there is none.
pub(super) fn list<'a>(object: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A schema of the vendor's own type with all its keys in camel case; names of properties stay as they are.
pub(super) fn schema(value: &Value) -> Value {
    let each = |map: &Value| match map.as_object() {
        Some(map) => map.iter().map(|(name, inner)| (name.clone(), schema(inner))).collect(),
        None => map.clone(),
    };
    let Some(fields) = level(value) else { return value.clone() };
    let deeper = fields.into_iter().map(|(key, value)| {
        let value = match (key.as_str(), &value) {
            ("properties" | "$defs" | "defs", _) => each(&value),
            ("items" | "additionalProperties", Value::Object(_)) => schema(&value),
            ("anyOf", Value::Array(branches)) => branches.iter().map(schema).collect(),
            _ => value,
        };
        (key, value)
    });
    Value::Object(deeper.collect())
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut made = words.next().unwrap_or_default().to_owned();
    // A leading underscore is part of a name.
    if made.is_empty() {
        return name.to_owned();
    }
    for word in words {
        let mut letters = word.chars();
        made.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        made.push_str(letters.as_str());
    }
    made
}
