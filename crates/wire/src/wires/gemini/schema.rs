//! JSON Schema for this wire, and this wire's older schema form as JSON Schema.
//!
//! The API knows a fixed list of keywords. What it lacks is rewritten where that keeps the meaning (`const`, `allOf`,
//! tuples) and otherwise said in words in the description, so that the model still reads the constraint.

use serde_json::{Map, Value, json};

/// Keywords that pass as they are (reference of `responseJsonSchema`, November 2026).
const PLAIN: &[&str] = &[
    "$id",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "required",
    "propertyOrdering",
];

/// Keywords whose value is a list of schemas.
const LISTS: &[&str] = &["anyOf", "oneOf", "prefixItems"];

/// Keywords whose value is one schema (or `true` / `false`).
const SINGLES: &[&str] = &["items", "additionalProperties"];

/// Keywords that constrain nothing and fall away.
const SILENT: &[&str] =
    &["$schema", "$comment", "examples", "example", "deprecated", "readOnly", "writeOnly", "nullable"];

/// Definitions spliced into one schema, at most; a schema whose `allOf` unfold further is described instead.
const EXPANSIONS_MAX: u32 = 64;

/// Schemas inside one another, at most; deeper ones accept anything. Each costs up to two levels of JSON, of which
/// common readers take 128; it bounds the stack too, references included.
const DEPTH_MAX: u32 = 48;

/// A schema with supported keywords only. A schema that has no others comes back unchanged.
pub(super) fn sanitise(schema: &Value) -> Value {
    Sanitiser { root: schema, open: Vec::new(), expansions: 0, depth: 0 }.schema(schema)
}

struct Sanitiser<'a> {
    root: &'a Value,
    /// References being merged, outermost first: a cycle must end.
    open: Vec<&'a str>,
    expansions: u32,
    depth: u32,
}

impl<'a> Sanitiser<'a> {
    fn schema(&mut self, schema: &'a Value) -> Value {
        if self.depth == DEPTH_MAX {
            return json!({});
        }
        self.depth += 1;
        let clean = self.level(schema);
        self.depth -= 1;
        clean
    }

    fn level(&mut self, schema: &'a Value) -> Value {
        let Some(object) = schema.as_object() else { return json!({}) };
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            return self.reference(object, target);
        }
        let mut clean = Clean::default();
        for (key, value) in object {
            self.keyword(key, value, &mut clean);
        }
        // Merged last: what the schema says itself goes first.
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let merged = self.resolved(part);
            clean.merge(merged);
        }
        if object.get("nullable").and_then(Value::as_bool) == Some(true) {
            clean.allow_null();
        }
        clean.finish()
    }

    /// Beside `$ref` only `$` keywords may stand.
    fn reference(&mut self, object: &'a Map<String, Value>, target: &str) -> Value {
        let mut out = Map::new();
        out.insert("$ref".to_owned(), json!(target.replacen("#/definitions/", "#/$defs/", 1)));
        for (key, value) in object {
            match key.as_str() {
                "$defs" | "definitions" => self.definitions(value, &mut out),
                "$id" | "$anchor" => _ = out.insert(key.clone(), value.clone()),
                _ => {}
            }
        }
        Value::Object(out)
    }

    fn keyword(&mut self, key: &str, value: &'a Value, clean: &mut Clean) {
        match key {
            "allOf" => {}
            "$defs" | "definitions" => self.definitions(value, &mut clean.out),
            "properties" => {
                let properties: Map<String, Value> =
                    members(value).map(|(name, schema)| (name.clone(), self.schema(schema))).collect();
                clean.set(key, Value::Object(properties));
            }
            "items" if value.is_array() => clean.set("prefixItems", self.list(value)),
            "const" if is_enumerable(value) => clean.set("enum", json!([value])),
            "enum" if value.as_array().is_some_and(|all| all.iter().all(is_enumerable)) => {
                clean.set(key, value.clone());
            }
            _ if SILENT.contains(&key) => {}
            _ if PLAIN.contains(&key) => clean.set(key, value.clone()),
            _ if LISTS.contains(&key) => clean.set(key, self.list(value)),
            _ if SINGLES.contains(&key) && value.is_boolean() => clean.set(key, value.clone()),
            _ if SINGLES.contains(&key) => clean.set(key, self.schema(value)),
            _ => clean.note(format!("{key}: {value}")),
        }
    }

    fn definitions(&mut self, value: &'a Value, out: &mut Map<String, Value>) {
        let cleaned: Map<String, Value> =
            members(value).map(|(name, schema)| (name.clone(), self.schema(schema))).collect();
        match out.get_mut("$defs").and_then(Value::as_object_mut) {
            Some(known) => known.extend(cleaned),
            None => _ = out.insert("$defs".to_owned(), Value::Object(cleaned)),
        }
    }

    fn list(&mut self, value: &'a Value) -> Value {
        value.as_array().into_iter().flatten().map(|item| self.schema(item)).collect()
    }

    /// A member of `allOf`, its references replaced by what they name; a cycle or a flood of them stays a remark.
    fn resolved(&mut self, part: &'a Value) -> Value {
        let Some(target) = part.get("$ref").and_then(Value::as_str) else { return self.schema(part) };
        let named = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(named) = named.filter(|_| !self.open.contains(&target) && self.expansions < EXPANSIONS_MAX)
        else {
            return json!({ "description": format!("also matches {target}") });
        };
        self.expansions = self.expansions.saturating_add(1);
        self.open.push(target);
        let resolved = self.resolved(named);
        self.open.pop();
        resolved
    }
}

