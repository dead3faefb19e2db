//! Writes a hub request as this format, for any target that speaks it.
//!
//! System text is always sent as `system`: every host knows that role, and those that know `developer` treat both
//! alike.

use super::fit::{self, Ids};
use super::response::tool_call;
use super::words;
use crate::chat::{
    ChatRequest, Document, Format, JsonSchema, Media, Message, Part, Role, Source, Thinking, Tool,
    ToolChoice, ToolResult, ToolUse,
};
use crate::format::Unspeakable;
use crate::target::{JsonMode, ReasoningHistory, StreamUsage, Target};
use serde_json::{Map, Value, json};

/// Name of this wire, for the state bound to it.
pub(super) const WIRE: &str = "openai-chat";

/// Longest user id the API takes.
const USER_LENGTH_MAX: usize = 64;

/// Writes a whole request.
pub(super) fn render(request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable> {
    if request.output.choices.is_some_and(|n| n > 1) && fit::is_refused(target, "n") {
        return Err(Unspeakable { what: "several choices" });
    }
    let mut body = Body { map: Map::new(), target };
    body.put("model", json!(target.model));
    body.put("messages", Value::Array(messages(request, target)?));
    body.tools(&request.tools);
    body.output(request);
    body.sampling(request);
    if request.stream {
        body.put("stream", json!(true));
        if target.quirks.stream_usage == StreamUsage::Ask {
            body.put("stream_options", json!({"include_usage": true}));
        }
    }
    let user = request.user.as_deref().map(|user| user.chars().take(USER_LENGTH_MAX).collect::<String>());
    body.maybe("user", user);
    Ok(Value::Object(body.map).to_string().into_bytes())
}

/// A request in the making; what the target refuses does not get in.
struct Body<'t> {
    map: Map<String, Value>,
    target: &'t Target<'t>,
}

impl Body<'_> {
    fn put(&mut self, field: &str, value: Value) {
        if !fit::is_refused(self.target, field) {
            self.map.insert(field.to_owned(), value);
        }
    }

    fn maybe(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(field, value.into());
        }
    }

    fn tools(&mut self, tools: &ToolUse) {
        // A choice without tools is an error.
        if tools.tools.is_empty() {
            return;
        }
        let strict = !self.target.quirks.no_strict_tools;
        self.put("tools", tools.tools.iter().map(|offered| tool(offered, strict)).collect());
        self.maybe("tool_choice", tools.choice.as_ref().map(tool_choice));
        self.maybe("parallel_tool_calls", tools.parallel);
    }

    fn output(&mut self, request: &ChatRequest) {
        let output = &request.output;
        let (field, _) = fit::limit_fields(self.target);
        self.maybe(field, fit::limit(output.max_tokens, self.target));
        self.maybe("n", output.choices);
        self.maybe("response_format", response_format(&output.format, self.target.quirks.json_schema));
        if let Some(alternatives) = output.logprobs {
            self.put("logprobs", json!(true));
            self.maybe("top_logprobs", (alternatives > 0).then_some(alternatives));
        }
        let asked = request.reasoning.map(|reasoning| reasoning.amount);
        let effort = fit::effort(asked, !request.tools.tools.is_empty(), self.target.traits);
        self.maybe("reasoning_effort", effort.map(words::effort_name));
    }

    fn sampling(&mut self, request: &ChatRequest) {
        let sampling = &request.sampling;
        self.maybe("temperature", sampling.temperature.map(|value| value.clamp(0.0, 2.0)));
        self.maybe("top_p", sampling.top_p.map(|value| value.clamp(0.0, 1.0)));
        self.maybe("frequency_penalty", sampling.frequency_penalty.map(|value| value.clamp(-2.0, 2.0)));
        self.maybe("presence_penalty", sampling.presence_penalty.map(|value| value.clamp(-2.0, 2.0)));
        if let Some(field) = self.target.quirks.seed {
            self.maybe(field, sampling.seed);
        }
        // A list is right everywhere; hosts that take only a list are common.
        let stop: Vec<&str> = sampling.stop.iter().take(STOPS_MAX).map(String::as_str).collect();
        self.maybe("stop", (!stop.is_empty()).then_some(stop));
    }
}

/// Most stop texts the API takes.
const STOPS_MAX: usize = 4;

fn tool(tool: &Tool, strict: bool) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(tool.name));
    let strict = tool.strict.filter(|_| strict).map(Value::from);
    let description = tool.description.as_deref().map(Value::from);
    for (field, value) in
        [("description", description), ("parameters", tool.parameters.clone()), ("strict", strict)]
    {
        function.extend(value.map(|value| (field.to_owned(), value)));
    }
    json!({"type": "function", "function": function})
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn response_format(format: &Format, mode: JsonMode) -> Option<Value> {
    let schema = match (format, mode) {
        (Format::Text, _) => return None,
        (Format::JsonObject, _) | (Format::JsonSchema(_), JsonMode::Object) => {
            return Some(json!({"type": "json_object"}));
        }
        (Format::JsonSchema(schema), JsonMode::Schema) => schema,
    };
    let JsonSchema { name, description, schema, strict } = schema;
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    body.extend(description.as_deref().map(|text| ("description".to_owned(), json!(text))));
    body.insert("schema".to_owned(), schema.clone());
    body.extend(strict.map(|strict| ("strict".to_owned(), json!(strict))));
    Some(json!({"type": "json_schema", "json_schema": body}))
}

