//! Writing parts: what a turn of the hub says, as `parts` of a content. Used for requests (the history a model
//! reads) and for answers (what a caller reads); the two differ only in [`Reader`].

use super::words::{arguments, signature};
use crate::chat::{Media, Part, Source, Thinking};
use crate::format::Unspeakable;
use serde_json::{Value, json};

/// Who reads the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A model: reasoning is only given back when this wire sealed it.
    Model,
    /// A caller: all reasoning is shown.
    Caller,
}

/// The parts of a model's turn. Empty text is left out: this wire refuses it.
///
/// # Errors
/// [`Unspeakable`] for a model's media at a URL the provider would not fetch; never for a caller.
pub(super) fn spoken(parts: &[Part], reader: Reader) -> Result<Vec<Value>, Unspeakable> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::ToolCall(call) => {
                let mut value = json!({ "functionCall": { "name": call.name, "args": arguments(call) } });
                if !call.id.is_empty() {
                    put(value.get_mut("functionCall"), "id", json!(call.id));
                }
                if let Some(signature) = signature(call.seal.as_ref()) {
                    sign(&mut value, signature);
                }
                out.push(value);
            }
            Part::Thinking(thinking) => thought(thinking, reader, &mut out),
            other => out.extend(shown(other, reader)?),
        }
    }
    Ok(out)
}

/// A part of a user's turn, or the like in a model's: text or media. `None` for what has no place there.
///
/// # Errors
/// [`Unspeakable`] for a model's media at a URL the provider would not fetch; never for a caller.
pub(super) fn shown(part: &Part, reader: Reader) -> Result<Option<Value>, Unspeakable> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Ok((!text.is_empty()).then(|| json!({ "text": text }))),
        Part::Image(picture) => media(picture, "image/png", reader).map(Some),
        Part::Audio(sound) => media(sound, "audio/wav", reader).map(Some),
        Part::File(document) => media(&document.media, "application/pdf", reader).map(Some),
        Part::ToolCall(_) | Part::ToolResult(_) | Part::Thinking(_) => Ok(None),
    }
}

/// Puts a signature on a part.
pub(super) fn sign(part: &mut Value, signature: &str) {
    put(Some(part), "thoughtSignature", json!(signature));
}

/// A seal without reasoning text belongs to the text before it, and travels on that very part; where there is
/// none it travels alone, as this wire itself does at the end of a stream.
fn thought(thinking: &Thinking, reader: Reader, out: &mut Vec<Value>) {
    let signature = signature(thinking.seal.as_ref());
    if thinking.text.is_empty() {
        let Some(signature) = signature else { return };
        match out.last_mut().filter(|part| is_unsigned_text(part)) {
            Some(text) => sign(text, signature),
            None => out.push(json!({ "text": "", "thoughtSignature": signature })),
        }
    } else if signature.is_some() || reader == Reader::Caller {
        let mut value = json!({ "text": thinking.text, "thought": true });
        if let Some(signature) = signature {
            sign(&mut value, signature);
        }
        out.push(value);
    }
}

fn is_unsigned_text(part: &Value) -> bool {
    part.get("text").is_some() && part.get("thought").is_none() && part.get("thoughtSignature").is_none()
}

fn media(media: &Media, usual: &str, reader: Reader) -> Result<Value, Unspeakable> {
    match &media.source {
        Source::Inline(data) => {
            let mime = media.mime.as_deref().unwrap_or(usual);
            Ok(json!({ "inlineData": { "mimeType": mime, "data": data } }))
        }
        Source::Url(url) if reader == Reader::Caller || is_https(url) => Ok(match &media.mime {
            Some(mime) => json!({ "fileData": { "mimeType": mime, "fileUri": url } }),
            None => json!({ "fileData": { "fileUri": url } }),
        }),
        Source::Url(_) => Err(Unspeakable { what: "media at a URL that is not https" }),
    }
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn put(object: Option<&mut Value>, key: &str, value: Value) {
    if let Some(object) = object.and_then(Value::as_object_mut) {
        object.insert(key.to_owned(), value);
    }
}
