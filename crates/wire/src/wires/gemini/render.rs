//! From the hub into a generateContent body: tools, configuration and the conversation of [`super::turns`].

use super::schema::{is_empty_object, sanitise};
use super::turns::{Talk, talk};
use super::words::level;
use crate::chat::{Amount, ChatRequest, Effort, Format, Output, Reasoning, Sampling, ToolChoice, ToolUse};
use crate::format::Unspeakable;
use crate::target::{ReasoningControl, Target, nearest_effort};
use serde_json::{Map, Value, json};

/// `stopSequences` the API takes at most.
const STOPS_MAX: usize = 5;

/// Alternatives per token the API reports at most (`logprobs`).
const LOGPROBS_MAX: u8 = 20;

/// Writes the body.
///
/// # Errors
/// [`Unspeakable`] when the target cannot be told this request.
pub(super) fn body(request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable> {
    check(request, target)?;
    let control = target.traits.reasoning;
    let stand_in = !matches!(control, ReasoningControl::None | ReasoningControl::Budget { .. });
    let Talk { system, contents } = talk(&request.messages, stand_in)?;

    let mut body = Map::new();
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({ "parts": system }));
    }
    body.insert("contents".to_owned(), Value::Array(contents));
    tools(&request.tools, &mut body);
    let config = config(request, target);
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
    body.retain(|key, _| !target.quirks.refused.contains(&key.as_str()));
    Ok(Value::Object(body).to_string().into_bytes())
}

fn check(request: &ChatRequest, target: &Target<'_>) -> Result<(), Unspeakable> {
    // Models steered by a budget (2.5 and before) answer 400 to both in one request.
    let budget = matches!(target.traits.reasoning, ReasoningControl::Budget { .. });
    let ToolUse { tools, choice, parallel } = &request.tools;
    let may_call = !tools.is_empty() && *choice != Some(ToolChoice::None);
    let what = match &request.output.format {
        // The wire has no switch for it, and a caller who asked cannot take a second call.
        _ if may_call && *parallel == Some(false) => "one call at a time",
        Format::JsonSchema(_) if budget && !tools.is_empty() => "tools together with a JSON schema",
        Format::JsonObject if budget && !tools.is_empty() => "tools together with JSON output",
        _ if begins_answer(request) && target.traits.prefill == Some(false) => {
            "an answer the caller has begun"
        }
        _ => return Ok(()),
    };
    Err(Unspeakable { what })
}

/// The conversation ends with the model's own words, to be continued.
fn begins_answer(request: &ChatRequest) -> bool {
    use crate::chat::{Part, Role};
    let last = request.messages.iter().rfind(|message| message.role != Role::System);
    last.is_some_and(|last| {
        last.role == Role::Assistant && !last.parts.iter().any(|part| matches!(part, Part::ToolCall(_)))
    })
}

fn tools(tools: &ToolUse, body: &mut Map<String, Value>) {
    if tools.tools.is_empty() {
        return;
    }
    let declarations: Vec<Value> = tools
        .tools
        .iter()
        .map(|tool| {
            let mut declaration = Map::new();
            declaration.insert("name".to_owned(), json!(tool.name));
            if let Some(description) = &tool.description {
                declaration.insert("description".to_owned(), json!(description));
            }
            if let Some(schema) = tool.parameters.as_ref().filter(|schema| !is_empty_object(schema)) {
                declaration.insert("parametersJsonSchema".to_owned(), sanitise(schema));
            }
            Value::Object(declaration)
        })
        .collect();
    body.insert("tools".to_owned(), json!([{ "functionDeclarations": declarations }]));

    let strict = tools.tools.iter().any(|tool| tool.strict == Some(true));
    let calling = match &tools.choice {
        None if !strict => return,
        None | Some(ToolChoice::Auto) if strict => json!({ "mode": "VALIDATED" }),
        None | Some(ToolChoice::Auto) => json!({ "mode": "AUTO" }),
        Some(ToolChoice::None) => json!({ "mode": "NONE" }),
        Some(ToolChoice::Required) => json!({ "mode": "ANY" }),
        Some(ToolChoice::Named(name)) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    };
    body.insert("toolConfig".to_owned(), json!({ "functionCallingConfig": calling }));
}