// === messages ===

fn messages(request: &ChatRequest, target: &Target<'_>) -> Result<Vec<Value>, Unspeakable> {
    let mut talk = Talk { target, ids: Ids::new(target.quirks.tool_ids), out: Vec::new() };
    for message in &request.messages {
        match message.role {
            Role::System => talk.said("system", message)?,
            Role::User => talk.said("user", message)?,
            Role::Assistant => talk.assistant(message)?,
            Role::Tool => talk.results(message)?,
        }
    }
    let instruction = match (&request.output.format, target.quirks.json_schema) {
        (Format::JsonSchema(schema), JsonMode::Object) => Some(fit::schema_instruction(&schema.schema)),
        (Format::JsonObject, _) if !speaks_of_json(&request.messages) => {
            Some(fit::JSON_INSTRUCTION.to_owned())
        }
        _ => None,
    };
    if let Some(instruction) = instruction {
        instruct(&mut talk.out, &instruction);
    }
    Ok(talk.out)
}

/// Adds a system instruction behind those that open the conversation.
pub(super) fn instruct(messages: &mut Vec<Value>, instruction: &str) {
    let system =
        |message: &Value| message.get("role").is_some_and(|role| role == "system" || role == "developer");
    let place = messages.iter().position(|message| !system(message)).unwrap_or(messages.len());
    messages.insert(place, json!({"role": "system", "content": instruction}));
}

fn speaks_of_json(messages: &[Message]) -> bool {
    let named = |text: &String| text.to_ascii_lowercase().contains("json");
    let parts = messages.iter().flat_map(|message| &message.parts);
    parts.into_iter().any(|part| matches!(part, Part::Text(text) if named(text)))
}

/// The conversation as far as it is written.
struct Talk<'t> {
    target: &'t Target<'t>,
    ids: Ids,
    out: Vec<Value>,
}

impl Talk<'_> {
    fn push(&mut self, role: &str, content: Value, name: Option<&String>) -> Option<&mut Map<String, Value>> {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!(role));
        let name = name.filter(|_| !self.target.quirks.no_names);
        message.extend(name.map(|name| ("name".to_owned(), json!(name))));
        message.insert("content".to_owned(), content);
        self.out.push(Value::Object(message));
        self.out.last_mut().and_then(Value::as_object_mut)
    }

    fn said(&mut self, role: &str, message: &Message) -> Result<(), Unspeakable> {
        let parts =
            message.parts.iter().filter_map(|said| part(said).transpose()).collect::<Result<Vec<_>, _>>()?;
        let content = self.content(parts);
        self.push(role, content, message.name.as_ref());
        Ok(())
    }

    /// One text becomes a string, anything else stays a list, unless the target takes strings only.
    fn content(&self, parts: Vec<Value>) -> Value {
        let texts: Option<Vec<&str>> =
            parts.iter().map(|part| part.get("text").and_then(Value::as_str)).collect();
        match texts.as_deref() {
            Some([]) => json!(""),
            Some([text]) => json!(text),
            Some(texts) if self.target.quirks.flat_text => json!(texts.join(fit::TEXT_SEPARATOR)),
            Some(_) | None => Value::Array(parts),
        }
    }

    fn assistant(&mut self, message: &Message) -> Result<(), Unspeakable> {
        let (mut texts, mut calls) = (Vec::new(), Vec::new());
        let (mut refusal, mut reasoning) = (String::new(), String::new());
        for part in &message.parts {
            match part {
                Part::Text(text) => texts.push(json!({"type": "text", "text": text})),
                // A host that takes only strings is not expected to know refusals.
                Part::Refusal(text) if self.target.quirks.flat_text => {
                    texts.push(json!({"type": "text", "text": text}));
                }
                Part::Refusal(text) => refusal.push_str(text),
                Part::Thinking(thinking) => reasoning.push_str(own(thinking)),
                Part::ToolCall(call) => {
                    let mut call = call.clone();
                    call.id = self.ids.of(&call.id);
                    calls.push(tool_call(&call));
                }
                Part::Image(_) | Part::Audio(_) | Part::File(_) => {
                    return Err(Unspeakable { what: "media in an assistant turn" });
                }
                // Results stand in turns of their own.
                Part::ToolResult(_) => {}
            }
        }
        let silent = texts.is_empty() && !(calls.is_empty() && refusal.is_empty());
        let content = if silent { Value::Null } else { self.content(texts) };
        let history = reasoning_field(self.target.quirks.reasoning_history, reasoning, !calls.is_empty());
        if let Some(message) = self.push("assistant", content, message.name.as_ref()) {
            message.extend(history.map(|(field, text)| (field.to_owned(), json!(text))));
            if !refusal.is_empty() {
                message.insert("refusal".to_owned(), json!(refusal));
            }
            if !calls.is_empty() {
                message.insert("tool_calls".to_owned(), Value::Array(calls));
            }
        }
        Ok(())
    }

    /// Results, then what they hold besides text: a `tool` message can only speak.
    fn results(&mut self, message: &Message) -> Result<(), Unspeakable> {
        let mut shown = Vec::new();
        for said in &message.parts {
            let Part::ToolResult(result) = said else {
                continue;
            };
            let id = self.ids.of(&result.id);
            let mut texts = Vec::new();
            for held in &result.content {
                match (held, part(held)?) {
                    (Part::Text(_), Some(text)) => texts.push(text),
                    (_, Some(media)) => {
                        shown.push(
                            json!({"type": "text", "text": format!("From the result of tool call {id}:")}),
                        );
                        shown.push(media);
                    }
                    (_, None) => {}
                }
            }
            mark_error(result, &mut texts);
            let content = self.content(texts);
            if let Some(message) = self.push("tool", content, None) {
                message.insert("tool_call_id".to_owned(), json!(id));
            }
        }
        if !shown.is_empty() {
            self.push("user", Value::Array(shown), None);
        }
        Ok(())
    }
}

