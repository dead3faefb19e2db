//! Reads the messages of the `openai-chat` wire: roles, content parts, and the order of calls and their results.

use serde_json::Value;

use super::complaint::Complaint;
use crate::brain::{Image, Outcome, Turn, Who};
use crate::speak::check::decoded;

/// Reads a conversation: the system text, then the turns.
pub(super) fn conversation(messages: &[Value]) -> Result<(String, Vec<Turn>), Complaint> {
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return Err(Complaint::invalid(message).code("empty_array").at("messages"));
    }
    let mut talk = Talk::default();
    for (at, message) in messages.iter().enumerate() {
        talk.hear(at, message)?;
    }
    talk.settled(messages.len())?;
    Ok((talk.system.join("\n"), talk.turns))
}

#[derive(Default)]
struct Talk {
    system: Vec<String>,
    turns: Vec<Turn>,
    /// Ids of calls whose results are due.
    due: Vec<String>,
}

impl Talk {
    fn hear(&mut self, at: usize, message: &Value) -> Result<(), Complaint> {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" {
            self.settled(at)?;
        }
        match role {
            "system" | "developer" => {
                let turn = content(at, &message["content"], &["text"])?;
                self.system.push(turn.text);
            }
            "user" => {
                let turn = content(at, &message["content"], &["text", "image_url", "input_audio", "file"])?;
                self.turns.push(turn);
            }
            "assistant" => self.assistant(at, message)?,
            "tool" => self.result(at, message)?,
            "function" => {}
            _ => {
                let message = format!(
                    "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', \
                     'tool', and 'developer'."
                );
                return Err(Complaint::invalid(message)
                    .code("invalid_value")
                    .at(format!("messages[{at}].role")));
            }
        }
        Ok(())
    }

    /// No result may be missing when another role speaks, or at the end.
    fn settled(&self, at: usize) -> Result<(), Complaint> {
        if self.due.is_empty() {
            return Ok(());
        }
        let message = format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
             'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            self.due.join(", ")
        );
        Err(Complaint::invalid(message).at(format!("messages.[{at}].role")))
    }

    fn assistant(&mut self, at: usize, message: &Value) -> Result<(), Complaint> {
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut turn = Turn { who: Who::Assistant, ..Turn::default() };
        if !message["content"].is_null() {
            turn = Turn { who: Who::Assistant, ..content(at, &message["content"], &["text", "refusal"])? };
        } else if calls.is_empty() && message["refusal"].is_null() && message["function_call"].is_null() {
            return Err(untyped(at));
        }
        for (call_at, call) in calls.iter().enumerate() {
            let path = format!("messages[{at}].tool_calls[{call_at}]");
            let id = call["id"].as_str().filter(|id| !id.is_empty() && call["type"] == "function");
            let function = &call["function"];
            let whole = function["name"].is_string() && function["arguments"].is_string();
            let Some(id) = id.filter(|_| whole) else {
                let message = format!("Missing required parameter or invalid type in '{path}'.");
                return Err(Complaint::invalid(message).code("missing_required_parameter").at(path));
            };
            // The vendor's own ids are 29 letters; longer foreign ones are refused.
            if id.len() > 40 {
                let message = format!(
                    "Invalid '{path}.id': string too long. Expected a string with maximum length 40."
                );
                return Err(Complaint::invalid(message)
                    .code("string_above_max_length")
                    .at(format!("{path}.id")));
            }
            self.due.push(id.to_owned());
        }
        self.turns.push(turn);
        Ok(())
    }

    fn result(&mut self, at: usize, message: &Value) -> Result<(), Complaint> {
        let id = message["tool_call_id"].as_str().unwrap_or_default();
        let Some(place) = self.due.iter().position(|due| due == id) else {
            let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message \
                           with 'tool_calls'.";
            return Err(Complaint::invalid(message).at(format!("messages.[{at}].role")));
        };
        self.due.remove(place);
        let turn = content(at, &message["content"], &["text"])?;
        let result = Outcome { of: id.to_owned(), text: turn.text };
        match self.turns.last_mut() {
            Some(last) if last.who == Who::Tool => last.results.push(result),
            _ => self.turns.push(Turn { who: Who::Tool, results: vec![result], ..Turn::default() }),
        }
        Ok(())
    }
}

fn untyped(at: usize) -> Complaint {
    let path = format!("messages.[{at}].content");
    let message = format!("Invalid value for '{path}': expected a string or an array, got null.");
    Complaint::invalid(message).at(path)
}

/// Reads text or parts; only parts of these types are allowed.
fn content(at: usize, value: &Value, allowed: &[&str]) -> Result<Turn, Complaint> {
    if let Some(text) = value.as_str() {
        return Ok(Turn { text: text.to_owned(), ..Turn::default() });
    }
    let parts = value.as_array().filter(|parts| !parts.is_empty()).ok_or_else(|| untyped(at))?;
    let mut texts = Vec::new();
    let mut images = Vec::new();
    for (part_at, part) in parts.iter().enumerate() {
        let path = format!("messages[{at}].content[{part_at}]");
        let kind = part["type"].as_str().unwrap_or_default();
        if !allowed.contains(&kind) {
            let message = format!("Invalid value: '{kind}'. Supported values are: {}.", allowed.join(", "));
            return Err(Complaint::invalid(message).code("invalid_value").at(format!("{path}.type")));
        }
        match kind {
            "image_url" => images.push(image(&part["image_url"], &path)?),
            "text" | "refusal" => {
                let Some(text) = part[kind].as_str() else {
                    let message = format!("Invalid type for '{path}.{kind}': expected a string.");
                    return Err(Complaint::invalid(message)
                        .code("invalid_type")
                        .at(format!("{path}.{kind}")));
                };
                texts.push(text.to_owned());
            }
            _ => {}
        }
    }
    Ok(Turn { text: texts.join("\n"), images, ..Turn::default() })
}

fn image(part: &Value, path: &str) -> Result<Image, Complaint> {
    let bad = || {
        let message =
            "Invalid image data: expected a URL or a base64-encoded data URL with a supported MIME type.";
        Complaint::invalid(message).code("invalid_image_url").at(format!("{path}.image_url.url"))
    };
    let url = part["url"].as_str().ok_or_else(bad)?;
    let Some(inline) = url.strip_prefix("data:") else {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        return is_web.then(|| Image { source: url.to_owned(), bytes: None }).ok_or_else(bad);
    };
    let (mime, data) =
        inline.split_once(";base64,").filter(|(mime, _)| mime.starts_with("image/")).ok_or_else(bad)?;
    Ok(Image { source: mime.to_owned(), bytes: Some(decoded(data).ok_or_else(bad)?) })
}
