//! Reads the contents of the `gemini` wire: roles, parts, and the order of calls, their results and signatures.

use serde_json::{Map, Value};

use super::complaint::{Complaint, flawed};
use super::level::{level, list};
use super::signature;
use crate::brain::{Image, Outcome, Turn, Who};
use crate::speak::check::{Kind, Rule, decoded_leniently, fields};

/// Fields of a part, the ones that hold its data first.
const PART: &[Rule] = &[
    ("text", Kind::Text),
    ("inlineData", Kind::Object),
    ("fileData", Kind::Object),
    ("functionCall", Kind::Object),
    ("functionResponse", Kind::Object),
    ("executableCode", Kind::Object),
    ("codeExecutionResult", Kind::Object),
    ("toolCall", Kind::Object),
    ("toolResponse", Kind::Object),
    ("thought", Kind::Bool),
    ("thoughtSignature", Kind::Text),
    ("videoMetadata", Kind::Object),
    ("mediaResolution", Kind::Any),
    ("partMetadata", Kind::Object),
];
/// How many of them hold data; a part has exactly one of these.
const DATA: usize = 9;

/// What one content holds.
#[derive(Default)]
struct Content {
    turn: Turn,
    calls: usize,
    results: usize,
    /// Signature of the first call: absent, or what it said.
    signed: Option<String>,
}

/// Reads a conversation: the system text, then the turns.
pub(super) fn conversation(
    body: &Map<String, Value>,
    modern: bool,
) -> Result<(String, Vec<Turn>), Complaint> {
    let listed = list(body, "contents");
    if listed.is_empty() {
        return Err(Complaint::invalid("* GenerateContentRequest.contents: contents is not specified"));
    }
    let mut read = Vec::new();
    for (at, value) in listed.iter().enumerate() {
        read.push(content(value, &format!("contents[{at}]"))?);
    }
    order(&read)?;
    if modern {
        signatures(&read)?;
    }
    let system = match body.get("systemInstruction") {
        Some(value) => content(value, "system_instruction")?.turn.text,
        None => String::new(),
    };
    Ok((system, read.into_iter().map(|content| content.turn).collect()))
}

fn content(value: &Value, path: &str) -> Result<Content, Complaint> {
    let object = level(value).unwrap_or_default();
    fields(&object, &[("role", Kind::Text), ("parts", Kind::List)], true)
        .map_err(|flaw| flawed(&flaw, path))?;
    let who = match object.get("role").and_then(Value::as_str) {
        None | Some("user" | "function") => Who::User,
        Some("model") => Who::Assistant,
        Some(_) if path == "system_instruction" => Who::User,
        Some(_) => return Err(Complaint::invalid("Please use a valid role: user, model.")),
    };
    let parts = list(&object, "parts");
    if parts.is_empty() {
        return Err(Complaint::invalid(format!(
            "* GenerateContentRequest.{path}.parts: contents.parts must not be empty. (must include at least one parts \
             field)"
        )));
    }
    let mut read = Content { turn: Turn { who, ..Turn::default() }, ..Content::default() };
    for (at, value) in parts.iter().enumerate() {
        part(value, &format!("{path}.parts[{at}]"), &mut read)?;
    }
    if read.results > 0 {
        read.turn.who = Who::Tool;
    }
    Ok(read)
}

