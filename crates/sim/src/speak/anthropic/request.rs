//! Reads a Messages request as strictly as the vendor of the `anthropic` wire does.

use serde_json::{Map, Value};

use super::complaint::{Complaint, flawed};
use super::messages::conversation;
use super::traits::Traits;
use crate::brain::{Choice, Format, Prompt, Tool};
use crate::http1::Request;
use crate::speak::check::{Kind, Rule, fields, is_name, texts, walk};
use crate::speak::voice::{Ask, Delivery};

/// Versions of the API.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

const RULES: &[Rule] = &[
    ("model", Kind::Text),
    ("max_tokens", Kind::Int(0, i64::MAX)),
    ("messages", Kind::List),
    ("system", Kind::TextOrList),
    ("stop_sequences", Kind::List),
    ("stream", Kind::Bool),
    ("temperature", Kind::Number(0.0, 1.0)),
    ("top_p", Kind::Number(0.0, 1.0)),
    ("top_k", Kind::Int(0, i64::MAX)),
    ("tools", Kind::List),
    ("tool_choice", Kind::Object),
    ("thinking", Kind::Object),
    ("output_config", Kind::Object),
    ("metadata", Kind::Object),
    ("service_tier", Kind::Word(&["auto", "standard_only"])),
    ("speed", Kind::Word(&["standard", "fast"])),
    ("cache_control", Kind::Object),
    ("container", Kind::Any),
    ("context_management", Kind::Object),
    ("mcp_servers", Kind::List),
    ("diagnostics", Kind::Object),
    ("inference_geo", Kind::Text),
];

/// Keywords of JSON schema that structured output refuses.
const REFUSED_KEYWORDS: &[&str] = &[
    "oneOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
    "not",
];

pub(super) fn read(request: &Request, counting: bool) -> Result<Ask, Complaint> {
    let version = version(request)?;
    let parsed: Value = serde_json::from_slice(&request.body)
        .map_err(|_| Complaint::invalid("The request body is not valid JSON"))?;
    let body = &parsed;
    let Some(object) = body.as_object() else {
        return Err(Complaint::invalid("The request body is not a JSON object"));
    };
    fields(object, RULES, true).map_err(|flaw| flawed(&flaw, ""))?;
    let required = |name: &str| Complaint::invalid(format!("{name}: Field required"));
    let model = body["model"].as_str().ok_or_else(|| required("model"))?;
    if !counting && !body["max_tokens"].is_u64() {
        return Err(required("max_tokens"));
    }
    let messages = body["messages"].as_array().ok_or_else(|| required("messages"))?;
    let traits = Traits::of(model);
    sampling(object, version, traits)?;
    let tools = tools(body)?;
    let (system, turns) = conversation(messages, &body["system"], traits, !tools.is_empty())?;
    let (choice, parallel) = tool_choice(&body["tool_choice"], &tools, traits)?;
    let thinks = thinking(body, traits)?;
    let shown = shown(&body["thinking"], traits)?;
    let prompt = Prompt {
        system,
        turns,
        tools,
        choice,
        parallel,
        format: format(&body["output_config"])?,
        reasoning: thinks,
        discreet: !shown,
        tokens_max: body["max_tokens"].as_u64().map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        stops: stops(&body["stop_sequences"])?,
    };
    let streamed = body["stream"].as_bool().unwrap_or(false);
    let delivery = if streamed { Delivery::Events } else { Delivery::Whole };
    Ok(Ask { model: model.to_owned(), prompt, delivery, choices: 1, usage: true, padding: false })
}

/// The API version, when the request's headers are as they must be.
fn version(request: &Request) -> Result<&str, Complaint> {
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Complaint::invalid("content-type: must be application/json"));
    }
    let Some(version) = request.header("anthropic-version") else {
        return Err(Complaint::invalid("anthropic-version: header is required"));
    };
    if !VERSIONS.contains(&version) {
        return Err(Complaint::invalid(format!("anthropic-version: \"{version}\" is not a valid version")));
    }
    Ok(version)
}

