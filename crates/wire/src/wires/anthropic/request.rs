//! A caller's Messages body into the hub.
//!
//! Lenient about what is unknown, exact about what is read: a wrong type names its field. What only this format can
//! say is refused as unspeakable, so that a target of the same wire may still get the caller's own bytes.

use super::render::no_arguments;
use super::schema::is_closed;
use super::words::{effort, redacted, signature};
use crate::chat::{
    Amount, ChatRequest, Document, Effort, Format, JsonSchema, Media, Message, Output, Part, Reasoning, Role,
    Sampling, Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult, ToolUse,
};
use crate::format::{Refusal, Unspeakable};
use crate::json::{self, Cursor};
use serde_json::Value;

/// Top-level members that ask for what no other format has, and what they ask for.
const ONLY_HERE: [(&str, &str); 3] =
    [("container", "containers"), ("mcp_servers", "MCP servers"), ("inference_geo", "a region of inference")];

/// Reads a body.
///
/// # Errors
/// [`Refusal::Invalid`] names the field; [`Refusal::Unspeakable`] names what only this format can say.
pub(super) fn read(body: &[u8]) -> Result<ChatRequest, Refusal> {
    let value = json::parse(body)?;
    let root = Cursor::root(&value);
    for (member, what) in ONLY_HERE {
        let empty = |member: Cursor<'_>| member.value().as_array().is_some_and(Vec::is_empty);
        if root.get(member)?.is_some_and(|member| !empty(member)) {
            return Err(Unspeakable { what }.into());
        }
    }
    let max_tokens = root.need("max_tokens")?.u64()?;
    if max_tokens == 0 {
        return Err(Unspeakable { what: "warming a prompt cache" }.into());
    }
    let stream = root.opt("stream", Cursor::bool)?.unwrap_or(false);
    let metadata = root.get("metadata")?;
    let user = metadata.map(|metadata| metadata.opt("user_id", Cursor::str)).transpose()?.flatten();
    Ok(ChatRequest {
        model: root.need_str("model")?.to_owned(),
        messages: messages(&root)?,
        tools: tools(&root)?,
        output: Output { max_tokens: Some(max_tokens), format: format(&root)?, ..Output::default() },
        sampling: sampling(&root)?,
        reasoning: reasoning(&root)?,
        stream,
        stream_usage: stream,
        user: user.map(str::to_owned),
    })
}

fn unspeakable<T>(what: &'static str) -> Result<T, Refusal> {
    Err(Unspeakable { what }.into())
}

// === Conversation ===

fn messages(root: &Cursor<'_>) -> Result<Vec<Message>, Refusal> {
    let mut messages = Vec::new();
    if let Some(system) = root.get("system")? {
        push(&mut messages, Role::System, texts(&system)?);
    }
    let list = root.need("messages")?;
    let mut none = true;
    for message in list.items()? {
        none = false;
        let role = message.need("role")?;
        let content = message.need("content")?;
        match role.str()? {
            "user" => user(&mut messages, &content)?,
            "assistant" => {
                let parts = parts(&content)?;
                messages.push(Message { role: Role::Assistant, parts, name: None });
            }
            "system" => push(&mut messages, Role::System, texts(&content)?),
            _ => return Err(role.invalid("the role must be `user`, `assistant` or `system`").into()),
        }
    }
    if none {
        return Err(list.invalid("at least one message is required").into());
    }
    Ok(messages)
}

/// Adds a message that says something.
fn push(messages: &mut Vec<Message>, role: Role, parts: Vec<Part>) {
    if !parts.is_empty() {
        messages.push(Message { role, parts, name: None });
    }
}

/// A user turn: its tool results are a message of their own, before the rest.
fn user(messages: &mut Vec<Message>, content: &Cursor<'_>) -> Result<(), Refusal> {
    let (results, rest): (Vec<Part>, Vec<Part>) =
        parts(content)?.into_iter().partition(|part| matches!(part, Part::ToolResult(_)));
    if !results.is_empty() {
        answer(messages, results);
    }
    push(messages, Role::User, rest);
    Ok(())
}

/// All results that follow one assistant turn stand in one message, directly after it, even when the caller
/// spread them over several turns.
fn answer(messages: &mut Vec<Message>, results: Vec<Part>) {
    let since = messages.iter().rposition(|message| message.role != Role::User).map_or(0, |place| place + 1);
    let before = since.checked_sub(1).and_then(|place| messages.get_mut(place));
    match before {
        Some(tool) if tool.role == Role::Tool => tool.parts.extend(results),
        _ => messages.insert(since, Message { role: Role::Tool, parts: results, name: None }),
    }
}

/// Content that may only be text.
fn texts(content: &Cursor<'_>) -> Result<Vec<Part>, Refusal> {
    let parts = parts(content)?;
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return Ok(parts);
    }
    Err(content.invalid("only text can be an instruction").into())
}

/// A string, or a list of blocks.
fn parts(content: &Cursor<'_>) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = content.value().as_str() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text.to_owned())] });
    }
    let mut parts = Vec::new();
    for item in content.items()? {
        let part = block(&item)?;
        if part != Part::Text(String::new()) {
            parts.push(part);
        }
    }
    Ok(parts)
}