/// A failure is told in words: the format has no flag for it.
fn mark_error(result: &ToolResult, texts: &mut Vec<Value>) {
    if !result.is_error {
        return;
    }
    match texts.first_mut().and_then(|first| first.get_mut("text")) {
        Some(text) => *text = json!(format!("Error: {}", text.as_str().unwrap_or_default())),
        None => texts.push(json!({"type": "text", "text": "Error"})),
    }
}

/// Reasoning that may go back: none that another family sealed.
fn own(thinking: &Thinking) -> &str {
    let foreign = thinking.seal.as_ref().is_some_and(|seal| seal.wire != WIRE);
    if foreign { "" } else { &thinking.text }
}

/// The field that carries reasoning in the history, and its text.
fn reasoning_field(rule: ReasoningHistory, reasoning: String, calls: bool) -> Option<(&'static str, String)> {
    match rule {
        ReasoningHistory::Drop => None,
        ReasoningHistory::Reasoning => (!reasoning.is_empty()).then_some(("reasoning", reasoning)),
        ReasoningHistory::ReasoningContentRequired if reasoning.is_empty() => {
            calls.then(|| ("reasoning_content", fit::NO_REASONING.to_owned()))
        }
        ReasoningHistory::ReasoningContentRequired => Some(("reasoning_content", reasoning)),
    }
}

// === parts ===

/// A content part; `None` for what stands elsewhere in a message.
fn part(part: &Part) -> Result<Option<Value>, Unspeakable> {
    Ok(Some(match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(media) => {
            let mut image = Map::new();
            image.insert("url".to_owned(), json!(url(media)?));
            image.extend(media.detail.as_deref().map(|detail| ("detail".to_owned(), json!(detail))));
            json!({"type": "image_url", "image_url": image})
        }
        Part::Audio(media) => audio(media)?,
        Part::File(document) => file(document)?,
        Part::ToolCall(_) | Part::ToolResult(_) | Part::Thinking(_) | Part::Refusal(_) => return Ok(None),
    }))
}

fn url(media: &Media) -> Result<String, Unspeakable> {
    match (&media.source, &media.mime) {
        (Source::Url(url), _) => Ok(url.clone()),
        (Source::Inline(data), Some(mime)) => Ok(format!("data:{mime};base64,{data}")),
        (Source::Inline(_), None) => Err(Unspeakable { what: "inline media of unknown type" }),
    }
}

fn audio(media: &Media) -> Result<Value, Unspeakable> {
    let Source::Inline(data) = &media.source else {
        return Err(Unspeakable { what: "audio by URL" });
    };
    let format = match media.mime.as_deref() {
        Some("audio/wav" | "audio/wave" | "audio/x-wav") => "wav",
        Some("audio/mp3" | "audio/mpeg") => "mp3",
        _ => return Err(Unspeakable { what: "audio other than wav and mp3" }),
    };
    Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

fn file(document: &Document) -> Result<Value, Unspeakable> {
    if matches!(document.media.source, Source::Url(_)) {
        return Err(Unspeakable { what: "documents by URL" });
    }
    let mut file = Map::new();
    file.extend(document.name.as_deref().map(|name| ("filename".to_owned(), json!(name))));
    file.insert("file_data".to_owned(), json!(url(&document.media)?));
    Ok(json!({"type": "file", "file": file}))
}