/// A schema under construction.
#[derive(Default)]
struct Clean {
    out: Map<String, Value>,
    /// Constraints without a keyword, for the description.
    notes: Vec<String>,
}

impl Clean {
    fn set(&mut self, key: &str, value: Value) {
        self.out.insert(key.to_owned(), value);
    }

    fn note(&mut self, words: String) {
        if !self.notes.contains(&words) {
            self.notes.push(words);
        }
    }

    /// Adds what another schema demands too. Where both say something different the other's word becomes a remark.
    fn merge(&mut self, other: Value) {
        let Value::Object(other) = other else { return };
        for (key, theirs) in other {
            match (self.out.get_mut(&key), theirs) {
                (None, theirs) => _ = self.out.insert(key, theirs),
                (Some(Value::Object(ours)), Value::Object(theirs))
                    if key == "properties" || key == "$defs" =>
                {
                    theirs.into_iter().for_each(|(name, schema)| _ = ours.entry(name).or_insert(schema));
                }
                (Some(Value::Array(ours)), Value::Array(theirs)) if key == "required" => {
                    let fresh: Vec<Value> = theirs.into_iter().filter(|name| !ours.contains(name)).collect();
                    ours.extend(fresh);
                }
                (Some(ours), theirs) if *ours == theirs => {}
                (Some(_), Value::String(words)) if key == "description" => self.note(words),
                (Some(_), theirs) => self.note(format!("{key}: {theirs}")),
            }
        }
    }

    fn allow_null(&mut self) {
        if let Some(Value::String(name)) = self.out.get("type") {
            let both = json!([name, "null"]);
            self.set("type", both);
        }
    }

    fn finish(mut self) -> Value {
        // `required` may only name properties that exist.
        let properties = self.out.get("properties").and_then(Value::as_object);
        let known = properties.map(|all| all.keys().cloned().collect::<Vec<_>>());
        if let (Some(known), Some(Value::Array(required))) = (known, self.out.get_mut("required")) {
            required.retain(|name| name.as_str().is_some_and(|name| known.iter().any(|key| key == name)));
            if required.is_empty() {
                self.out.shift_remove("required");
            }
        }
        if !self.notes.is_empty() {
            let words = self.out.get("description").and_then(Value::as_str).map(str::to_owned);
            let all: Vec<String> = words.into_iter().chain(self.notes).collect();
            self.out.insert("description".to_owned(), json!(all.join("; ")));
        }
        Value::Object(self.out)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// `enum` holds text and numbers only.
fn is_enumerable(value: &Value) -> bool {
    value.is_string() || value.is_number()
}

/// Whether a schema describes an object without members, which is said by leaving it out.
pub(super) fn is_empty_object(schema: &Value) -> bool {
    let Some(object) = schema.as_object() else { return false };
    let no_properties = members(object.get("properties").unwrap_or(&Value::Null)).next().is_none();
    no_properties
        && object.keys().all(|key| {
            matches!(key.as_str(), "type" | "properties" | "required" | "additionalProperties" | "$schema")
        })
        && !object.get("additionalProperties").is_some_and(|more| more.is_object() || *more == json!(true))
}

/// Counts that proto3 JSON may write as text.
const COUNTS: &[&str] = &["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// The API's own schema form (types in capitals, `nullable`, counts as text) as JSON Schema.
pub(super) fn from_openapi(schema: &Value) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in object {
        let value = match (key.as_str(), value) {
            ("nullable", _) => continue,
            ("type", Value::String(name)) => json!(name.to_ascii_lowercase()),
            ("properties" | "$defs" | "defs", Value::Object(all)) => {
                all.iter().map(|(name, schema)| (name.clone(), from_openapi(schema))).collect()
            }
            ("items" | "additionalProperties" | "additional_properties", inner) => from_openapi(inner),
            ("anyOf" | "any_of" | "oneOf" | "prefixItems", Value::Array(all)) => {
                all.iter().map(from_openapi).collect()
            }
            (key, Value::String(text)) if COUNTS.contains(&camel(key).as_str()) => {
                text.parse::<u64>().map_or_else(|_| value.clone(), |count| json!(count))
            }
            _ => value.clone(),
        };
        out.insert(camel(key), value);
    }
    if object.get("nullable").and_then(Value::as_bool) == Some(true) {
        let mut clean = Clean { out, notes: Vec::new() };
        clean.allow_null();
        out = clean.out;
    }
    Value::Object(out)
}

/// `min_items` as `minItems`: schema keywords come in both spellings.
fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut out, word| {
        let mut letters = word.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.push_str(letters.as_str());
        out
    })
}
