//! Reads a request of this format into the hub.
//!
//! What the hub has no words for is refused by name, never dropped, where dropping it would change the answer;
//! members that only tune the service (`metadata`, `store`, `logit_bias`, …) are left behind.

use super::words;
use crate::chat::{
    Amount, ChatRequest, Document, Format, JsonSchema, Media, Message, Output, Part, Reasoning, Role,
    Sampling, Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult, ToolUse,
};
use crate::format::{Inbound, Invalid, Refusal, Unspeakable};
use crate::json::{self, Cursor};
use serde_json::json;

/// Members of a request that change the answer and that only this format has.
const UNSPEAKABLE: &[(&str, &str)] = &[
    ("audio", "spoken answers"),
    ("prediction", "predicted output"),
    ("web_search_options", "built-in web search"),
    ("moderation", "moderation by the provider"),
];

fn unspeakable(what: &'static str) -> Refusal {
    Refusal::Unspeakable(Unspeakable { what })
}

/// Reads a whole request.
pub(super) fn parse(inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
    let body = json::parse(inbound.body)?;
    let root = Cursor::root(&body);
    root.object()?;
    for (field, what) in UNSPEAKABLE {
        if root.get(field)?.is_some() {
            return Err(unspeakable(what));
        }
    }
    if let Some(modalities) = root.get("modalities")?
        && modalities.items()?.any(|kind| kind.value() != "text")
    {
        return Err(unspeakable("spoken answers"));
    }
    let model = match (root.opt("model", Cursor::str)?, inbound.path_model) {
        (Some(model), _) => model,
        (None, Some(model)) => model,
        (None, None) => root.need_str("model")?,
    };
    let stream = root.opt("stream", Cursor::bool)?.unwrap_or_default();
    let options = root.get("stream_options")?;
    let usage = options.map(|options| options.opt("include_usage", Cursor::bool)).transpose()?.flatten();
    let user = root.opt("user", Cursor::str)?;
    Ok(ChatRequest {
        model: model.to_owned(),
        messages: messages(&root.need("messages")?)?,
        tools: tool_use(&root)?,
        output: output(&root)?,
        sampling: sampling(&root)?,
        reasoning: reasoning(&root)?,
        stream,
        stream_usage: stream && usage.unwrap_or_default(),
        user: user.or(root.opt("safety_identifier", Cursor::str)?).map(str::to_owned),
    })
}

// === options ===

fn output(root: &Cursor<'_>) -> Result<Output, Refusal> {
    let max_tokens = root.opt("max_tokens", Cursor::u64)?;
    let choices = root.get("n")?;
    let choices = choices
        .map(|n| u32::try_from(n.u64()?).map_err(|_| n.invalid("`n` must be between 1 and 128")))
        .transpose()?;
    Ok(Output {
        max_tokens: max_tokens.max(root.opt("max_completion_tokens", Cursor::u64)?),
        choices,
        format: format(root)?,
        logprobs: logprobs(root)?,
    })
}

fn logprobs(root: &Cursor<'_>) -> Result<Option<u8>, Invalid> {
    let asked = match root.get("logprobs")? {
        // Some hosts take the number of alternatives here.
        Some(asked) if asked.value().is_u64() => return Ok(u8::try_from(asked.u64()?).ok()),
        Some(asked) => asked.bool()?,
        None => false,
    };
    let top = root.opt("top_logprobs", Cursor::u64)?.unwrap_or_default();
    Ok(asked.then(|| u8::try_from(top).unwrap_or(u8::MAX)))
}

fn format(root: &Cursor<'_>) -> Result<Format, Refusal> {
    let Some(format) = root.get("response_format")? else {
        return Ok(Format::Text);
    };
    match format.need_str("type")? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let schema = format.need("json_schema")?;
            let shape =
                schema.get("schema")?.map_or_else(|| json!({"type": "object"}), |s| s.value().clone());
            Ok(Format::JsonSchema(JsonSchema {
                name: schema.opt("name", Cursor::str)?.unwrap_or("output").to_owned(),
                description: schema.opt("description", Cursor::str)?.map(str::to_owned),
                schema: shape,
                strict: schema.opt("strict", Cursor::bool)?,
            }))
        }
        _ => Err(unspeakable("this kind of response format")),
    }
}

fn sampling(root: &Cursor<'_>) -> Result<Sampling, Invalid> {
    let stop = match root.get("stop")? {
        None => Vec::new(),
        Some(stop) if stop.value().is_string() => vec![stop.str()?.to_owned()],
        Some(stop) => stop.items()?.map(|text| text.str().map(str::to_owned)).collect::<Result<_, _>>()?,
    };
    Ok(Sampling {
        temperature: root.opt("temperature", Cursor::f64)?,
        top_p: root.opt("top_p", Cursor::f64)?,
        top_k: root.opt("top_k", Cursor::u64)?,
        seed: root.opt("seed", Cursor::i64)?,
        frequency_penalty: root.opt("frequency_penalty", Cursor::f64)?,
        presence_penalty: root.opt("presence_penalty", Cursor::f64)?,
        stop,
    })
}