fn part(value: &Value, path: &str, content: &mut Content) -> Result<(), Complaint> {
    let part = level(value).unwrap_or_default();
    fields(&part, PART, true).map_err(|flaw| flawed(&flaw, path))?;
    let data: Vec<_> =
        PART.iter().take(DATA).filter_map(|(name, _)| part.get(*name).map(|value| (*name, value))).collect();
    let signature = part.get("thoughtSignature").and_then(Value::as_str);
    match data.as_slice() {
        // The last signature of a streamed answer comes with an empty text, and may come back so.
        [("text", text)] if text.as_str().unwrap_or_default().is_empty() && signature.is_none() => {
            Err(Complaint::invalid(format!(
                "* GenerateContentRequest.{path}: text must not be empty (text parameter)"
            )))
        }
        [("text", text)] => {
            let said = text.as_str().unwrap_or_default();
            if part.get("thought").and_then(Value::as_bool) != Some(true) {
                let old = std::mem::take(&mut content.turn.text);
                content.turn.text = if old.is_empty() { said.to_owned() } else { format!("{old}\n{said}") };
            }
            Ok(())
        }
        [("inlineData", media)] => {
            let media = level(media).unwrap_or_default();
            let mime = media.get("mimeType").and_then(Value::as_str).unwrap_or_default();
            // The vendor's JSON takes both alphabets, and its own SDK writes the URL-safe one.
            let bytes = media.get("data").and_then(Value::as_str).and_then(decoded_leniently);
            if mime.is_empty() || bytes.is_none() {
                return Err(Complaint::invalid(format!(
                    "Invalid value at '{path}.inline_data.data' (TYPE_BYTES)"
                )));
            }
            content.turn.images.push(Image { source: mime.to_owned(), bytes });
            Ok(())
        }
        [("fileData", file)] => {
            let source = level(file).and_then(|file| Some(file.get("fileUri")?.as_str()?.to_owned()));
            content.turn.images.push(Image { source: source.unwrap_or_default(), bytes: None });
            Ok(())
        }
        [("functionCall", call)] => {
            named(call, path)?;
            if content.calls == 0 {
                content.signed = signature.map(str::to_owned);
            }
            content.calls += 1;
            Ok(())
        }
        [("functionResponse", result)] => {
            let of = named(result, path)?;
            if !result["response"].is_object() {
                let message = format!("Invalid value at '{path}.function_response.response' (TYPE_MESSAGE)");
                return Err(Complaint::invalid(message));
            }
            content.turn.results.push(Outcome { of, text: result["response"].to_string() });
            content.results += 1;
            Ok(())
        }
        [_] => Ok(()),
        [] => {
            let message = format!(
                "* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized field"
            );
            Err(Complaint::invalid(message))
        }
        _ => Err(Complaint::invalid(format!(
            "Invalid value at '{path}' (oneof), oneof field 'data' is already set."
        ))),
    }
}

fn named(value: &Value, path: &str) -> Result<String, Complaint> {
    let name = value["name"].as_str().filter(|name| !name.is_empty());
    let message = || format!("* GenerateContentRequest.{path}.name: Name cannot be empty.");
    name.map(str::to_owned).ok_or_else(|| Complaint::invalid(message()))
}

/// Calls follow the caller or results; results follow their calls at once and are as many.
fn order(contents: &[Content]) -> Result<(), Complaint> {
    if contents.first().is_some_and(|first| first.calls > 0) {
        return Err(Complaint::invalid(
            "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
        ));
    }
    for (at, content) in contents.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| contents.get(before));
        if content.calls > 0 && before.is_some_and(|before| before.turn.who == Who::Assistant) {
            let message = "Please ensure that function call turn comes immediately after a user turn or after a \
                           function response turn.";
            return Err(Complaint::invalid(message));
        }
        let called = before.map_or(0, |before| before.calls);
        if content.results != called {
            let message = if called == 0 {
                "Please ensure that function response turn comes immediately after a function call turn."
            } else {
                "Please ensure that the number of function response parts is equal to the number of function call parts \
                 of the function call turn."
            };
            return Err(Complaint::invalid(message));
        }
    }
    match contents.last() {
        Some(last) if last.calls > 0 => Err(Complaint::invalid(
            "Please ensure that function call turn is followed by a function response turn.",
        )),
        _ => Ok(()),
    }
}

/// The first call of every step since the caller last spoke must carry the signature it came with.
fn signatures(contents: &[Content]) -> Result<(), Complaint> {
    let spoke = contents.iter().rposition(|content| content.turn.who == Who::User).unwrap_or(0);
    for content in contents.iter().skip(spoke).filter(|content| content.calls > 0) {
        match content.signed.as_deref() {
            Some(text) if signature::is_ours(text) => {}
            Some(_) => return Err(Complaint::invalid("Corrupted thought signature.")),
            None => {
                let message = "Function call is missing a thought_signature in functionCall parts. This is required for \
                               tools to work correctly.";
                return Err(Complaint::invalid(message));
            }
        }
    }
    Ok(())
}
