//! Answers that must be JSON: found in the text, and checked against a schema.
//!
//! Pure. Repairs only what cannot change the meaning: a code fence or words around one JSON value.

use serde_json::Value;
use std::sync::Arc;
use unfail_wire::chat::{ChatResponse, Choice, Finish, Part};

/// Largest schema accepted, as JSON text.
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// What an answer must be.
#[derive(Debug, Clone)]
pub enum Demand {
    /// One JSON value of any shape.
    Json,
    /// JSON that matches a schema.
    Schema(Schema),
}

/// A compiled JSON Schema.
#[derive(Debug, Clone)]
pub struct Schema {
    validator: Arc<jsonschema::Validator>,
    source: Arc<Value>,
}

/// A schema that cannot be used, or an answer that breaks one; the text says where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Breach(pub String);

impl Schema {
    /// Compiles `source`. References to other documents are refused: nothing is fetched.
    ///
    /// # Errors
    /// When it is no valid JSON Schema or larger than 256 KiB.
    pub fn compile(source: Value) -> Result<Self, Breach> {
        if source.to_string().len() > SCHEMA_BYTES_MAX {
            return Err(Breach(format!("the schema is larger than {SCHEMA_BYTES_MAX} bytes")));
        }
        let validator = jsonschema::validator_for(&source)
            .map_err(|error| Breach(format!("the schema is not valid: {error}")))?;
        Ok(Self { validator: Arc::new(validator), source: Arc::new(source) })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first breach, with its place.
    pub fn check(&self, value: &Value) -> Result<(), Breach> {
        self.validator.validate(value).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the answer".to_owned() } else { place };
            Breach(clipped(format!("{place}: {error}")))
        })
    }
}

/// Characters of a breach that are told: it quotes the answer, which may be of any length.
const BREACH_CHARS: usize = 500;

fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(BREACH_CHARS) {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

impl Demand {
    /// The value in `text`, if it is what is demanded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, text: &str) -> Result<Value, Breach> {
        let value = find_json(text).ok_or_else(|| Breach("the answer is not JSON".to_owned()))?;
        if let Self::Schema(schema) = self {
            schema.check(&value)?;
        }
        Ok(value)
    }

    /// Checks every choice of an answer that is complete and is not a call or a refusal. A text that needed
    /// repair is replaced by the bare JSON; `Ok(false)` says that this happened.
    ///
    /// # Errors
    /// What is wrong with the first bad choice.
    pub fn check(&self, response: &mut ChatResponse) -> Result<bool, Breach> {
        let mut untouched = true;
        for choice in &mut response.choices {
            untouched &= self.check_choice(choice)?;
        }
        Ok(untouched)
    }

    fn check_choice(&self, choice: &mut Choice) -> Result<bool, Breach> {
        let speaks = matches!(choice.finish, Finish::Stop | Finish::StopSequence(_) | Finish::Length);
        let calls = choice.parts.iter().any(|part| matches!(part, Part::ToolCall(_) | Part::Refusal(_)));
        if !speaks || calls {
            return Ok(true);
        }
        let text = text_of(&choice.parts);
        let value = self.read(&text)?;
        let bare = serde_json::from_str::<Value>(&text).is_ok();
        if !bare {
            choice.parts.retain(|part| !matches!(part, Part::Text(_)));
            choice.parts.push(Part::Text(value.to_string()));
        }
        Ok(bare)
    }
}

/// All text of an answer, joined.
#[must_use]
pub fn text_of(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts.concat()
}

/// The one JSON value in `text`: all of it, the inside of a code fence, or the outermost object or array.
fn find_json(text: &str) -> Option<Value> {
    let trimmed = text.trim();
    if let Ok(value) = serde_json::from_str(trimmed) {
        return Some(value);
    }
    fenced(trimmed).or_else(|| embedded(trimmed))
}

fn fenced(text: &str) -> Option<Value> {
    let (_, rest) = text.split_once("```")?;
    let (inside, _) = rest.split_once("```")?;
    let inside = inside.strip_prefix("json").unwrap_or(inside);
    serde_json::from_str(inside.trim()).ok()
}

/// The first object or array that parses, when nothing after it looks like another.
fn embedded(text: &str) -> Option<Value> {
    let start = text.find(['{', '['])?;
    let candidate = text.get(start..)?;
    let mut values = serde_json::Deserializer::from_str(candidate).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let rest = candidate.get(values.byte_offset()..)?;
    (!rest.contains(['{', '['])).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_found_where_it_can_be_meant() {
        let cases: &[(&str, Option<Value>)] = &[
            (r#"{"a":1}"#, Some(json!({"a":1}))),
            ("  [1,2]\n", Some(json!([1, 2]))),
            ("```json\n{\"a\":1}\n```", Some(json!({"a":1}))),
            ("Here you are:\n```\n[1]\n```\nBye", Some(json!([1]))),
            (r#"The answer is {"a":1}."#, Some(json!({"a":1}))),
            (r#"Either {"a":1} or {"a":2}"#, None),
            ("no json at all", None),
            (r#"{"a":1"#, None),
            ("", None),
            ("\"text\"", Some(json!("text"))),
        ];
        for (text, expected) in cases {
            assert_eq!(find_json(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_schema_names_the_place_of_a_breach() {
        let schema = Schema::compile(json!({
            "type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 1}}
        }))
        .unwrap();
        assert_eq!(schema.check(&json!({"n": 3})), Ok(()));
        assert!(schema.check(&json!({"n": 0})).unwrap_err().0.starts_with("/n:"));
        assert!(schema.check(&json!({})).unwrap_err().0.starts_with("the answer:"));
    }

    #[test]
    fn schemas_that_point_elsewhere_are_refused() {
        let elsewhere = json!({"$ref": "http://127.0.0.1:9/schema.json"});
        assert!(Schema::compile(elsewhere).is_err());
        assert!(Schema::compile(json!({"type": "nonsense"})).is_err());
    }

    #[test]
    fn repaired_text_replaces_the_text_and_calls_are_left_alone() {
        let demand = Demand::Json;
        let choice = |parts, finish| Choice { parts, finish, logprobs: None };
        let mut response = ChatResponse {
            choices: vec![
                choice(vec![Part::Text("```json\n{\"a\": 1}\n```".into())], Finish::Stop),
                choice(vec![Part::Text("calling".into())], Finish::ToolCalls),
            ],
            ..ChatResponse::default()
        };
        assert_eq!(demand.check(&mut response), Ok(false));
        assert_eq!(response.choices[0].parts, vec![Part::Text(r#"{"a":1}"#.into())]);
        response.choices[1].finish = Finish::Stop;
        assert!(demand.check(&mut response).is_err());
    }
}
