//! Reads a chat completion request as strictly as the vendor of the `openai-chat` wire does.

use serde_json::{Map, Value};

use super::complaint::{Complaint, flawed};
use super::messages::conversation;
use crate::brain::{Choice, Format, Prompt, Tool};
use crate::flavour::Flavour;
use crate::speak::check::{Kind, Rule, fields, is_name, texts, walk};
use crate::speak::voice::{Ask, Delivery};

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Every field of a request.
const RULES: &[Rule] = &[
    ("audio", Kind::Object),
    ("frequency_penalty", Kind::Number(-2.0, 2.0)),
    ("presence_penalty", Kind::Number(-2.0, 2.0)),
    ("function_call", Kind::TextOrObject),
    ("functions", Kind::List),
    ("logit_bias", Kind::Object),
    ("logprobs", Kind::Bool),
    ("top_logprobs", Kind::Int(0, 20)),
    ("max_completion_tokens", Kind::Int(1, i64::MAX)),
    ("max_tokens", Kind::Int(1, i64::MAX)),
    ("messages", Kind::List),
    ("metadata", Kind::Object),
    ("modalities", Kind::List),
    ("model", Kind::Text),
    ("moderation", Kind::Object),
    ("n", Kind::Int(1, 128)),
    ("parallel_tool_calls", Kind::Bool),
    ("prediction", Kind::Object),
    ("prompt_cache_key", Kind::Text),
    ("prompt_cache_options", Kind::Object),
    ("prompt_cache_retention", Kind::Word(&["in_memory", "24h"])),
    ("reasoning_effort", Kind::Word(EFFORTS)),
    ("response_format", Kind::Object),
    ("safety_identifier", Kind::Text),
    ("seed", Kind::Int(i64::MIN, i64::MAX)),
    ("service_tier", Kind::Word(&["auto", "default", "flex", "scale", "priority", "fast"])),
    ("stop", Kind::TextOrList),
    ("store", Kind::Bool),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("temperature", Kind::Number(0.0, 2.0)),
    ("tool_choice", Kind::TextOrObject),
    ("tools", Kind::List),
    ("top_p", Kind::Number(0.0, 1.0)),
    ("user", Kind::Text),
    ("verbosity", Kind::Word(&["low", "medium", "high"])),
    ("web_search_options", Kind::Object),
];

/// Fields a reasoning model refuses while it reasons. A value of 1 for the two that have a default is let through.
const SAMPLING: &[&str] = &[
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "stop",
];

pub(super) fn read(body: &[u8], flavour: &Flavour) -> Result<Ask, Complaint> {
    let parsed: Value = serde_json::from_slice(body)
        .map_err(|_| Complaint::invalid("We could not parse the JSON body of your request."))?;
    let body = &parsed;
    let Some(object) = body.as_object() else {
        return Err(Complaint::invalid("The JSON body of your request is not an object."));
    };
    fields(object, RULES, flavour.strict).map_err(|flaw| flawed(&flaw, ""))?;
    let missing = |name: &str| {
        let message = format!("Missing required parameter: '{name}'.");
        Complaint::invalid(message).code("missing_required_parameter").at(name)
    };
    let model = body["model"].as_str().filter(|model| !model.is_empty()).ok_or_else(|| missing("model"))?;
    let messages = body["messages"].as_array().ok_or_else(|| missing("messages"))?;
    if flavour.strict {
        model_rules(model, object)?;
    }
    let (system, turns) = conversation(messages)?;
    let stream = body["stream"].as_bool().unwrap_or(false);
    let options = stream_options(body, stream)?;
    let tools = tools(body)?;
    let choice = tool_choice(&body["tool_choice"], &tools)?;
    let prompt = Prompt {
        system,
        turns,
        tools,
        choice,
        parallel: body["parallel_tool_calls"].as_bool().unwrap_or(true),
        format: format(&body["response_format"], messages)?,
        reasoning: body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none"),
        discreet: false,
        tokens_max: token_limit(body),
        stops: stops(&body["stop"])?,
    };
    Ok(Ask {
        model: model.to_owned(),
        prompt,
        delivery: if stream { Delivery::Events } else { Delivery::Whole },
        choices: u32::try_from(body["n"].as_u64().unwrap_or(1)).unwrap_or(1),
        usage: options.usage,
        padding: stream && options.padding && flavour.strict,
    })
}

