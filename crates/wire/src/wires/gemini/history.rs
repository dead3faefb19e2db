//! `contents` and `systemInstruction` into the hub's messages: parts of every kind, results linked to their calls.

use super::words::{Medium, medium, medium_of_url, member, seal};
use crate::chat::{Document, Media, Message, Part, Role, Source, Thinking, ToolCall, ToolResult};
use crate::format::{Invalid, Refusal, Unspeakable};
use crate::json::Cursor;
use serde_json::Value;
use std::collections::HashSet;

/// Parts only the provider's own tools make.
const SERVER_SIDE: &[&str] = &["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];

/// The conversation, system text first.
///
/// # Errors
/// [`Refusal`] with the path of the part that is wrong or that the hub has no words for.
pub(super) fn messages(root: &Cursor<'_>) -> Result<Vec<Message>, Refusal> {
    let mut reader = Reader::default();
    if let Some(system) = member(root, "systemInstruction")? {
        reader.system(&system)?;
    }
    let contents = root.need("contents")?;
    if contents.items()?.next().is_none() {
        return Err(contents.invalid("`contents` must hold at least one content").into());
    }
    for content in contents.items()? {
        reader.note_ids(&content)?;
    }
    for content in contents.items()? {
        reader.content(&content)?;
    }
    Ok(reader.messages)
}

/// A call of the latest model turn.
#[derive(Debug)]
struct Open {
    id: String,
    name: String,
    answered: bool,
}

#[derive(Debug, Default)]
struct Reader {
    messages: Vec<Message>,
    /// Ids the caller gave anywhere: minted ones keep clear of them.
    taken: HashSet<String>,
    minted: usize,
    open: Vec<Open>,
}

impl Reader {
    fn system(&mut self, system: &Cursor<'_>) -> Result<(), Refusal> {
        let mut parts = Vec::new();
        if system.value().is_string() {
            parts.extend(text_part(system.str()?));
        } else {
            for part in member(system, "parts")?.iter().map(Cursor::items).collect::<Result<Vec<_>, _>>()? {
                for part in part {
                    match read_part(&part)? {
                        Read::Said(said) => parts.extend(said),
                        _ => return Err(unspeakable("media in system instructions")),
                    }
                }
            }
        }
        if parts.iter().any(|part| !matches!(part, Part::Text(_))) {
            return Err(unspeakable("media in system instructions"));
        }
        self.push(Role::System, parts);
        Ok(())
    }

    fn note_ids(&mut self, content: &Cursor<'_>) -> Result<(), Invalid> {
        for part in parts(content)? {
            for kind in ["functionCall", "functionResponse"] {
                if let Some(call) = member(&part, kind)? {
                    self.taken.extend(call.opt("id", Cursor::str)?.map(str::to_owned));
                }
            }
        }
        Ok(())
    }

    fn content(&mut self, content: &Cursor<'_>) -> Result<(), Refusal> {
        let role = content.opt("role", Cursor::str)?;
        match role.unwrap_or("user") {
            "user" | "function" => self.user(content),
            "model" => self.model(content),
            other => {
                let role = content.need("role")?;
                Err(role.invalid(format!("role must be `user` or `model`, but is `{other}`")).into())
            }
        }
    }

    fn user(&mut self, content: &Cursor<'_>) -> Result<(), Refusal> {
        let (mut said, mut results) = (Vec::new(), Vec::new());
        for part in parts(content)? {
            match read_part(&part)? {
                Read::Said(parts) => said.extend(parts),
                Read::Result(id, name, result) => {
                    let id = self.link(id, name);
                    results.push(Part::ToolResult(ToolResult { id, ..result }));
                }
                Read::Call(..) => {
                    return Err(part.invalid("a function call must be in a `model` content").into());
                }
            }
        }
        if said.is_empty() && results.is_empty() {
            return Err(content
                .invalid("a `user` content must have at least one part that is not empty")
                .into());
        }
        if !results.is_empty() {
            match self.messages.last_mut().filter(|last| last.role == Role::Tool) {
                Some(last) => last.parts.extend(results),
                None => self.push(Role::Tool, results),
            }
        }
        if !said.is_empty() {
            self.push(Role::User, said);
        }
        Ok(())
    }

    fn model(&mut self, content: &Cursor<'_>) -> Result<(), Refusal> {
        // Calls of an earlier step are closed by the turn that follows their results.
        if self.messages.last().is_some_and(|last| last.role != Role::Assistant) {
            self.open.clear();
        }
        let mut said = Vec::new();
        for part in parts(content)? {
            match read_part(&part)? {
                Read::Said(parts) => said.extend(parts),
                Read::Call(mut call) => {
                    if call.id.is_empty() {
                        call.id = self.mint();
                    }
                    let (id, name) = (call.id.clone(), call.name.clone());
                    self.open.push(Open { id, name, answered: false });
                    said.push(Part::ToolCall(call));
                }
                Read::Result(..) => {
                    return Err(part.invalid("a function response must be in a `user` content").into());
                }
            }
        }
        self.push(Role::Assistant, said);
        Ok(())
    }

    /// The id of the call a result answers: by its own id, else the first unanswered call of that name.
    fn link(&mut self, id: Option<&str>, name: &str) -> String {
        let by_id = self.open.iter().position(|call| Some(call.id.as_str()) == id);
        let by_name = || self.open.iter().position(|call| !call.answered && call.name == name);
        match by_id.or_else(by_name).and_then(|place| self.open.get_mut(place)) {
            Some(call) => {
                call.answered = true;
                call.id.clone()
            }
            None => id.map_or_else(|| self.mint(), str::to_owned),
        }
    }

    fn mint(&mut self) -> String {
        loop {
            self.minted = self.minted.saturating_add(1);
            let id = format!("call_{}", self.minted);
            if !self.taken.contains(&id) {
                return id;
            }
        }
    }

    fn push(&mut self, role: Role, parts: Vec<Part>) {
        if role == Role::Assistant || !parts.is_empty() {
            self.messages.push(Message { role, parts, name: None });
        }
    }
}

/// One part, before results are linked to calls.
enum Read<'a> {
    /// Text, media or thoughts; nothing for empty text.
    Said(Vec<Part>),
    /// A call; the id is empty when none was given.
    Call(ToolCall),
    /// A result: its own id, the function's name, and the rest.
    Result(Option<&'a str>, &'a str, ToolResult),
}