fn reasoning(root: &Cursor<'_>) -> Result<Option<Reasoning>, Invalid> {
    let Some(effort) = root.get("reasoning_effort")? else {
        return Ok(None);
    };
    let wrong = || {
        effort.invalid(
            "`reasoning_effort` must be `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`",
        )
    };
    let amount = words::effort(effort.str()?).ok_or_else(wrong)?;
    Ok(Some(Reasoning { amount: Amount::Effort(amount), visible: false }))
}

// === tools ===

fn tool_use(root: &Cursor<'_>) -> Result<ToolUse, Refusal> {
    let mut tools = Vec::new();
    if let Some(list) = root.get("tools")? {
        for tool in list.items()? {
            if tool.opt("type", Cursor::str)?.unwrap_or("function") != "function" {
                return Err(unspeakable("tools other than functions"));
            }
            tools.push(function(&tool.need("function")?)?);
        }
    }
    if let Some(list) = root.get("functions")? {
        for tool in list.items()? {
            tools.push(function(&tool)?);
        }
    }
    let parallel = root.opt("parallel_tool_calls", Cursor::bool)?;
    let choice = match root.get("tool_choice")? {
        Some(choice) => Some(choice),
        None => root.get("function_call")?,
    };
    let Some(choice) = choice else {
        return Ok(ToolUse { tools, choice: None, parallel });
    };
    let chosen = tool_choice(&choice, &mut tools)?;
    let tools = ToolUse { tools, choice: Some(chosen), parallel };
    match tools.stranger() {
        Some(name) => Err(choice.invalid(format!("`{name}` is not among the functions offered")).into()),
        None => Ok(tools),
    }
}

fn function(tool: &Cursor<'_>) -> Result<Tool, Invalid> {
    let parameters = tool.get("parameters")?;
    parameters.as_ref().map(Cursor::object).transpose()?;
    Ok(Tool {
        name: tool.need_str("name")?.to_owned(),
        description: tool.opt("description", Cursor::str)?.map(str::to_owned),
        parameters: parameters.map(|schema| schema.value().clone()),
        strict: tool.opt("strict", Cursor::bool)?,
    })
}