fn token_limit(body: &Value) -> Option<u32> {
    let stated = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64())?;
    Some(u32::try_from(stated).unwrap_or(u32::MAX))
}

/// Generation of a reasoning model by its name: the vendor's `gpt-5` and later, and its `o` series (as 5.0).
fn generation(model: &str) -> Option<f64> {
    if ["o1", "o3", "o4"].iter().any(|name| model.starts_with(name)) {
        return Some(5.0);
    }
    let version: String =
        model.strip_prefix("gpt-")?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    version.parse().ok().filter(|version| *version >= 5.0)
}

/// Rules that hang on the model's name: which fields a reasoning model refuses.
fn model_rules(model: &str, body: &Map<String, Value>) -> Result<(), Complaint> {
    let Some(generation) = generation(model) else { return Ok(()) };
    let given = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    if given("max_tokens") {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                       'max_completion_tokens' instead.";
        return Err(Complaint::invalid(message).code("unsupported_parameter").at("max_tokens"));
    }
    // From 5.1 to 5.4 the effort is `none` unless stated; before and after, the model reasons.
    let default = if generation > 5.05 && generation < 5.45 { "none" } else { "medium" };
    let effort = body.get("reasoning_effort").and_then(Value::as_str).unwrap_or(default);
    if effort == "none" && generation > 5.05 {
        return Ok(());
    }
    let is_default = |name: &str| body.get(name).and_then(Value::as_f64) == Some(1.0);
    let refused = SAMPLING.iter().find(|name| given(name) && !(name.starts_with('t') && is_default(name)));
    if let Some(name) = refused {
        let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
        return Err(Complaint::invalid(message).code("unsupported_parameter").at(*name));
    }
    let tools = body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
    if tools && generation >= 5.35 {
        let message = format!(
            "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use \
             function tools, use /v1/responses or set reasoning_effort to 'none'."
        );
        return Err(Complaint::invalid(message).at("reasoning_effort"));
    }
    Ok(())
}

struct StreamOptions {
    usage: bool,
    padding: bool,
}

fn stream_options(body: &Value, stream: bool) -> Result<StreamOptions, Complaint> {
    let Some(options) = body["stream_options"].as_object() else {
        return Ok(StreamOptions { usage: false, padding: true });
    };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Complaint::invalid(message).at("stream_options"));
    }
    let rules = [("include_usage", Kind::Bool), ("include_obfuscation", Kind::Bool)];
    fields(options, &rules, true).map_err(|flaw| flawed(&flaw, "stream_options"))?;
    let flag = |name: &str| options.get(name).and_then(Value::as_bool);
    Ok(StreamOptions {
        usage: flag("include_usage").unwrap_or(false),
        padding: flag("include_obfuscation").unwrap_or(true),
    })
}

fn stops(value: &Value) -> Result<Vec<String>, Complaint> {
    let found = value.as_str().map_or_else(|| texts(value), |one| vec![one.to_owned()]);
    if found.len() > 4 {
        let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
        return Err(Complaint::invalid(message).code("array_above_max_length").at("stop"));
    }
    Ok(found)
}

fn tools(body: &Value) -> Result<Vec<Tool>, Complaint> {
    let Some(listed) = body["tools"].as_array() else { return Ok(Vec::new()) };
    if listed.is_empty() {
        let message = "Invalid 'tools': empty array. Expected an array with minimum length 1.";
        return Err(Complaint::invalid(message).code("empty_array").at("tools"));
    }
    let rules = [
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("parameters", Kind::Object),
        ("strict", Kind::Bool),
    ];
    let mut read = Vec::new();
    for (at, tool) in listed.iter().enumerate() {
        let path = format!("tools[{at}].function");
        let Some(function) = tool["function"].as_object().filter(|_| tool["type"] == "function") else {
            let message = format!("Missing required parameter: '{path}'.");
            return Err(Complaint::invalid(message).code("missing_required_parameter").at(path));
        };
        fields(function, &rules, true).map_err(|flaw| flawed(&flaw, &path))?;
        let stated = &tool["function"];
        let name = stated["name"].as_str().unwrap_or_default();
        if !is_name(name, 64) {
            let message =
                format!("Invalid '{path}.name': expected a string that matches '^[a-zA-Z0-9_-]+$'.");
            return Err(Complaint::invalid(message).code("invalid_value").at(format!("{path}.name")));
        }
        let parameters = &stated["parameters"];
        if let Some((where_, what)) =
            parameters.is_object().then(|| bad_parameters(stated, parameters)).flatten()
        {
            let message = format!("Invalid schema for function '{name}': In context=({where_}), {what}.");
            return Err(Complaint::invalid(message)
                .code("invalid_function_parameters")
                .at(format!("{path}.parameters")));
        }
        read.push(Tool { name: name.to_owned(), schema: parameters.clone() });
    }
    Ok(read)
}