fn config(request: &ChatRequest, target: &Target<'_>) -> Map<String, Value> {
    let mut config = Map::new();
    output(&request.output, target, &mut config);
    if target.traits.sampling != Some(false) {
        sampling(&request.sampling, &mut config);
    }
    let stops: Vec<&String> =
        request.sampling.stop.iter().filter(|stop| !stop.is_empty()).take(STOPS_MAX).collect();
    if !stops.is_empty() {
        config.insert("stopSequences".to_owned(), json!(stops));
    }
    if let Some(thinking) = request.reasoning.and_then(|wanted| thinking(wanted, target.traits.reasoning)) {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    config
}

fn output(output: &Output, target: &Target<'_>, config: &mut Map<String, Value>) {
    if let Some(choices) = output.choices.filter(|choices| *choices > 1) {
        config.insert("candidateCount".to_owned(), json!(choices));
    }
    let usual = target.quirks.max_tokens_always.then_some(target.default_max_tokens);
    if let Some(limit) = output.max_tokens.or(usual) {
        let limit = target.traits.max_output.map_or(limit, |most| limit.min(most));
        config.insert("maxOutputTokens".to_owned(), json!(limit));
    }
    if let Some(alternatives) = output.logprobs {
        config.insert("responseLogprobs".to_owned(), json!(true));
        config.insert("logprobs".to_owned(), json!(alternatives.min(LOGPROBS_MAX)));
    }
    if output.format != Format::Text {
        config.insert("responseMimeType".to_owned(), json!("application/json"));
    }
    if let Format::JsonSchema(wanted) = &output.format {
        config.insert("responseJsonSchema".to_owned(), sanitise(&wanted.schema));
    }
}

fn sampling(sampling: &Sampling, config: &mut Map<String, Value>) {
    let seed = sampling.seed.and_then(|seed| i32::try_from(seed).ok());
    let numbers = [
        ("temperature", sampling.temperature.map(|value| json!(value.clamp(0.0, 2.0)))),
        ("topP", sampling.top_p.map(|value| json!(value.clamp(0.0, 1.0)))),
        ("topK", sampling.top_k.map(|value| json!(value))),
        ("seed", seed.map(|value| json!(value))),
        ("presencePenalty", sampling.presence_penalty.map(|value| json!(value.clamp(-2.0, 2.0)))),
        ("frequencyPenalty", sampling.frequency_penalty.map(|value| json!(value.clamp(-2.0, 2.0)))),
    ];
    config.extend(numbers.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
}

/// `thinkingConfig`: a budget or a level, never both (400). `None` for a model that does not reason.
fn thinking(wanted: Reasoning, control: ReasoningControl) -> Option<Value> {
    let mut config = match control {
        ReasoningControl::None => return None,
        ReasoningControl::Budget { min, max, can_disable } => {
            json!({ "thinkingBudget": budget(wanted.amount, min, max, can_disable) })
        }
        ReasoningControl::Effort { least, most } => {
            json!({ "thinkingLevel": level(nearest_effort(effort(wanted.amount), least, most)) })
        }
        // Which levels such a model has is not known: `LOW` to `HIGH` exist everywhere, `MINIMAL` where it can be off.
        ReasoningControl::Adaptive { can_disable: true } => common_level(wanted.amount, Effort::Minimal),
        ReasoningControl::Adaptive { can_disable: false } | ReasoningControl::Unknown => {
            common_level(wanted.amount, Effort::Low)
        }
    };
    if let Some(config) = config.as_object_mut().filter(|_| wanted.visible) {
        config.insert("includeThoughts".to_owned(), json!(true));
    }
    Some(config)
}

/// The nearest level that every model with levels has, from `least` on.
fn common_level(amount: Amount, least: Effort) -> Value {
    json!({ "thinkingLevel": level(effort(amount).max(least).min(Effort::High)) })
}

/// Tokens per effort as the provider's own OpenAI-compatible endpoint maps them; half of `low` for `minimal`.
const BUDGETS: &[(Effort, u64)] =
    &[(Effort::Minimal, 512), (Effort::Low, 1_024), (Effort::Medium, 8_192), (Effort::High, 24_576)];

fn budget(amount: Amount, min: u64, max: u64, can_disable: bool) -> u64 {
    let wanted = match amount {
        Amount::Tokens(0) | Amount::Effort(Effort::None) => return if can_disable { 0 } else { min },
        Amount::Tokens(tokens) => tokens,
        // Stronger than every row means all the model can.
        Amount::Effort(effort) => {
            BUDGETS.iter().find(|(row, _)| *row == effort).map_or(max, |(_, tokens)| *tokens)
        }
    };
    wanted.max(min).min(max)
}

/// The effort whose budget is the nearest below.
fn effort(amount: Amount) -> Effort {
    match amount {
        Amount::Effort(effort) => effort,
        Amount::Tokens(0) => Effort::None,
        Amount::Tokens(tokens) => BUDGETS
            .iter()
            .rfind(|(_, budget)| *budget <= tokens)
            .map_or(Effort::Minimal, |(effort, _)| *effort),
    }
}