/// Reads a choice; one that allows only some tools takes the others away.
fn tool_choice(choice: &Cursor<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, Refusal> {
    if choice.value().is_string() {
        return Ok(mode(choice)?);
    }
    match choice.opt("type", Cursor::str)?.unwrap_or("function") {
        "function" => {
            let function = choice.get("function")?.unwrap_or_else(|| choice.clone());
            Ok(ToolChoice::Named(function.need_str("name")?.to_owned()))
        }
        "allowed_tools" => {
            let allowed = choice.get("allowed_tools")?.unwrap_or_else(|| choice.clone());
            let mut names = Vec::new();
            for tool in allowed.need("tools")?.items()? {
                let Some(function) = tool.get("function")? else {
                    return Err(unspeakable("tools other than functions"));
                };
                names.push(function.need_str("name")?);
            }
            tools.retain(|tool| names.contains(&tool.name.as_str()));
            Ok(mode(&allowed.need("mode")?)?)
        }
        _ => Err(unspeakable("tools other than functions")),
    }
}

fn mode(choice: &Cursor<'_>) -> Result<ToolChoice, Invalid> {
    match choice.str()? {
        "none" => Ok(ToolChoice::None),
        "auto" => Ok(ToolChoice::Auto),
        "required" | "any" => Ok(ToolChoice::Required),
        _ => Err(choice.invalid("the tool choice must be `none`, `auto` or `required`, or name a tool")),
    }
}

// === messages ===

fn messages(list: &Cursor<'_>) -> Result<Vec<Message>, Refusal> {
    let mut messages: Vec<Message> = Vec::new();
    for item in list.items()? {
        let role = item.need("role")?;
        let message = match role.str()? {
            "system" | "developer" => said(&item, Role::System)?,
            "user" => said(&item, Role::User)?,
            "assistant" => assistant(&item, messages.len())?,
            "tool" => result(&item, item.need_str("tool_call_id")?.to_owned())?,
            "function" => {
                let id = open_call(&messages, item.need_str("name")?);
                result(&item, id)?
            }
            _ => {
                let known = "must be `system`, `developer`, `user`, `assistant` or `tool`";
                return Err(role.invalid(format!("the role of a message {known}")).into());
            }
        };
        match messages.last_mut() {
            // All results that follow one assistant turn stand in one message.
            Some(last) if last.role == Role::Tool && message.role == Role::Tool => {
                last.parts.extend(message.parts);
            }
            _ => messages.push(message),
        }
    }
    if messages.is_empty() {
        return Err(list.invalid("`messages` must hold at least one message").into());
    }
    Ok(messages)
}

fn name(item: &Cursor<'_>) -> Result<Option<String>, Invalid> {
    Ok(item.opt("name", Cursor::str)?.map(str::to_owned))
}

fn said(item: &Cursor<'_>, role: Role) -> Result<Message, Refusal> {
    Ok(Message { role, parts: content(&item.need("content")?)?, name: name(item)? })
}

fn result(item: &Cursor<'_>, id: String) -> Result<Message, Refusal> {
    let mut content = item.get("content")?.map(|found| content(&found)).transpose()?.unwrap_or_default();
    content.retain(|part| *part != Part::Text(String::new()));
    let result = ToolResult { id, content, is_error: false };
    Ok(Message { role: Role::Tool, parts: vec![Part::ToolResult(result)], name: None })
}

/// The id of the latest call of `name`: results of the old kind know the name only.
fn open_call(messages: &[Message], name: &str) -> String {
    let parts = messages.iter().rev().flat_map(|message| message.parts.iter().rev());
    let found = parts.into_iter().find_map(|part| match part {
        Part::ToolCall(call) if call.name == name => Some(call.id.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| words::call_id(&[name]))
}

fn assistant(item: &Cursor<'_>, position: usize) -> Result<Message, Refusal> {
    if item.get("audio")?.is_some() {
        return Err(unspeakable("spoken answers"));
    }
    let mut parts = Vec::new();
    let reasoning = match item.opt("reasoning_content", Cursor::str)?.filter(|text| !text.is_empty()) {
        Some(text) => Some(text),
        None => item.opt("reasoning", Cursor::str)?.filter(|text| !text.is_empty()),
    };
    parts.extend(reasoning.map(|text| Part::Thinking(Thinking { text: text.to_owned(), seal: None })));
    if let Some(found) = item.get("content")? {
        parts.extend(content(&found)?.into_iter().filter(|part| *part != Part::Text(String::new())));
    }
    let refusal = item.opt("refusal", Cursor::str)?.filter(|text| !text.is_empty());
    parts.extend(refusal.map(|text| Part::Refusal(text.to_owned())));
    if let Some(calls) = item.get("tool_calls")? {
        for call in calls.items()? {
            if call.opt("type", Cursor::str)?.unwrap_or("function") != "function" {
                return Err(unspeakable("calls of tools other than functions"));
            }
            parts.push(Part::ToolCall(called(&call.need("function")?, call.need_str("id")?.to_owned())?));
        }
    }
    if let Some(call) = item.get("function_call")? {
        let id = words::call_id(&[call.need_str("name")?, &position.to_string()]);
        parts.push(Part::ToolCall(called(&call, id)?));
    }
    Ok(Message { role: Role::Assistant, parts, name: name(item)? })
}

fn called(function: &Cursor<'_>, id: String) -> Result<ToolCall, Invalid> {
    Ok(ToolCall {
        id,
        name: function.need_str("name")?.to_owned(),
        arguments: function.opt("arguments", Cursor::str)?.unwrap_or_default().to_owned(),
        seal: None,
    })
}

// === content ===

fn content(content: &Cursor<'_>) -> Result<Vec<Part>, Refusal> {
    if content.value().is_string() {
        return Ok(vec![Part::Text(content.str()?.to_owned())]);
    }
    content.items()?.map(|item| part(&item)).collect()
}

fn part(item: &Cursor<'_>) -> Result<Part, Refusal> {
    match item.need_str("type")? {
        "text" => Ok(Part::Text(item.need_str("text")?.to_owned())),
        "refusal" => Ok(Part::Refusal(item.need_str("refusal")?.to_owned())),
        "image_url" => {
            let image = item.need("image_url")?;
            // Some hosts take the bare URL.
            let (url, detail) = match image.value().as_str() {
                Some(url) => (url, None),
                None => (image.need_str("url")?, image.opt("detail", Cursor::str)?),
            };
            Ok(Part::Image(Media { detail: detail.map(str::to_owned), ..media(url)? }))
        }
        "input_audio" => {
            let audio = item.need("input_audio")?;
            Ok(Part::Audio(Media {
                mime: Some(format!("audio/{}", audio.need_str("format")?)),
                source: Source::Inline(audio.need_str("data")?.to_owned()),
                detail: None,
            }))
        }
        "file" => {
            let file = item.need("file")?;
            let Some(data) = file.opt("file_data", Cursor::str)? else {
                return Err(unspeakable("files stored at a provider"));
            };
            Ok(Part::File(Document {
                name: file.opt("filename", Cursor::str)?.map(str::to_owned),
                media: media(data)?,
            }))
        }
        _ => Err(unspeakable("this kind of content part")),
    }
}

/// A data URL or an address.
fn media(url: &str) -> Result<Media, Refusal> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(Media { mime: None, source: Source::Url(url.to_owned()), detail: None });
    };
    let Some((kind, data)) = data.split_once(";base64,").filter(|(kind, _)| kind.contains('/')) else {
        return Err(unspeakable("data URLs other than base64 of a named type"));
    };
    // Parameters such as a charset say nothing about binary content.
    let mime = kind.split(';').next().unwrap_or(kind);
    Ok(Media { mime: Some(mime.to_owned()), source: Source::Inline(data.to_owned()), detail: None })
}