fn sampling(body: &Map<String, Value>, version: &str, traits: Traits) -> Result<(), Complaint> {
    let given = |name: &&str| body.get(*name).is_some_and(|value| !value.is_null());
    let Some(name) = ["temperature", "top_p", "top_k"].into_iter().find(|name| given(name)) else {
        return Ok(());
    };
    if version != "2023-06-01" {
        return Err(Complaint::invalid(format!("{name}: Extra inputs are not permitted")));
    }
    if !traits.sampling {
        return Err(Complaint::invalid(format!("`{name}` is not supported on this model")));
    }
    if given(&"temperature") && given(&"top_p") {
        let message =
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        return Err(Complaint::invalid(message));
    }
    Ok(())
}

/// Whether the model reasons.
fn thinking(body: &Value, traits: Traits) -> Result<bool, Complaint> {
    let thinking = &body["thinking"];
    let Some(kind) = thinking["type"].as_str() else {
        return if thinking.is_null() {
            Ok(false)
        } else {
            Err(Complaint::invalid("thinking.type: Field required"))
        };
    };
    let refused = |kind: &str| {
        let message = format!("thinking.type.{kind}: \"{kind}\" is not supported on this model");
        Err(Complaint::invalid(message))
    };
    match kind {
        "enabled" if !traits.budget => refused(kind),
        "adaptive" if !traits.adaptive => refused(kind),
        "disabled" if traits.always_thinks => refused(kind),
        "enabled" => {
            let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
            if budget < 1024 {
                let message = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
                return Err(Complaint::invalid(message));
            }
            if body["max_tokens"].as_u64().is_some_and(|most| most <= budget) {
                return Err(Complaint::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
            }
            if body["temperature"].as_f64().is_some_and(|value| value < 1.0) {
                let message = "`temperature` may only be set to 1 when thinking is enabled";
                return Err(Complaint::invalid(message));
            }
            Ok(true)
        }
        "adaptive" | "between_tools" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(Complaint::invalid("thinking.type: Input tag does not match any of the expected tags")),
    }
}

/// Whether the text of the reasoning is shown. Models that think as they like keep it to themselves unless asked.
fn shown(thinking: &Value, traits: Traits) -> Result<bool, Complaint> {
    match thinking["display"].as_str() {
        Some("summarized") => Ok(true),
        Some("omitted") => Ok(false),
        None if thinking["display"].is_null() => Ok(traits.budget),
        _ => Err(Complaint::invalid("thinking.display: Input should be 'summarized' or 'omitted'")),
    }
}

fn stops(value: &Value) -> Result<Vec<String>, Complaint> {
    let found = texts(value);
    if found.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Complaint::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    Ok(found)
}

fn tools(body: &Value) -> Result<Vec<Tool>, Complaint> {
    const TOOL: &[Rule] = &[
        ("type", Kind::Text),
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("input_schema", Kind::Object),
        ("strict", Kind::Bool),
        ("cache_control", Kind::Object),
        ("input_examples", Kind::List),
        ("eager_input_streaming", Kind::Bool),
        ("defer_loading", Kind::Bool),
        ("allowed_callers", Kind::List),
    ];
    let mut read: Vec<Tool> = Vec::new();
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let path = format!("tools.{at}");
        match tool["type"].as_str() {
            None | Some("custom") => {}
            // Tools that run at the vendor have settings of their own.
            Some(kind) if is_dated(kind) => continue,
            Some(kind) => {
                let message = format!(
                    "{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
                );
                return Err(Complaint::invalid(message));
            }
        }
        let object = tool
            .as_object()
            .ok_or_else(|| Complaint::invalid(format!("{path}: Input should be an object")))?;
        fields(object, TOOL, true).map_err(|flaw| flawed(&flaw, &format!("{path}.custom")))?;
        let name = tool["name"].as_str().unwrap_or_default();
        if !is_name(name, 128) {
            let message =
                format!("{path}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'");
            return Err(Complaint::invalid(message));
        }
        let schema = &tool["input_schema"];
        if schema["type"] != "object" {
            let message = format!("{path}.custom.input_schema.type: Input should be 'object'");
            return Err(Complaint::invalid(message));
        }
        if read.iter().any(|other| other.name == name) {
            return Err(Complaint::invalid("tools: Tool names must be unique."));
        }
        read.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
    Ok(read)
}

/// The type of a tool that runs at the vendor ends in the date of its version: `web_search_20260318`.
fn is_dated(kind: &str) -> bool {
    let version = kind.rsplit_once('_').map(|(_, version)| version).unwrap_or_default();
    version.len() == 8 && version.bytes().all(|byte| byte.is_ascii_digit())
}

fn tool_choice(value: &Value, tools: &[Tool], traits: Traits) -> Result<(Choice, bool), Complaint> {
    if value.is_null() {
        return Ok((Choice::Auto, true));
    }
    if tools.is_empty() {
        let message = "tool_choice: may only be specified while providing tools.";
        return Err(Complaint::invalid(message));
    }
    const CHOICE: &[Rule] = &[
        ("type", Kind::Word(&["auto", "any", "tool", "none"])),
        ("name", Kind::Text),
        ("disable_parallel_tool_use", Kind::Bool),
    ];
    let empty = Map::new();
    fields(value.as_object().unwrap_or(&empty), CHOICE, true).map_err(|flaw| flawed(&flaw, "tool_choice"))?;
    let kind = value["type"].as_str().unwrap_or_default();
    if matches!(kind, "any" | "tool") && !traits.forced_tool {
        let message = format!("tool_choice.{kind}: forced tool use is not supported on this model");
        return Err(Complaint::invalid(message));
    }
    let name = value["name"].as_str().unwrap_or_default();
    let choice = match kind {
        "auto" => Choice::Auto,
        "any" => Choice::Must,
        "none" => Choice::Never,
        "tool" if tools.iter().any(|tool| tool.name == name) => Choice::Named(name.to_owned()),
        "tool" => return Err(Complaint::invalid(format!("Tool '{name}' not found in provided tools"))),
        _ => return Err(Complaint::invalid("tool_choice.type: Field required")),
    };
    Ok((choice, !value["disable_parallel_tool_use"].as_bool().unwrap_or(false)))
}

fn format(config: &Value) -> Result<Format, Complaint> {
    const CONFIG: &[Rule] =
        &[("effort", Kind::Word(&["low", "medium", "high", "xhigh", "max"])), ("format", Kind::Object)];
    if let Some(config) = config.as_object() {
        fields(config, CONFIG, true).map_err(|flaw| flawed(&flaw, "output_config"))?;
    }
    let format = &config["format"];
    if format.is_null() {
        return Ok(Format::Text);
    }
    let path = "output_config.format";
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err(Complaint::invalid(format!("{path}.schema: Field required")));
    }
    if let Some((at, what)) = walk(&format["schema"], "", &unsupported) {
        let at = if at.is_empty() { String::new() } else { format!(".{at}") };
        return Err(Complaint::invalid(format!("{path}.schema{at}: {what}")));
    }
    Ok(Format::Schema(format["schema"].clone()))
}

/// What structured output does not take.
fn unsupported(schema: &Value) -> Option<String> {
    if let Some(word) = REFUSED_KEYWORDS.iter().find(|word| schema.get(**word).is_some()) {
        return Some(format!(
            "For '{}' type, property '{word}' is not supported",
            schema["type"].as_str().unwrap_or("")
        ));
    }
    if schema["minItems"].as_u64().is_some_and(|least| least > 1) {
        return Some("For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned());
    }
    let is_object = schema["type"] == "object" || schema.get("properties").is_some();
    (is_object && schema["additionalProperties"] != false)
        .then(|| "For 'object' type, 'additionalProperties' must be explicitly set to false".to_owned())
}