fn parts<'a>(content: &Cursor<'a>) -> Result<Vec<Cursor<'a>>, Invalid> {
    Ok(match member(content, "parts")? {
        Some(parts) => parts.items()?.collect(),
        None => Vec::new(),
    })
}

fn read_part<'a>(part: &Cursor<'a>) -> Result<Read<'a>, Refusal> {
    let signature = member(part, "thoughtSignature")?.map(|text| text.str()).transpose()?;
    let seal = signature.and_then(seal);
    if let Some(text) = member(part, "text")? {
        let text = text.str()?;
        let thought = part.opt("thought", Cursor::bool)? == Some(true);
        let sealed = |text: &str| Part::Thinking(Thinking { text: text.to_owned(), seal: seal.clone() });
        return Ok(Read::Said(match (thought, &seal) {
            (true, None) if text.is_empty() => Vec::new(),
            (true, _) => vec![sealed(text)],
            (false, None) => text_part(text).into_iter().collect(),
            (false, Some(_)) => text_part(text).into_iter().chain([sealed("")]).collect(),
        }));
    }
    if let Some(call) = member(part, "functionCall")? {
        let arguments = member(&call, "args")?;
        let arguments = arguments.map(|args| args.object().map(|_| args.value().to_string())).transpose()?;
        return Ok(Read::Call(ToolCall {
            id: call.opt("id", Cursor::str)?.unwrap_or_default().to_owned(),
            name: call.need_str("name")?.to_owned(),
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            seal,
        }));
    }
    if let Some(response) = member(part, "functionResponse")? {
        return result(&response);
    }
    for key in ["inlineData", "fileData"] {
        if let Some(blob) = member(part, key)? {
            return Ok(Read::Said(vec![media(&blob)?]));
        }
    }
    for key in SERVER_SIDE {
        if member(part, key)?.is_some() {
            return Err(unspeakable("parts of the provider's own tools"));
        }
    }
    Err(part
        .invalid(
            "a part must have one of `text`, `inlineData`, `fileData`, `functionCall`, `functionResponse`",
        )
        .into())
}

