//! The words of this wire, told once for both directions: finish reasons, thinking levels, media kinds, seals and
//! member names in their two spellings. Tables and small lookups only; nothing here reads or writes a body.

use crate::chat::{Effort, Finish, Seal, ToolCall};
use crate::format::Invalid;
use crate::json::Cursor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Name of the wire and of the dialect, and of the seals they make.
pub(super) const NAME: &str = "gemini";

/// Stands where a signature is demanded and none exists: the documented way to bring calls that another model made.
pub(super) const SKIP_SIGNATURE: &str = "skip_thought_signature_validator";

/// The other documented stand-in; read, never written.
const SKIP_SIGNATURE_OLD: &str = "context_engineering_is_the_way_to_go";

/// Key under which arguments travel that are no JSON object.
const RAW: &str = "_raw";

/// What a `finishReason` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The model ended its turn; with calls in it the turn waits for results.
    Stop,
    /// A token limit.
    Length,
    /// Declined.
    Filtered,
    /// The generation failed; the text says how.
    Fault(&'static str),
}

/// All finish reasons (API reference of generateContent, November 2026).
const ENDINGS: &[(&str, Ending)] = &[
    ("STOP", Ending::Stop),
    ("MAX_TOKENS", Ending::Length),
    ("SAFETY", Ending::Filtered),
    ("RECITATION", Ending::Filtered),
    ("LANGUAGE", Ending::Filtered),
    ("BLOCKLIST", Ending::Filtered),
    ("PROHIBITED_CONTENT", Ending::Filtered),
    ("SPII", Ending::Filtered),
    ("MODEL_ARMOR", Ending::Filtered),
    ("IMAGE_SAFETY", Ending::Filtered),
    ("IMAGE_PROHIBITED_CONTENT", Ending::Filtered),
    ("IMAGE_RECITATION", Ending::Filtered),
    ("IMAGE_OTHER", Ending::Filtered),
    ("NO_IMAGE", Ending::Fault("no picture was made")),
    ("OTHER", Ending::Fault("the answer ended for an unnamed reason")),
    ("MALFORMED_FUNCTION_CALL", Ending::Fault("the model made a malformed function call")),
    ("MALFORMED_RESPONSE", Ending::Fault("the model made a malformed answer")),
    ("UNEXPECTED_TOOL_CALL", Ending::Fault("the model called a tool that was not offered")),
    ("TOO_MANY_TOOL_CALLS", Ending::Fault("the model made too many tool calls")),
    ("MISSING_THOUGHT_SIGNATURE", Ending::Fault("a thought signature is missing")),
    ("CONTINUATION", Ending::Fault("the answer is to be continued")),
];

/// Reads a `finishReason`. A reason this version does not know is a fault: it must never pass for a finished answer.
pub(super) fn ending(reason: &str) -> Ending {
    ENDINGS
        .iter()
        .find(|(word, _)| *word == reason)
        .map_or(Ending::Fault("the answer ended for an unknown reason"), |(_, ending)| *ending)
}

/// Writes a `finishReason`. Calls end with `STOP` here: there is no reason of their own.
pub(super) const fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
    }
}

/// Thinking levels with the effort each stands for.
const LEVELS: &[(Effort, &str)] = &[
    (Effort::Minimal, "MINIMAL"),
    (Effort::Low, "LOW"),
    (Effort::Medium, "MEDIUM"),
    (Effort::High, "HIGH"),
    (Effort::XHigh, "XHIGH"),
];

/// The level nearest to an effort: there is none below `MINIMAL` or above `XHIGH`.
pub(super) fn level(effort: Effort) -> &'static str {
    let near = effort.clamp(Effort::Minimal, Effort::XHigh);
    LEVELS.iter().find(|(level, _)| *level == near).map_or("MEDIUM", |(_, word)| word)
}

