//! Reads a content generation request as strictly as the vendor of the `gemini` wire does.

use serde_json::{Map, Value};

use super::complaint::{Complaint, flawed};
use super::contents::conversation;
use super::level::{level, list, schema};
use crate::brain::{Choice, Format, Prompt, Tool};
use crate::speak::check::{Flaw, Kind, Rule, fields, texts, walk};
use crate::speak::voice::{Ask, Delivery};

const RULES: &[Rule] = &[
    ("model", Kind::Text),
    ("contents", Kind::List),
    ("systemInstruction", Kind::Object),
    ("tools", Kind::List),
    ("toolConfig", Kind::Object),
    ("generationConfig", Kind::Object),
    ("safetySettings", Kind::List),
    ("cachedContent", Kind::Text),
    ("serviceTier", Kind::Text),
];

const CONFIG: &[Rule] = &[
    ("candidateCount", Kind::Int(1, 8)),
    ("stopSequences", Kind::List),
    ("maxOutputTokens", Kind::Int(1, 2_147_483_647)),
    ("temperature", Kind::Number(0.0, 2.0)),
    ("topP", Kind::Number(0.0, 1.0)),
    ("topK", Kind::Number(1.0, 1e9)),
    ("seed", Kind::Int(-2_147_483_648, 2_147_483_647)),
    ("presencePenalty", Kind::Number(-2.0, 2.0)),
    ("frequencyPenalty", Kind::Number(-2.0, 2.0)),
    ("responseLogprobs", Kind::Bool),
    ("logprobs", Kind::Int(0, 20)),
    ("responseMimeType", Kind::Word(&["text/plain", "application/json", "text/x.enum"])),
    ("responseSchema", Kind::Object),
    ("responseJsonSchema", Kind::Any),
    ("_responseJsonSchema", Kind::Any),
    ("responseModalities", Kind::List),
    ("thinkingConfig", Kind::Object),
    ("speechConfig", Kind::Object),
    ("mediaResolution", Kind::Text),
    ("responseFormat", Kind::Any),
];

const DECLARATION: &[Rule] = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("parameters", Kind::Object),
    ("parametersJsonSchema", Kind::Any),
    ("response", Kind::Object),
    ("responseJsonSchema", Kind::Any),
    ("behavior", Kind::Text),
];

/// Tools that run at the vendor.
const BUILT_IN: &[&str] = &[
    "googleSearch",
    "codeExecution",
    "urlContext",
    "googleSearchRetrieval",
    "googleMaps",
    "computerUse",
    "fileSearch",
];

/// Keys of the vendor's own schema type, which is a part of OpenAPI's.
const SCHEMA_KEYS: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "propertyOrdering",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "default",
    "$ref",
    "$defs",
    "ref",
    "defs",
    "additionalProperties",
];

/// Reads a body; the model and the delivery are in the URL.
pub(super) fn read(body: &[u8], model: &str, delivery: Delivery) -> Result<Ask, Complaint> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|fault| Complaint::invalid(format!("Invalid JSON payload received. {fault}")))?;
    let body = level(&body)
        .ok_or_else(|| Complaint::invalid("Invalid JSON payload received. Expected an object."))?;
    // Counting may wrap a whole request.
    if let Some(inner) = body.get("generateContentRequest") {
        return read(inner.to_string().as_bytes(), model, delivery);
    }
    fields(&body, RULES, true).map_err(|flaw| flawed(&flaw, ""))?;
    let config = body.get("generationConfig").and_then(level).unwrap_or_default();
    fields(&config, CONFIG, true).map_err(|flaw| flawed(&flaw, "generation_config"))?;
    let modern = is_modern(model);
    let (system, turns) = conversation(&body, modern)?;
    let tools = tools(&body, modern)?;
    let format = format(&config)?;
    if !modern && !tools.is_empty() && format != Format::Text {
        let message = "Function calling with a response mime type: 'application/json' is unsupported";
        return Err(Complaint::invalid(message));
    }
    let (thinks, shown) = thinking(&config)?;
    let prompt = Prompt {
        system,
        choice: tool_choice(&body, &tools)?,
        turns,
        tools,
        parallel: true,
        format,
        reasoning: thinks,
        discreet: !shown,
        tokens_max: number(&config, "maxOutputTokens"),
        stops: stops(&config)?,
    };
    let choices = number(&config, "candidateCount").unwrap_or(1);
    if choices > 1 {
        return Err(Complaint::invalid("Multiple candidates is not enabled for this model"));
    }
    Ok(Ask { model: model.to_owned(), prompt, delivery, choices, usage: true, padding: false })
}

