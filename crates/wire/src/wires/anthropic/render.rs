//! A request for a target, from the hub.
//!
//! Writes only what the target's traits allow; what the format cannot say is refused, what it has no use for is
//! left out, and what it can only be asked for in words becomes an instruction.

use super::history::History;
use super::ids::is_tool_name;
use super::reasoning::{self, Plan};
use super::schema::sanitised;
use crate::chat::{ChatRequest, Format, Sampling, Tool, ToolChoice, ToolUse};
use crate::format::Unspeakable;
use crate::target::{Target, Traits};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Longest `metadata.user_id` the format takes, in bytes.
const USER_ID_MAX: usize = 256;

/// The request body.
///
/// # Errors
/// [`Unspeakable`] for several answers, log probabilities, sound, and names or media outside the format's range.
pub(super) fn body(request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable> {
    if request.output.choices.is_some_and(|choices| choices > 1) {
        return Err(Unspeakable { what: "several alternative answers" });
    }
    if request.output.logprobs.is_some() {
        return Err(Unspeakable { what: "log probabilities" });
    }
    let mut history = History::read(&request.messages)?;
    let stuck = history.calls_without_thinking();
    let plan = reasoning::plan(request.reasoning, request.output.max_tokens, target, stuck);

    let mut body = Body(Map::new());
    body.put("model", target.model);
    body.put("max_tokens", plan.max_tokens);
    let tools = tools(&request.tools, &history.called, target)?;
    let choice = choice(&request.tools, !tools.is_empty(), forcible(target.traits, &plan));
    let (format, asked) = format(&request.output.format, target.traits);
    let mut system = std::mem::take(&mut history.system);
    system.extend(choice.asked);
    system.extend(asked);
    body.some("system", (!system.is_empty()).then(|| system.join("\n\n")));
    let prefill = target.traits.prefill != Some(false) && !plan.on;
    body.put("messages", history.into_messages(prefill));
    body.some("tools", (!tools.is_empty()).then_some(Value::Array(tools)));
    body.some("tool_choice", choice.field);
    body.some("thinking", plan.thinking);
    body.some("output_config", output_config(plan.effort, format));
    if target.traits.sampling != Some(false) && !plan.on {
        sampling(&mut body, &request.sampling);
    }
    let stops = request.sampling.stop.iter().filter(|text| !text.trim().is_empty());
    let stops: Vec<&String> = stops.collect();
    body.some("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    let user = request.user.as_deref().filter(|user| is_opaque(user));
    body.some("metadata", user.map(|user| json!({ "user_id": user })));
    body.some("stream", request.stream.then_some(true));
    for field in target.quirks.refused {
        body.0.shift_remove(*field);
    }
    Ok(Value::Object(body.0).to_string().into_bytes())
}

/// Members in the order in which they are put.
struct Body(Map<String, Value>);

impl Body {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

/// Temperature is clamped and not rescaled; beside it, models that take both refuse nucleus sampling.
fn sampling(body: &mut Body, sampling: &Sampling) {
    body.some("temperature", sampling.temperature.map(|temperature| temperature.clamp(0.0, 1.0)));
    let top_p = sampling.top_p.filter(|_| sampling.temperature.is_none());
    body.some("top_p", top_p.map(|top_p| top_p.clamp(0.0, 1.0)));
    body.some("top_k", sampling.top_k);
}

/// The provider wants no e-mail address or telephone number here; such an id is left out.
fn is_opaque(user: &str) -> bool {
    let phone = |c: char| c.is_ascii_digit() || "+-(). /".contains(c);
    !user.is_empty() && user.len() <= USER_ID_MAX && !user.contains('@') && !user.chars().all(phone)
}

// === Tools ===

/// The tools offered. A conversation with calls needs declarations even when the caller offers no tool any more.
fn tools(offered: &ToolUse, called: &[String], target: &Target<'_>) -> Result<Vec<Value>, Unspeakable> {
    if offered.tools.is_empty() {
        let mut seen = HashSet::new();
        let names = called.iter().filter(|name| seen.insert(name.as_str()));
        return Ok(names.map(|name| json!({ "name": name, "input_schema": no_arguments() })).collect());
    }
    let strict = !target.quirks.no_strict_tools;
    offered.tools.iter().map(|offered| tool(offered, strict)).collect()
}

fn tool(tool: &Tool, strict: bool) -> Result<Value, Unspeakable> {
    if !is_tool_name(&tool.name) {
        return Err(Unspeakable { what: "tool names of other than letters, digits, `_` and `-`" });
    }
    let mut schema = match &tool.parameters {
        Some(Value::Object(members)) => Value::Object(members.clone()),
        _ => no_arguments(),
    };
    if let Some(members) = schema.as_object_mut() {
        members.entry("type").or_insert_with(|| Value::from("object"));
    }
    let mut strict = tool.strict.filter(|_| strict);
    if strict == Some(true) && tool.parameters.is_some() {
        match sanitised(&schema) {
            Some(subset) => schema = subset,
            None => strict = None,
        }
    }
    let mut out = Body(Map::new());
    out.put("name", tool.name.as_str());
    out.some("description", tool.description.as_deref());
    out.put("input_schema", schema);
    out.some("strict", strict);
    Ok(Value::Object(out.0))
}

/// Input schema of a tool without arguments.
pub(super) fn no_arguments() -> Value {
    json!({ "type": "object", "properties": {} })
}

/// The `tool_choice` member, and the words for what it cannot demand.
struct Choice {
    field: Option<Value>,
    asked: Option<String>,
}

/// A call can be forced: the model allows it and no budgeted thinking forbids it.
fn forcible(traits: &Traits, plan: &Plan) -> bool {
    traits.forced_tool != Some(false) && !plan.budgeted
}

fn choice(tools: &ToolUse, declared: bool, forcible: bool) -> Choice {
    if !declared {
        return Choice { field: None, asked: None };
    }
    if tools.tools.is_empty() {
        // Declared for the history only.
        return Choice { field: Some(json!({ "type": "none" })), asked: None };
    }
    let (field, asked) = match &tools.choice {
        Some(ToolChoice::None) => return Choice { field: Some(json!({ "type": "none" })), asked: None },
        Some(ToolChoice::Required) if forcible => (Some(json!({ "type": "any" })), None),
        Some(ToolChoice::Named(name)) if forcible => (Some(json!({ "type": "tool", "name": name })), None),
        Some(ToolChoice::Required) => {
            (Some(json!({ "type": "auto" })), Some("Call at least one tool in your next answer.".to_owned()))
        }
        Some(ToolChoice::Named(name)) => {
            (Some(json!({ "type": "auto" })), Some(format!("Call the tool `{name}` in your next answer.")))
        }
        Some(ToolChoice::Auto) => (Some(json!({ "type": "auto" })), None),
        None => ((tools.parallel == Some(false)).then(|| json!({ "type": "auto" })), None),
    };
    let field = field.map(|mut field| {
        if let (Some(parallel), Some(members)) = (tools.parallel, field.as_object_mut()) {
            members.insert("disable_parallel_tool_use".to_owned(), Value::Bool(!parallel));
        }
        field
    });
    Choice { field, asked }
}

// === Shape of the answer ===

/// The `output_config.format` member, or the words that ask for the same.
fn format(format: &Format, traits: &Traits) -> (Option<Value>, Option<String>) {
    match format {
        Format::Text => (None, None),
        Format::JsonObject => (None, Some("Answer with one JSON object and nothing else.".to_owned())),
        Format::JsonSchema(wanted) => {
            let subset = (traits.json_schema != Some(false)).then(|| sanitised(&wanted.schema)).flatten();
            match subset {
                Some(schema) => (Some(json!({ "type": "json_schema", "schema": schema })), None),
                None => {
                    let words = "Answer with one JSON value that matches this JSON Schema, and nothing else:";
                    (None, Some(format!("{words}\n{}", wanted.schema)))
                }
            }
        }
    }
}

fn output_config(effort: Option<&'static str>, format: Option<Value>) -> Option<Value> {
    let mut config = Body(Map::new());
    config.some("effort", effort);
    config.some("format", format);
    (!config.0.is_empty()).then_some(Value::Object(config.0))
}
