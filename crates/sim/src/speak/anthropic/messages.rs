//! Reads the messages of the `anthropic` wire: roles, content blocks, and the order of calls and their results.

use serde_json::Value;

use super::complaint::Complaint;
use super::traits::Traits;
use crate::brain::{Image, Outcome, Turn, Who};
use crate::speak::check::{decoded, is_name};

/// Block types the caller may send, and those only the model may have said.
const USER_BLOCKS: &[&str] = &["text", "image", "document", "search_result", "tool_result"];
const ASSISTANT_BLOCKS: &[&str] = &["text", "tool_use", "thinking", "redacted_thinking", "document"];
const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Reads a conversation: the system text, then the turns.
pub(super) fn conversation(
    messages: &[Value],
    system: &Value,
    traits: Traits,
    has_tools: bool,
) -> Result<(String, Vec<Turn>), Complaint> {
    let (turns, due) = (Vec::new(), Vec::new());
    let mut talk = Talk { system: system_text(system)?, turns, due, traits, has_tools };
    if messages.is_empty() {
        return Err(Complaint::invalid("messages: at least one message is required"));
    }
    for (at, message) in messages.iter().enumerate() {
        talk.hear(at, message, at + 1 == messages.len())?;
    }
    talk.settled(messages.len())?;
    if !traits.prefill && talk.turns.last().is_some_and(|turn| turn.who == Who::Assistant) {
        let message = "This model does not support assistant message prefill. The conversation must end with a user \
                       message.";
        return Err(Complaint::invalid(message));
    }
    Ok((talk.system.join("\n"), talk.turns))
}

fn system_text(system: &Value) -> Result<Vec<String>, Complaint> {
    let Some(blocks) = system.as_array() else {
        return Ok(system.as_str().map(str::to_owned).into_iter().collect());
    };
    let mut texts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let text = block["text"].as_str().filter(|_| block["type"] == "text").unwrap_or_default();
        if text.is_empty() {
            return Err(Complaint::invalid(format!("system.{at}: text content blocks must be non-empty")));
        }
        texts.push(text.to_owned());
    }
    Ok(texts)
}

struct Talk {
    system: Vec<String>,
    turns: Vec<Turn>,
    /// Ids of calls whose results are due.
    due: Vec<String>,
    traits: Traits,
    has_tools: bool,
}

impl Talk {
    fn hear(&mut self, at: usize, message: &Value, last: bool) -> Result<(), Complaint> {
        let who = match message["role"].as_str() {
            Some("user") => Who::User,
            Some("assistant") => Who::Assistant,
            Some("system") if self.traits.late_system => return self.late_system(at, message),
            _ => {
                return Err(Complaint::invalid(format!(
                    "messages.{at}.role: Input should be 'user' or 'assistant'"
                )));
            }
        };
        if self.turns.is_empty() && who == Who::Assistant {
            return Err(Complaint::invalid("messages: first message must use the \"user\" role"));
        }
        let mut turn = Turn { who, ..Turn::default() };
        if let Some(text) = message["content"].as_str() {
            self.settled(at)?;
            text_is_good(&format!("messages.{at}"), text, who, last)?;
            turn.text = text.to_owned();
            self.merge(turn);
            return Ok(());
        }
        let Some(blocks) = message["content"].as_array() else {
            return Err(Complaint::invalid(format!("messages.{at}.content: Input should be a valid list")));
        };
        // An empty assistant turn may only stand at the end, where it means nothing.
        if blocks.is_empty() && !(last && who == Who::Assistant) {
            let message = format!("messages.{at}: all messages must have non-empty content");
            return Err(Complaint::invalid(message));
        }
        if who == Who::Assistant {
            self.settled(at)?;
        }
        for (block_at, block) in blocks.iter().enumerate() {
            let path = format!("messages.{at}.content.{block_at}");
            self.block(&path, block, &mut turn, last && block_at + 1 == blocks.len())?;
        }
        if who == Who::User {
            self.settled(at)?;
        }
        self.split(turn);
        Ok(())
    }

    /// Results stand before what the caller says beside them, and are a turn of their own.
    fn split(&mut self, mut turn: Turn) {
        let results = std::mem::take(&mut turn.results);
        if results.is_empty() {
            return self.merge(turn);
        }
        self.merge(Turn { who: Who::Tool, results, ..Turn::default() });
        if !turn.text.is_empty() || !turn.images.is_empty() {
            self.merge(turn);
        }
    }

    fn late_system(&mut self, at: usize, message: &Value) -> Result<(), Complaint> {
        self.settled(at)?;
        self.system.extend(system_text(&message["content"])?);
        Ok(())
    }

    /// Neighbours of one role are one turn.
    fn merge(&mut self, turn: Turn) {
        match self.turns.last_mut().filter(|last| last.who == turn.who) {
            Some(last) => {
                last.text = [last.text.as_str(), turn.text.as_str()].join("\n");
                last.images.extend(turn.images);
                last.results.extend(turn.results);
            }
            None => self.turns.push(turn),
        }
    }

