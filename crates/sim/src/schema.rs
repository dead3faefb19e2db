//! An instance for a JSON schema, always the same one for the same schema and salt.
//!
//! Covers what structured output may ask of a model: objects, arrays, enums, constants, unions, numbers, strings,
//! references. Patterns are not solved. Never fails: a schema without a finite instance gets `null`.

use serde_json::{Map, Value, json};

/// Below this depth only what the schema requires is filled in.
const LEAN_DEPTH: usize = 4;
/// Below this depth the answer is `null`: the schema demands an endless value.
const DEPTH_MAX: usize = 32;

/// Makes an instance; different salts give different texts and numbers where the schema leaves the choice.
#[must_use]
pub fn instance(schema: &Value, salt: u32) -> Value {
    Maker { root: schema, salt }.value(schema, "value", 0)
}

struct Maker<'a> {
    root: &'a Value,
    salt: u32,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.resolve(path)) {
            return self.value(target, name, depth + 1);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.is_empty()) {
            return choices.get(self.salt as usize % choices.len()).cloned().unwrap_or_default();
        }
        if let Some(branch) = self.branch(schema, depth) {
            return self.value(branch, name, depth + 1);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.value(&merged(schema, parts, self), name, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => integer(schema, self.salt),
            "number" => number(schema, self.salt),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => text(schema, name, self.salt).into(),
        }
    }

    fn resolve(&self, path: &str) -> Option<&Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }

    /// Picks an alternative; deep down the plainest one, so that recursive types end.
    fn branch<'s>(&self, schema: &'s Value, depth: usize) -> Option<&'s Value> {
        let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
        if depth < LEAN_DEPTH {
            return branches.first();
        }
        branches.iter().min_by_key(|branch| match kind(branch) {
            _ if branch.get("$ref").is_some() => 3,
            "null" => 0,
            "object" | "array" => 2,
            _ => 1,
        })
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required = |name: &str| {
            schema["required"]
                .as_array()
                .is_some_and(|list| list.iter().any(|item| item.as_str() == Some(name)))
        };
        let mut made = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if depth < LEAN_DEPTH || required(name) {
                made.insert(name.clone(), self.value(property, name, depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let fixed = schema["prefixItems"].as_array().map(Vec::as_slice).unwrap_or_default();
        let least = bound(schema, "minItems").unwrap_or(0);
        let most = bound(schema, "maxItems").unwrap_or(usize::MAX);
        let wished = if depth < LEAN_DEPTH { least.max(fixed.len()).max(1) } else { least };
        let count = wished.min(most);
        let anything = Value::Bool(true);
        let rest = schema.get("items").unwrap_or(&anything);
        let items = (0..count).map(|at| {
            // Salted by position, so that items which must differ do.
            let maker = Maker { root: self.root, salt: self.salt + u32::try_from(at).unwrap_or_default() };
            maker.value(fixed.get(at).unwrap_or(rest), name, depth + 1)
        });
        items.collect()
    }
}

/// One schema that says what all parts of an `allOf` say, as far as keywords of one level go.
fn merged(schema: &Value, parts: &[Value], maker: &Maker<'_>) -> Value {
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove("allOf");
    for part in parts {
        let part = part["$ref"].as_str().and_then(|path| maker.resolve(path)).unwrap_or(part);
        for (key, value) in part.as_object().into_iter().flatten() {
            match (whole.get_mut(key), value) {
                (Some(Value::Object(old)), Value::Object(new)) => {
                    old.extend(new.iter().map(|(name, schema)| (name.clone(), schema.clone())));
                }
                (Some(Value::Array(old)), Value::Array(new)) => old.extend(new.iter().cloned()),
                _ => {
                    whole.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(whole)
}

/// The type to make, in lower case (one wire writes types in capitals); the first that is not null of several.
fn kind(schema: &Value) -> &'static str {
    const KINDS: [&str; 7] = ["object", "array", "integer", "number", "boolean", "null", "string"];
    let named = |name: &str| KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(name));
    let stated = match &schema["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let known = || names.iter().filter_map(Value::as_str).filter_map(named);
            known().find(|name| *name != "null").or_else(|| known().next())
        }
        _ => None,
    };
    stated.unwrap_or(if schema.get("properties").is_some() {
        "object"
    } else if schema.get("items").is_some() || schema.get("prefixItems").is_some() {
        "array"
    } else {
        "string"
    })
}

fn bound(schema: &Value, key: &str) -> Option<usize> {
    schema[key].as_u64().and_then(|value| usize::try_from(value).ok())
}

fn integer(schema: &Value, salt: u32) -> Value {
    let least = schema["minimum"].as_f64().map(f64::ceil);
    let above = schema["exclusiveMinimum"].as_f64().map(|bound| bound.floor() + 1.0);
    let most = schema["maximum"].as_f64().map(f64::floor);
    let below = schema["exclusiveMaximum"].as_f64().map(|bound| bound.ceil() - 1.0);
    let step = schema["multipleOf"].as_f64().filter(|step| *step >= 1.0).unwrap_or(1.0);
    let low = fold(least, above, f64::max);
    let high = fold(most, below, f64::min);
    #[expect(clippy::cast_possible_truncation, reason = "bounds of a schema are small whole numbers")]
    let whole = pick(low, high, step, salt) as i64;
    json!(whole)
}

fn number(schema: &Value, salt: u32) -> Value {
    let step = schema["multipleOf"].as_f64().filter(|step| *step > 0.0).unwrap_or(0.5);
    let nudge = step / 2.0;
    let free = schema.get("multipleOf").is_none();
    let above = schema["exclusiveMinimum"].as_f64();
    let below = schema["exclusiveMaximum"].as_f64();
    if let (Some(above), Some(below), true) = (above, below, free) {
        return json!(f64::midpoint(above, below));
    }
    let low = fold(schema["minimum"].as_f64(), above.map(|bound| bound + nudge), f64::max);
    let high = fold(schema["maximum"].as_f64(), below.map(|bound| bound - nudge), f64::min);
    if let (Some(low), Some(high), true) = (low, high, free) {
        return json!(f64::midpoint(low, high));
    }
    json!(pick(low, high, step, salt))
}

fn fold(a: Option<f64>, b: Option<f64>, with: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(with(a, b)),
        (a, b) => a.or(b),
    }
}

/// A multiple of `step` inside the bounds, moved by the salt where there is room.
fn pick(low: Option<f64>, high: Option<f64>, step: f64, salt: u32) -> f64 {
    let low_step = low.map(|low| (low / step).ceil());
    let high_step = high.map(|high| (high / step).floor());
    let wished = f64::from(salt) + 1.0;
    let steps = match (low_step, high_step) {
        (Some(low), Some(high)) => (low + f64::from(salt)).min(high),
        (Some(low), None) => low + f64::from(salt),
        (None, Some(high)) => wished.min(high),
        (None, None) => wished,
    };
    steps * step
}

/// A text of the stated format and length, named after its property so that a reader can tell them apart.
fn text(schema: &Value, name: &str, salt: u32) -> String {
    let day = salt % 28 + 1;
    match schema["format"].as_str() {
        Some("date-time") => return format!("2026-11-{day:02}T07:28:00Z"),
        Some("date") => return format!("2026-11-{day:02}"),
        Some("time") => return "07:28:00Z".to_owned(),
        Some("duration") => return format!("PT{day}M"),
        Some("email") => return format!("someone{salt}@example.com"),
        Some("hostname") => return format!("host{salt}.example.com"),
        Some("uri") => return format!("https://example.com/{salt}"),
        Some("ipv4") => return format!("192.0.2.{day}"),
        Some("ipv6") => return format!("2001:db8::{day}"),
        Some("uuid") => return format!("00000000-0000-4000-8000-{salt:012x}"),
        _ => {}
    }
    let least = bound(schema, "minLength").unwrap_or(0);
    let most = bound(schema, "maxLength").unwrap_or(usize::MAX);
    let mut made = if salt == 0 { format!("some {name}") } else { format!("some {name} {salt}") };
    let length = made.chars().count();
    made.extend(std::iter::repeat_n('.', least.saturating_sub(length)));
    made.chars().take(most).collect()
}