fn result<'a>(response: &Cursor<'a>) -> Result<Read<'a>, Refusal> {
    let id = response.opt("id", Cursor::str)?.filter(|id| !id.is_empty());
    let name = response.need_str("name")?;
    let mut is_error = false;
    let mut content = Vec::new();
    if let Some(wrapped) = member(response, "response")? {
        let object = wrapped.object()?;
        let only = object.iter().next().filter(|_| object.len() == 1);
        let text = match only {
            Some((key, value)) if key == "output" || key == "error" => {
                is_error = key == "error";
                worded(value)
            }
            _ if object.is_empty() => String::new(),
            _ => wrapped.value().to_string(),
        };
        content.extend(text_part(&text));
    }
    if let Some(parts) = member(response, "parts")? {
        for part in parts.items()? {
            match read_part(&part)? {
                Read::Said(said) => content.extend(said),
                _ => return Err(part.invalid("a function response may hold media only").into()),
            }
        }
    }
    Ok(Read::Result(id, name, ToolResult { id: String::new(), content, is_error }))
}

/// Text as it is, everything else as JSON.
fn worded(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn media(blob: &Cursor<'_>) -> Result<Part, Refusal> {
    let mime = member(blob, "mimeType")?.map(|mime| mime.str()).transpose()?;
    let uri = member(blob, "fileUri")?.map(|uri| uri.str()).transpose()?;
    let (source, kind) = match uri {
        Some(uri) if is_stored(uri) => return Err(unspeakable("files stored at the provider")),
        Some(uri) => (Source::Url(uri.to_owned()), mime.map(medium).or_else(|| medium_of_url(uri))),
        None => {
            let kind =
                medium(member(blob, "mimeType")?.map_or_else(|| blob.need_str("mimeType"), |m| m.str())?);
            (Source::Inline(standard_base64(blob.need_str("data")?)), Some(kind))
        }
    };
    let name = member(blob, "displayName")?.map(|name| name.str().map(str::to_owned)).transpose()?;
    let media = Media { mime: mime.map(str::to_owned), source, detail: None };
    match kind {
        Some(Medium::Image) => Ok(Part::Image(media)),
        Some(Medium::Audio) => Ok(Part::Audio(media)),
        Some(Medium::File) => Ok(Part::File(Document { name, media })),
        Some(Medium::Video) => Err(unspeakable("video")),
        None => Err(unspeakable("a linked file of unknown type")),
    }
}

/// The alphabet every other format expects. This one takes the URL-safe alphabet too, and its official clients write
/// nothing else.
fn standard_base64(data: &str) -> String {
    data.replace('-', "+").replace('_', "/")
}

/// Whether only the provider itself can read a URI: its file store or its cloud storage.
fn is_stored(uri: &str) -> bool {
    let web = ["https://", "http://"];
    let elsewhere =
        !web.iter().any(|scheme| uri.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)));
    elsewhere || uri.contains("/v1beta/files/") || uri.contains("/v1/files/")
}

fn text_part(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Text(text.to_owned()))
}

fn unspeakable(what: &'static str) -> Refusal {
    Unspeakable { what }.into()
}