    fn settled(&self, at: usize) -> Result<(), Complaint> {
        if self.due.is_empty() {
            return Ok(());
        }
        let before = at.saturating_sub(1);
        Err(Complaint::invalid(format!(
            "messages.{before}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
             `tool_use` block must have a corresponding `tool_result` block in the next message.",
            self.due.join(", ")
        )))
    }

    fn block(&mut self, path: &str, block: &Value, turn: &mut Turn, last: bool) -> Result<(), Complaint> {
        let kind = block["type"].as_str().unwrap_or_default();
        let allowed = if turn.who == Who::Assistant { ASSISTANT_BLOCKS } else { USER_BLOCKS };
        if !allowed.contains(&kind) {
            let message = format!(
                "{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            );
            return Err(Complaint::invalid(message));
        }
        match kind {
            "text" => {
                let text = block["text"].as_str().unwrap_or_default();
                text_is_good(path, text, turn.who, last)?;
                if !self.due.is_empty() {
                    let message =
                        format!("{path}: `tool_result` blocks must come before any text in the message.");
                    return Err(Complaint::invalid(message));
                }
                turn.text =
                    if turn.text.is_empty() { text.to_owned() } else { format!("{}\n{text}", turn.text) };
                Ok(())
            }
            "image" => {
                turn.images.push(image(path, &block["source"])?);
                Ok(())
            }
            "tool_use" => self.call(path, block),
            "tool_result" => self.result(path, block, turn),
            "thinking" if !block["signature"].as_str().is_some_and(|mark| mark.starts_with("sim")) => {
                Err(Complaint::invalid(format!("{path}: Invalid `signature` in `thinking` block")))
            }
            _ => Ok(()),
        }
    }

    fn call(&mut self, path: &str, block: &Value) -> Result<(), Complaint> {
        let id = block["id"].as_str().unwrap_or_default();
        if !is_name(id, usize::MAX) {
            let message = format!("{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
            return Err(Complaint::invalid(message));
        }
        if !block["input"].is_object() {
            return Err(Complaint::invalid(format!("{path}.tool_use.input: Input should be an object")));
        }
        if !is_name(block["name"].as_str().unwrap_or_default(), 128) {
            let message =
                format!("{path}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'");
            return Err(Complaint::invalid(message));
        }
        if !self.has_tools {
            let message = "Requests which include `tool_use` or `tool_result` blocks must define tools";
            return Err(Complaint::invalid(message));
        }
        self.due.push(id.to_owned());
        Ok(())
    }

    fn result(&mut self, path: &str, block: &Value, turn: &mut Turn) -> Result<(), Complaint> {
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        let Some(place) = self.due.iter().position(|due| due == id) else {
            let message = format!(
                "{path}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must \
                 have a corresponding `tool_use` block in the previous message."
            );
            return Err(Complaint::invalid(message));
        };
        self.due.remove(place);
        let content = &block["content"];
        let inner = content.as_array().into_iter().flatten();
        let texts: Vec<&str> = inner.filter_map(|part| part["text"].as_str()).collect();
        let text = content.as_str().map_or_else(|| texts.join("\n"), str::to_owned);
        turn.results.push(Outcome { of: id.to_owned(), text });
        Ok(())
    }
}

fn text_is_good(path: &str, text: &str, who: Who, last: bool) -> Result<(), Complaint> {
    if text.is_empty() {
        return Err(Complaint::invalid(format!("{path}: text content blocks must be non-empty")));
    }
    if text.trim().is_empty() {
        return Err(Complaint::invalid(format!(
            "{path}: text content blocks must contain non-whitespace text"
        )));
    }
    if last && who == Who::Assistant && text.ends_with(char::is_whitespace) {
        let message = "messages: final assistant content cannot end with trailing whitespace";
        return Err(Complaint::invalid(message));
    }
    Ok(())
}

fn image(path: &str, source: &Value) -> Result<Image, Complaint> {
    let bad = |what: &str| Complaint::invalid(format!("{path}.image.source: {what}"));
    match source["type"].as_str() {
        Some("base64") => {
            let mime = source["media_type"].as_str().filter(|mime| IMAGE_TYPES.contains(mime));
            let mime = mime.ok_or_else(|| {
                bad("media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
            })?;
            let bytes =
                source["data"].as_str().and_then(decoded).ok_or_else(|| bad("data: invalid base64 data"))?;
            Ok(Image { source: mime.to_owned(), bytes: Some(bytes) })
        }
        Some("url") => {
            let url = source["url"].as_str().filter(|url| url.starts_with("http"));
            Ok(Image { source: url.ok_or_else(|| bad("url: invalid URL"))?.to_owned(), bytes: None })
        }
        Some("file") => Ok(Image { source: source["file_id"].to_string(), bytes: None }),
        _ => Err(bad("Input tag does not match any of the expected tags: 'base64', 'url', 'file'")),
    }
}
