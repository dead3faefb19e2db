//! A JSON Schema in the subset this format guarantees for answers and strict tools.
//!
//! What the subset lacks is moved into descriptions, where the model still reads it. A schema whose meaning would
//! change that way (maps with free keys) is not translated at all.

use serde_json::{Map, Value, json};

/// Values of `format` the provider checks.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// Members that say nothing about the value.
const SILENT: [&str; 9] =
    ["$schema", "$id", "$comment", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"];

/// The schema in the subset: every object closed, `oneOf` as `anyOf`, one type at a time, constraints the subset
/// lacks in the description. `None` when it describes no object or an object whose keys are not known beforehand.
pub(super) fn sanitised(schema: &Value) -> Option<Value> {
    let root = schema.as_object()?;
    let named = ["properties", "$ref", "anyOf", "oneOf", "allOf"].iter().any(|key| root.contains_key(*key));
    let object = root.get("type").is_none_or(|kind| kind == "object");
    (named && object).then(|| clean(schema)).flatten()
}

/// The schema leaves nothing open: every object lists all its members as required and takes no others. Only such
/// schemas are guaranteed by every wire.
pub(super) fn is_closed(schema: &Value) -> bool {
    let Some(members) = schema.as_object() else { return true };
    let names = members.get("properties").and_then(Value::as_object);
    let required = members.get("required").and_then(Value::as_array);
    let listed = |name: &String| required.is_some_and(|all| all.iter().any(|item| item == name));
    let object = members.get("type").is_some_and(|kind| kind == "object") || names.is_some();
    let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
    let here = !object || (closed && names.is_some_and(|names| names.keys().all(listed)));
    here && members.iter().all(|(key, value)| match (key.as_str(), value) {
        ("properties" | "$defs", Value::Object(named)) => named.values().all(is_closed),
        ("anyOf" | "allOf" | "oneOf", Value::Array(list)) => list.iter().all(is_closed),
        ("items", item) => is_closed(item),
        _ => true,
    })
}

fn clean(schema: &Value) -> Option<Value> {
    let Some(members) = schema.as_object() else {
        return Some(json!({}));
    };
    if let Some(Value::Array(kinds)) = members.get("type") {
        return union(members, kinds);
    }
    let mut out = Map::new();
    let mut notes = Vec::new();
    for (key, value) in members {
        match fit(key, value, members)? {
            Fit::Kept(key, value) => drop(out.insert(key.to_owned(), value)),
            Fit::Note => notes.push(format!("{key}: {value}")),
            Fit::Dropped => {}
        }
    }
    if is_object(members) {
        out.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    note(&mut out, &notes);
    Some(Value::Object(out))
}

/// What becomes of one member.
enum Fit<'a> {
    Kept(&'a str, Value),
    Note,
    Dropped,
}

/// Where a member of a schema object goes; `None` when the subset cannot mean it.
fn fit<'a>(key: &'a str, value: &Value, members: &Map<String, Value>) -> Option<Fit<'a>> {
    let primitive = |value: &Value| !value.is_object() && !value.is_array();
    Some(match (key, value) {
        ("properties", Value::Object(named)) if named.is_empty() && is_free(members) => return None,
        ("type", _) if value == "object" && !members.contains_key("properties") && is_free(members) => {
            return None;
        }
        // A closed object forbids what its neighbours in the same schema allow.
        ("allOf", Value::Array(list)) if list.len() > 1 || members.contains_key("properties") => return None,
        ("anyOf" | "oneOf", Value::Array(list))
            if members.contains_key("properties")
                && list.iter().filter_map(Value::as_object).any(is_object) =>
        {
            return None;
        }
        ("patternProperties", _) => return None,
        ("additionalProperties", Value::Object(of)) if !of.is_empty() => return None,
        ("additionalProperties", _) => Fit::Dropped,
        ("properties" | "$defs", Value::Object(named)) => Fit::Kept(key, each(named)?),
        ("definitions", Value::Object(named)) => Fit::Kept("$defs", each(named)?),
        ("anyOf" | "allOf", Value::Array(list)) => {
            Fit::Kept(key, list.iter().map(clean).collect::<Option<_>>()?)
        }
        ("oneOf", Value::Array(list)) if !members.contains_key("anyOf") => {
            Fit::Kept("anyOf", list.iter().map(clean).collect::<Option<_>>()?)
        }
        ("items", Value::Object(_) | Value::Bool(_)) => Fit::Kept(key, clean(value)?),
        ("$ref", Value::String(target)) => {
            Fit::Kept(key, Value::from(target.replacen("#/definitions/", "#/$defs/", 1)))
        }
        ("type" | "title" | "description", Value::String(_)) | ("required", Value::Array(_)) => {
            Fit::Kept(key, value.clone())
        }
        ("minItems", _) if value == 0 || value == 1 => Fit::Kept(key, value.clone()),
        ("format", Value::String(name)) if FORMATS.contains(&name.as_str()) => Fit::Kept(key, value.clone()),
        ("enum", Value::Array(values)) if values.iter().all(primitive) => Fit::Kept(key, value.clone()),
        ("const", _) if primitive(value) => Fit::Kept(key, value.clone()),
        _ if SILENT.contains(&key) => Fit::Dropped,
        _ => Fit::Note,
    })
}