fn block(block: &Cursor<'_>) -> Result<Part, Refusal> {
    let text = |key| block.need_str(key).map(str::to_owned);
    Ok(match block.need_str("type")? {
        "text" => Part::Text(text("text")?),
        "image" => Part::Image(media(&block.need("source")?)?),
        "document" => document(block)?,
        "tool_use" => {
            let input = block.need("input")?;
            input.object()?;
            let arguments = input.value().to_string();
            Part::ToolCall(ToolCall { id: text("id")?, name: text("name")?, arguments, seal: None })
        }
        "tool_result" => Part::ToolResult(ToolResult {
            id: text("tool_use_id")?,
            content: block.get("content")?.map(|content| parts(&content)).transpose()?.unwrap_or_default(),
            is_error: block.opt("is_error", Cursor::bool)?.unwrap_or(false),
        }),
        "thinking" => {
            let seal = signature(block.opt("signature", Cursor::str)?.unwrap_or_default());
            Part::Thinking(Thinking { text: text("thinking")?, seal })
        }
        "redacted_thinking" => {
            let seal = Some(redacted(block.need_str("data")?));
            Part::Thinking(Thinking { text: String::new(), seal })
        }
        _ => return unspeakable("content blocks of this type"),
    })
}

fn media(source: &Cursor<'_>) -> Result<Media, Refusal> {
    let (mime, source) = match source.need_str("type")? {
        "base64" => {
            let mime = source.need_str("media_type")?.to_owned();
            (Some(mime), Source::Inline(source.need_str("data")?.to_owned()))
        }
        "url" => (None, Source::Url(source.need_str("url")?.to_owned())),
        _ => return unspeakable("uploaded files"),
    };
    Ok(Media { mime, source, detail: None })
}

/// A document; one of plain text is text.
fn document(block: &Cursor<'_>) -> Result<Part, Refusal> {
    let source = block.need("source")?;
    let name = block.opt("title", Cursor::str)?.map(str::to_owned);
    Ok(match source.need_str("type")? {
        "text" => Part::Text(source.need_str("data")?.to_owned()),
        "content" => return unspeakable("documents made of blocks"),
        _ => Part::File(Document { name, media: media(&source)? }),
    })
}

// === Tools ===

fn tools(root: &Cursor<'_>) -> Result<ToolUse, Refusal> {
    let mut tools = Vec::new();
    if let Some(list) = root.get("tools")? {
        for item in list.items()? {
            tools.push(tool(&item)?);
        }
    }
    let Some(choice) = root.get("tool_choice")? else {
        return Ok(ToolUse { tools, choice: None, parallel: None });
    };
    let kind = choice.need("type")?;
    let chosen = match kind.str()? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.need_str("name")?.to_owned()),
        _ => return Err(kind.invalid("the type must be `auto`, `any`, `tool` or `none`").into()),
    };
    let single = choice.opt("disable_parallel_tool_use", Cursor::bool)?;
    let tools = ToolUse { tools, choice: Some(chosen), parallel: single.map(|single| !single) };
    match tools.stranger() {
        Some(name) => Err(choice.invalid(format!("`{name}` is not among the tools offered")).into()),
        None => Ok(tools),
    }
}

fn tool(tool: &Cursor<'_>) -> Result<Tool, Refusal> {
    if tool.opt("type", Cursor::str)?.is_some_and(|kind| kind != "custom") {
        return unspeakable("tools run by the provider");
    }
    let schema = tool.need("input_schema")?;
    schema.object()?;
    Ok(Tool {
        name: tool.need_str("name")?.to_owned(),
        description: tool.opt("description", Cursor::str)?.map(str::to_owned),
        parameters: Some(schema.value().clone()).filter(|schema| *schema != no_arguments()),
        strict: tool.opt("strict", Cursor::bool)?,
    })
}

// === Knobs ===

fn sampling(root: &Cursor<'_>) -> Result<Sampling, Refusal> {
    let mut stop = Vec::new();
    if let Some(list) = root.get("stop_sequences")? {
        for item in list.items()? {
            stop.push(item.str()?.to_owned());
        }
    }
    Ok(Sampling {
        temperature: root.opt("temperature", Cursor::f64)?,
        top_p: root.opt("top_p", Cursor::f64)?,
        top_k: root.opt("top_k", Cursor::u64)?,
        stop,
        ..Sampling::default()
    })
}

fn format(root: &Cursor<'_>) -> Result<Format, Refusal> {
    let Some(config) = root.get("output_config")? else { return Ok(Format::Text) };
    let Some(format) = config.get("format")? else { return Ok(Format::Text) };
    if format.need_str("type")? != "json_schema" {
        return unspeakable("answer formats of this type");
    }
    let schema: Value = format.need("schema")?.value().clone();
    // Every answer is guaranteed to match here; elsewhere only closed schemas can be.
    let strict = is_closed(&schema).then_some(true);
    Ok(Format::JsonSchema(JsonSchema { name: "output".to_owned(), description: None, schema, strict }))
}

fn reasoning(root: &Cursor<'_>) -> Result<Option<Reasoning>, Refusal> {
    let word = match root.get("output_config")? {
        Some(config) => config.get("effort")?,
        None => None,
    };
    let named = match word {
        Some(word) => match effort(word.str()?) {
            Some(effort) => Some(effort),
            None => return unspeakable("this effort"),
        },
        None => None,
    };
    let Some(thinking) = root.get("thinking")? else {
        let quiet = |effort| Reasoning { amount: Amount::Effort(effort), visible: false };
        return Ok(named.map(quiet));
    };
    let display = thinking.opt("display", Cursor::str)?;
    let (amount, visible) = match thinking.need_str("type")? {
        "enabled" => {
            let budget = thinking.need("budget_tokens")?.u64()?;
            (Amount::Tokens(budget), display != Some("omitted"))
        }
        "adaptive" => (Amount::Effort(named.unwrap_or(Effort::Medium)), display == Some("summarized")),
        "disabled" => (Amount::Effort(Effort::None), false),
        _ => return unspeakable("this kind of thinking"),
    };
    Ok(Some(Reasoning { amount, visible }))
}