/// Generation 3 and later, by the name: signs its calls, gives them ids, and mixes tools with JSON.
pub(super) fn is_modern(model: &str) -> bool {
    let major = model.strip_prefix("gemini-").and_then(|rest| rest.split(['.', '-']).next());
    major.and_then(|text| text.parse::<u32>().ok()).is_some_and(|major| major >= 3)
}

fn number(config: &Map<String, Value>, name: &str) -> Option<u32> {
    config.get(name).and_then(Value::as_u64).map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

fn stops(config: &Map<String, Value>) -> Result<Vec<String>, Complaint> {
    let found = config.get("stopSequences").map(texts).unwrap_or_default();
    if found.len() > 5 {
        let message = "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences";
        return Err(Complaint::invalid(message));
    }
    Ok(found)
}

/// Whether the model reasons, and whether the answer shows it. One that is told nothing reasons little enough to count
/// nothing here.
fn thinking(config: &Map<String, Value>) -> Result<(bool, bool), Complaint> {
    const RULES: &[Rule] = &[
        ("includeThoughts", Kind::Bool),
        ("thinkingBudget", Kind::Int(-1, 32_768)),
        ("thinkingLevel", Kind::Text),
    ];
    let Some(thinking) = config.get("thinkingConfig").and_then(level) else {
        return Ok((false, false));
    };
    fields(&thinking, RULES, true).map_err(|flaw| flawed(&flaw, "generation_config.thinking_config"))?;
    if thinking.contains_key("thinkingBudget") && thinking.contains_key("thinkingLevel") {
        let message = "You can only set only one of thinking budget and thinking level.";
        return Err(Complaint::invalid(message));
    }
    if let Some(level) = thinking.get("thinkingLevel").and_then(Value::as_str) {
        let known = ["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];
        if !known.iter().any(|name| name.eq_ignore_ascii_case(level)) {
            return Err(Complaint::invalid(format!(
                "Invalid value at 'generation_config.thinking_config.thinking_level' (TYPE_ENUM), \"{level}\""
            )));
        }
    }
    let shown = thinking.get("includeThoughts").and_then(Value::as_bool).unwrap_or(false);
    let off = thinking.get("thinkingBudget").and_then(Value::as_i64) == Some(0);
    Ok((!off, shown))
}

fn format(config: &Map<String, Value>) -> Result<Format, Complaint> {
    let own = config.get("responseSchema").map(schema);
    let json_schema = config.get("responseJsonSchema").or_else(|| config.get("_responseJsonSchema"));
    let mime = config.get("responseMimeType").and_then(Value::as_str).unwrap_or("text/plain");
    if own.is_some() && json_schema.is_some() {
        return Err(Complaint::invalid("Only one of response_schema and response_json_schema can be set."));
    }
    if let Some(schema) = &own {
        schema_is_known(schema, "generation_config.response_schema")?;
    }
    match (own.or(json_schema.cloned()), mime) {
        (None, "application/json") => Ok(Format::Json),
        (None, _) => Ok(Format::Text),
        (Some(schema), "application/json" | "text/x.enum") => Ok(Format::Schema(schema)),
        (Some(_), _) => Err(Complaint::invalid(
            "Response schema is only supported when the response mime type is 'application/json'",
        )),
    }
}

/// The vendor's own schema type has no other keys than its own; a key it does not know is an unknown field.
fn schema_is_known(schema: &Value, path: &str) -> Result<(), Complaint> {
    let unknown = |schema: &Value| {
        let many = schema["type"].is_array().then(|| "type".to_owned());
        let keys = schema.as_object().into_iter().flatten().map(|(key, _)| key);
        many.or_else(|| keys.into_iter().find(|key| !SCHEMA_KEYS.contains(&key.as_str())).cloned())
    };
    match walk(schema, "", &unknown) {
        None => Ok(()),
        Some((at, key)) => {
            let path = if at.is_empty() { path.to_owned() } else { format!("{path}.{at}") };
            Err(flawed(&Flaw::Unknown(key), &path))
        }
    }
}

fn tools(body: &Map<String, Value>, modern: bool) -> Result<Vec<Tool>, Complaint> {
    let mut read = Vec::new();
    let mut built_in = false;
    for (at, tool) in list(body, "tools").iter().enumerate() {
        let tool = level(tool).unwrap_or_default();
        for key in tool.keys().filter(|key| *key != "functionDeclarations") {
            if !BUILT_IN.contains(&key.as_str()) {
                let flaw = Flaw::Unknown(key.clone());
                return Err(flawed(&flaw, &format!("tools[{at}]")));
            }
            built_in = true;
        }
        for (function_at, declared) in list(&tool, "functionDeclarations").iter().enumerate() {
            read.push(declaration(declared, &format!("tools[{at}].function_declarations[{function_at}]"))?);
        }
    }
    if built_in && !read.is_empty() && !modern {
        return Err(Complaint::invalid(
            "Built-in tools and Function Calling cannot be combined in the same request.",
        ));
    }
    Ok(read)
}

fn declaration(declared: &Value, path: &str) -> Result<Tool, Complaint> {
    let object = level(declared).unwrap_or_default();
    fields(&object, DECLARATION, true).map_err(|flaw| flawed(&flaw, path))?;
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.:-".contains(letter);
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if !starts || name.len() > 64 || !name.chars().all(plain) {
        let message = format!(
            "* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an underscore. \
             Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum \
             length of 64."
        );
        return Err(Complaint::invalid(message));
    }
    let own = object.get("parameters").map(schema);
    if let Some(schema) = &own {
        schema_is_known(schema, &format!("{path}.parameters"))?;
        let is_empty = schema["properties"].as_object().is_some_and(Map::is_empty);
        if schema["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("object")) && is_empty {
            let message = format!(
                "* GenerateContentRequest.{path}.parameters.properties: should be non-empty for OBJECT type"
            );
            return Err(Complaint::invalid(message));
        }
        if object.contains_key("parametersJsonSchema") {
            let message = format!("{path}: only one of parameters and parameters_json_schema can be set");
            return Err(Complaint::invalid(message));
        }
    }
    let stated = own.or_else(|| object.get("parametersJsonSchema").cloned());
    let nothing = || Value::Object([("type".to_owned(), Value::from("object"))].into_iter().collect());
    Ok(Tool { name: name.to_owned(), schema: stated.unwrap_or_else(nothing) })
}

fn tool_choice(body: &Map<String, Value>, tools: &[Tool]) -> Result<Choice, Complaint> {
    let config = body.get("toolConfig").and_then(level).unwrap_or_default();
    const CONFIG: &[Rule] = &[
        ("functionCallingConfig", Kind::Object),
        ("retrievalConfig", Kind::Object),
        ("includeServerSideToolInvocations", Kind::Bool),
    ];
    fields(&config, CONFIG, true).map_err(|flaw| flawed(&flaw, "tool_config"))?;
    let calling = config.get("functionCallingConfig").and_then(level).unwrap_or_default();
    const CALLING: &[Rule] = &[("mode", Kind::Text), ("allowedFunctionNames", Kind::List)];
    fields(&calling, CALLING, true).map_err(|flaw| flawed(&flaw, "tool_config.function_calling_config"))?;
    let mode = calling.get("mode").and_then(Value::as_str).unwrap_or("AUTO").to_ascii_uppercase();
    let allowed = calling.get("allowedFunctionNames").map(texts).unwrap_or_default();
    if !allowed.is_empty() && !matches!(mode.as_str(), "ANY" | "VALIDATED") {
        let message =
            "Allowed function names should only be set when the function calling mode is ANY or VALIDATED";
        return Err(Complaint::invalid(message));
    }
    if let Some(name) = allowed.iter().find(|name| !tools.iter().any(|tool| tool.name == **name)) {
        return Err(Complaint::invalid(format!("Allowed function name `{name}` is not declared")));
    }
    match (mode.as_str(), allowed.as_slice()) {
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", _) => Ok(Choice::Auto),
        ("NONE", _) => Ok(Choice::Never),
        ("ANY", _) if tools.is_empty() => {
            Err(Complaint::invalid("Function calling config is set without function_declarations."))
        }
        ("ANY", [only]) => Ok(Choice::Named(only.clone())),
        ("ANY", _) => Ok(Choice::Must),
        _ => Err(Complaint::invalid(format!(
            "Invalid value at 'tool_config.function_calling_config.mode' (TYPE_ENUM), \"{mode}\""
        ))),
    }
}