fn each(named: &Map<String, Value>) -> Option<Value> {
    let cleaned = named.iter().map(|(name, schema)| Some((name.clone(), clean(schema)?)));
    cleaned.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn is_object(members: &Map<String, Value>) -> bool {
    members.get("type").is_some_and(|kind| kind == "object") || members.contains_key("properties")
}

/// Keys beyond the declared ones are welcome.
fn is_free(members: &Map<String, Value>) -> bool {
    members.get("additionalProperties") != Some(&Value::Bool(false))
}

/// `"type": ["string", "null"]` as `anyOf` of single types, each with the members that concern it.
fn union(members: &Map<String, Value>, kinds: &[Value]) -> Option<Value> {
    let shared = ["description", "title", "$defs", "definitions"];
    let variants = kinds.iter().filter_map(Value::as_str).map(|kind| {
        let own = members.iter().filter(|(key, _)| !shared.contains(&key.as_str()));
        let own =
            own.filter(|(key, _)| concerns(key, kind)).map(|(key, value)| match (key.as_str(), value) {
                ("type", _) => (key.clone(), Value::from(kind)),
                ("enum", Value::Array(values)) => {
                    let fitting = values.iter().filter(|value| is_of(value, kind)).cloned();
                    (key.clone(), fitting.collect())
                }
                _ => (key.clone(), value.clone()),
            });
        clean(&Value::Object(own.collect()))
    });
    let mut variants = variants.collect::<Option<Vec<_>>>()?;
    variants.retain(|variant| variant.get("enum").and_then(Value::as_array).is_none_or(|v| !v.is_empty()));
    let mut out = Map::new();
    for (key, value) in members.iter().filter(|(key, _)| shared.contains(&key.as_str())) {
        if let Fit::Kept(key, value) = fit(key, value, &Map::new())? {
            out.insert(key.to_owned(), value);
        }
    }
    match <[Value; 1]>::try_from(variants) {
        Ok([Value::Object(only)]) => out.extend(only),
        Ok(_) => {}
        Err(variants) if variants.is_empty() => {}
        Err(variants) => drop(out.insert("anyOf".to_owned(), Value::Array(variants))),
    }
    Some(Value::Object(out))
}

/// A member may constrain a value of this type.
fn concerns(key: &str, kind: &str) -> bool {
    let only = match key {
        "properties"
        | "required"
        | "additionalProperties"
        | "patternProperties"
        | "propertyNames"
        | "minProperties"
        | "maxProperties" => &["object"][..],
        "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" | "contains" => &["array"],
        "format" | "pattern" | "minLength" | "maxLength" => &["string"],
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            &["number", "integer"]
        }
        _ => return true,
    };
    only.contains(&kind)
}

