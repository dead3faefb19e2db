//! The law of the simulated model's JSON: what it makes for a schema is valid for it, by an independent validator.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use unfail_sim::schema::instance;

fn leaf() -> impl Strategy<Value = Value> {
    let formats =
        ["date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "duration"];
    prop_oneof![
        Just(json!({"type": "string"})),
        (0_u32..12, 0_u32..40).prop_map(|(least, more)| {
            json!({"type": "string", "minLength": least, "maxLength": least + more})
        }),
        prop::sample::select(formats.to_vec()).prop_map(|name| json!({"type": "string", "format": name})),
        (-50_i64..50, 0_i64..50).prop_map(|(least, more)| {
            json!({"type": "integer", "minimum": least, "maximum": least + more})
        }),
        (-50_i64..50).prop_map(|bound| json!({"type": "integer", "exclusiveMinimum": bound})),
        (-50_i64..50).prop_map(|bound| json!({"type": "integer", "exclusiveMaximum": bound})),
        (1_i64..9, -50_i64..50)
            .prop_map(|(step, least)| { json!({"type": "integer", "multipleOf": step, "minimum": least}) }),
        (-50_i64..50, 1_i64..50).prop_map(|(least, more)| {
            json!({"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + more})
        }),
        (-50_i64..50).prop_map(|bound| json!({"type": "number", "maximum": bound})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({"type": ["string", "null"]})),
        prop::collection::vec("[a-z]{1,6}", 1..4).prop_map(|words| json!({"enum": words})),
        any::<i32>().prop_map(|value| json!({"const": value})),
        Just(json!({"$ref": "#/$defs/tree"})),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (prop::collection::btree_map("[a-z]{1,5}", inner.clone(), 0..4), any::<u8>()).prop_map(|(properties, mask)| {
                let names = properties.keys().enumerate();
                let required: Vec<_> = names.filter(|(at, _)| mask >> at & 1 == 1).map(|(_, name)| name.clone()).collect();
                let properties: Map<String, Value> = properties.into_iter().collect();
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
            }),
            (inner.clone(), 0_u32..3, 0_u32..3).prop_map(|(items, least, more)| {
                json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})
            }),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|items| json!({"type": "array", "prefixItems": items})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|branches| json!({"anyOf": branches})),
            inner.prop_map(|part| json!({"allOf": [part]})),
        ]
    })
}

/// A type that contains itself, for the references above.
fn tree() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
        },
        "required": ["name", "next", "children"],
        "additionalProperties": false,
    })
}

fn check(schema: &Value, salt: u32) {
    let made = instance(schema, salt);
    let validator = jsonschema::validator_for(schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(&made).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}\nschema: {schema}\ninstance: {made}");
    assert_eq!(made, instance(schema, salt), "the same schema gives the same instance");
}

proptest! {
    #[test]
    fn an_instance_is_valid(mut schema in schema(), salt in 0_u32..40) {
        schema.as_object_mut().unwrap().insert("$defs".to_owned(), json!({"tree": tree()}));
        check(&schema, salt);
    }
}

#[test]
fn schemas_people_write() {
    for schema in [
        json!({}),
        json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true, "minItems": 3}),
        json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]}),
        json!({"type": "object", "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["unit"]}),
        json!({"properties": {"a": {"items": {"type": "number"}}}}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
    ] {
        (0..4).for_each(|salt| check(&schema, salt));
    }
    assert_eq!(
        instance(&json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}), 0),
        json!({"n": 1})
    );
    let endless = json!({"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]});
    assert!(instance(&endless, 0).is_object(), "a schema without a finite instance ends all the same");
}