/// The effort of a level, in any case.
pub(super) fn effort(level: &str) -> Option<Effort> {
    LEVELS.iter().find(|(_, word)| word.eq_ignore_ascii_case(level)).map(|(effort, _)| *effort)
}

/// What a MIME type is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// A document.
    File,
    /// A film: the hub has no word for it.
    Video,
}

/// The medium of a MIME type; everything that is neither seen nor heard is a document.
pub(super) fn medium(mime: &str) -> Medium {
    let kind = mime.split('/').next().unwrap_or_default();
    [("image", Medium::Image), ("audio", Medium::Audio), ("video", Medium::Video)]
        .into_iter()
        .find(|(word, _)| kind.eq_ignore_ascii_case(word))
        .map_or(Medium::File, |(_, medium)| medium)
}

/// The medium a URL shows by the extension of its path; `None` when it shows none.
pub(super) fn medium_of_url(url: &str) -> Option<Medium> {
    const EXTENSIONS: &[(&str, Medium)] = &[
        ("png", Medium::Image),
        ("jpg", Medium::Image),
        ("jpeg", Medium::Image),
        ("webp", Medium::Image),
        ("gif", Medium::Image),
        ("heic", Medium::Image),
        ("wav", Medium::Audio),
        ("mp3", Medium::Audio),
        ("flac", Medium::Audio),
        ("ogg", Medium::Audio),
        ("mp4", Medium::Video),
        ("webm", Medium::Video),
        ("mov", Medium::Video),
        ("pdf", Medium::File),
        ("txt", Medium::File),
    ];
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = path.rsplit_once('.')?;
    EXTENSIONS.iter().find(|(word, _)| extension.eq_ignore_ascii_case(word)).map(|(_, medium)| *medium)
}

/// A signature as a seal; the stand-ins for a missing one (also in the base64 some clients send) are none.
pub(super) fn seal(signature: &str) -> Option<Seal> {
    let stand_in = |text: &&str| {
        signature == *text || (signature.len() > text.len() && STANDARD.encode(text) == signature)
    };
    let real = !signature.is_empty() && ![SKIP_SIGNATURE, SKIP_SIGNATURE_OLD].iter().any(stand_in);
    real.then(|| Seal { wire: NAME, redacted: false, data: signature.to_owned() })
}

/// The signature inside a seal, when this wire made it.
pub(super) fn signature(seal: Option<&Seal>) -> Option<&str> {
    seal.filter(|seal| seal.wire == NAME).map(|seal| seal.data.as_str())
}

/// A call's arguments as the object this wire wants: nothing is `{}`, what is no object is wrapped.
pub(super) fn arguments(call: &ToolCall) -> Value {
    if call.arguments.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({ RAW: call.arguments }),
    }
}

/// A float that is a count, such as the `40.0` some clients write for `topK`.
pub(super) fn whole_float(float: f64) -> Option<u64> {
    // Above 2^53 a float no longer names one integer.
    let exact = float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float);
    exact.then_some(float as u64)
}

/// Whether `key` is the member `camel`, in camelCase or in snake_case: both are accepted on input.
pub(super) fn same(key: &str, camel: &str) -> bool {
    let mut rest = key.bytes();
    for wanted in camel.bytes() {
        let fits = match rest.next() {
            Some(byte) if byte == wanted => true,
            Some(b'_') => wanted.is_ascii_uppercase() && rest.next() == Some(wanted.to_ascii_lowercase()),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    rest.next().is_none()
}

/// The member `camel` of an object in either spelling, unless it is absent or null.
///
/// # Errors
/// When `cursor` is no object.
pub(super) fn member<'a>(cursor: &Cursor<'a>, camel: &'static str) -> Result<Option<Cursor<'a>>, Invalid> {
    if let Some(found) = cursor.get(camel)? {
        return Ok(Some(found));
    }
    match cursor.object()?.keys().find(|key| same(key, camel)) {
        Some(key) => cursor.get(key),
        None => Ok(None),
    }
}