fn is_of(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

fn note(out: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let notes = format!("Must satisfy {}", notes.join(", "));
    let text = match out.get("description").and_then(Value::as_str) {
        Some(description) if !description.is_empty() => format!("{description}\n{notes}"),
        _ => notes,
    };
    out.insert("description".to_owned(), Value::String(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(schema: Value, expected: Option<Value>) {
        assert_eq!(sanitised(&schema), expected, "{schema}");
    }

    /// `schema` as the only member of an object, before and after.
    #[track_caller]
    fn check_member(schema: &Value, expected: &Value) {
        let object = |schema: &Value| json!({ "type": "object", "properties": { "x": schema } });
        let mut closed = object(expected);
        closed["additionalProperties"] = json!(false);
        check(object(schema), Some(closed));
    }

    #[test]
    fn every_object_is_closed() {
        check(
            json!({"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}},
                   "required":["a"],"additionalProperties":true}),
            Some(json!({"type":"object",
                   "properties":{"a":{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false}},
                   "required":["a"],"additionalProperties":false})),
        );
    }

    #[test]
    fn members_are_rewritten_into_the_subset() {
        let cases = [
            (
                json!({"oneOf":[{"type":"string"},{"type":"null"}]}),
                json!({"anyOf":[{"type":"string"},{"type":"null"}]}),
            ),
            (
                json!({"type":["string","null"],"description":"d","maxLength":3}),
                json!({"description":"d","anyOf":[{"type":"string","description":"Must satisfy maxLength: 3"},{"type":"null"}]}),
            ),
            (
                json!({"type":["string","null"],"enum":["a",null]}),
                json!({"anyOf":[{"type":"string","enum":["a"]},{"type":"null","enum":[null]}]}),
            ),
            (
                json!({"type":["integer"],"minimum":1}),
                json!({"type":"integer","description":"Must satisfy minimum: 1"}),
            ),
            (
                json!({"type":"integer","minimum":1,"maximum":9,"description":"how many"}),
                json!({"type":"integer","description":"how many\nMust satisfy minimum: 1, maximum: 9"}),
            ),
            (json!({"type":"string","format":"email"}), json!({"type":"string","format":"email"})),
            (
                json!({"type":"string","format":"iri"}),
                json!({"type":"string","description":"Must satisfy format: \"iri\""}),
            ),
            (
                json!({"type":"array","items":{"const":1},"minItems":1}),
                json!({"type":"array","items":{"const":1},"minItems":1}),
            ),
            (
                json!({"type":"array","items":true,"minItems":2}),
                json!({"type":"array","items":{},"description":"Must satisfy minItems: 2"}),
            ),
            (
                json!({"type":"string","default":"a","examples":["b"],"$comment":"c"}),
                json!({"type":"string"}),
            ),
            (json!({"enum":["a",{"b":1}]}), json!({"description":"Must satisfy enum: [\"a\",{\"b\":1}]"})),
            (json!({"$ref":"#/definitions/T"}), json!({"$ref":"#/$defs/T"})),
            (json!({"not":{"type":"null"}}), json!({"description":"Must satisfy not: {\"type\":\"null\"}"})),
        ];
        for (schema, expected) in &cases {
            check_member(schema, expected);
        }
    }

    #[test]
    fn definitions_move_with_their_references() {
        check(
            json!({"$ref":"#/definitions/T","definitions":{"T":{"type":"object","properties":{}, "additionalProperties":false}}}),
            Some(
                json!({"$ref":"#/$defs/T","$defs":{"T":{"type":"object","properties":{},"additionalProperties":false}}}),
            ),
        );
    }

    #[test]
    fn open_maps_and_other_roots_are_not_translated() {
        let cases = [
            json!(true),
            json!({}),
            json!({"type":"array","items":{"type":"string"}}),
            json!({"type":"object"}),
            json!({"type":"object","properties":{}}),
            json!({"type":"object","additionalProperties":{"type":"string"}}),
            json!({"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"string"}}}}),
            json!({"type":"object","properties":{"m":{"type":["object","null"]}}}),
            json!({"type":"object","properties":{"a":{}},"patternProperties":{"^x":{}}}),
            json!({"allOf":[{"type":"object","properties":{"a":{}}},{"type":"object","properties":{"b":{}}}]}),
            json!({"type":"object","properties":{"a":{}},"anyOf":[{"properties":{"b":{}}}]}),
        ];
        for schema in cases {
            check(schema, None);
        }
    }

    #[test]
    fn closed_schemas_are_recognised() {
        let cases = [
            (
                json!({"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}),
                true,
            ),
            (
                json!({"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}),
                false,
            ),
            (json!({"type":"object","properties":{},"required":[]}), false),
            (json!({"anyOf":[{"type":"string"},{"properties":{}}]}), false),
            (json!({"type":"array","items":{"type":"object"}}), false),
            (json!({"type":"string"}), true),
        ];
        for (schema, closed) in cases {
            assert_eq!(is_closed(&schema), closed, "{schema}");
        }
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({"type":"string","maxLength":3})),
            Just(json!({"type":["integer","null"],"minimum":0})),
            Just(json!({"enum":["a",1,null]})),
            Just(json!({"type":"string","format":"iri","pattern":"^a"})),
            Just(json!(true)),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({ "oneOf": list })),
                inner.clone().prop_map(|item| json!({"type":["array","null"],"items":item,"maxItems":4})),
                prop::collection::hash_map("[a-c]", inner, 1..3)
                    .prop_map(|named| json!({"type":"object","properties":named,"minProperties":1})),
            ]
        })
    }

    proptest! {
        #[test]
        fn sanitising_twice_changes_nothing(schema in any_schema()) {
            if let Some(once) = sanitised(&schema) {
                prop_assert_eq!(sanitised(&once), Some(once.clone()));
            }
        }
    }
}