fn bad_parameters(function: &Value, schema: &Value) -> Option<(String, String)> {
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Some((String::new(), "schema must be of 'type: \"object\"'".to_owned()));
    }
    if function["strict"] == true { walk(schema, "", &strict_object) } else { None }
}

/// The rules of a strict schema that are easy to break: closed objects with every property required, no `allOf`.
fn strict_object(schema: &Value) -> Option<String> {
    for word in ["allOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties"] {
        if schema.get(word).is_some() {
            return Some(format!("'{word}' is not permitted"));
        }
    }
    let properties = schema["properties"].as_object();
    if schema["type"] != "object" && properties.is_none() {
        return None;
    }
    if schema["additionalProperties"] != false {
        return Some("'additionalProperties' is required to be supplied and to be false".to_owned());
    }
    let required = texts(&schema["required"]);
    let optional = properties.into_iter().flatten().find(|(name, _)| !required.contains(name));
    optional.map(|(name, _)| {
        format!("'required' is required to include every key in properties. Missing '{name}'")
    })
}

fn tool_choice(value: &Value, tools: &[Tool]) -> Result<Choice, Complaint> {
    if value.is_null() {
        return Ok(Choice::Auto);
    }
    if tools.is_empty() {
        let message =
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(Complaint::invalid(message).at("tool_choice"));
    }
    let function = &value["function"];
    let named = function["name"].as_str().filter(|_| value["type"] == "function");
    match (value.as_str(), named) {
        (Some("auto"), _) => Ok(Choice::Auto),
        (Some("none"), _) => Ok(Choice::Never),
        (Some("required"), _) => Ok(Choice::Must),
        (None, Some(name)) if tools.iter().any(|tool| tool.name == name) => {
            Ok(Choice::Named(name.to_owned()))
        }
        (None, Some(name)) => {
            let message =
                format!("Tool choice 'function' with name '{name}' not found in 'tools' parameter.");
            Err(Complaint::invalid(message).at("tool_choice"))
        }
        (None, None) if value["type"] == "allowed_tools" => Ok(Choice::Auto),
        _ => {
            let message = "Invalid value for 'tool_choice'.";
            Err(Complaint::invalid(message).code("invalid_value").at("tool_choice"))
        }
    }
}

fn format(value: &Value, messages: &[Value]) -> Result<Format, Complaint> {
    match value["type"].as_str() {
        None if value.is_null() => Ok(Format::Text),
        Some("text") => Ok(Format::Text),
        Some("json_object") => {
            let said = |message: &Value| message["content"].to_string().to_lowercase().contains("json");
            if messages.iter().any(said) {
                return Ok(Format::Json);
            }
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
            Err(Complaint::invalid(message).at("messages"))
        }
        Some("json_schema") => json_schema(&value["json_schema"]),
        _ => {
            let message = "Invalid value for 'response_format.type'.";
            Err(Complaint::invalid(message).code("invalid_value").at("response_format.type"))
        }
    }
}

fn json_schema(value: &Value) -> Result<Format, Complaint> {
    let name = value["name"].as_str().unwrap_or_default();
    if !is_name(name, 64) {
        let message = "Missing or invalid parameter: 'response_format.json_schema.name'.";
        return Err(Complaint::invalid(message).at("response_format.json_schema.name"));
    }
    let Some(schema) = value.get("schema").filter(|schema| schema.is_object()) else {
        return Ok(Format::Json);
    };
    if value["strict"] == true {
        let rooted = schema["type"] == "object" && schema.get("anyOf").is_none();
        let root = (!rooted).then(|| (String::new(), "schema must be of 'type: \"object\"'".to_owned()));
        if let Some((path, what)) = root.or_else(|| walk(schema, "", &strict_object)) {
            let message =
                format!("Invalid schema for response_format '{name}': In context=({path}), {what}.");
            return Err(Complaint::invalid(message).at("response_format"));
        }
    }
    Ok(Format::Schema(schema.clone()))
}
