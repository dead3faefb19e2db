//! What an error body says, whoever sent it: read leniently from any bytes, never failing.
//!
//! Providers wrap errors in objects, arrays, flat objects, strings, HTML and plain text; `code` may be text, a
//! number or null. This module finds the facts; `policy::classify` decides what they mean.

use serde_json::{Map, Value};

/// Facts found in an error body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorBody {
    /// The provider's words, at most 2 kB; empty when there were none.
    pub message: String,
    /// Machine codes, most specific first: detail reasons, error codes, types, RPC status names.
    pub codes: Vec<String>,
    /// Offending parameter, when named.
    pub param: Option<String>,
    /// Status repeated in the body (or its only status, inside a stream).
    pub status: Option<u16>,
    /// Quota ids that were violated (`…PerMinute…`, `…PerDay…`).
    pub quotas: Vec<String>,
    /// Wait stated by the body in any of the usual texts: `38.2s`, `1500ms`, seconds, an instant.
    pub wait: Option<String>,
    /// The input was flagged by moderation.
    pub flagged: bool,
}

/// Longest message kept, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 2_000;
/// Longest code, parameter, quota id or wait kept, in bytes.
const WORD_BYTES_MAX: usize = 200;
/// Codes and quota ids kept: more than any provider sends, and a bound for one that lies.
const WORDS_MAX: usize = 16;
/// Characters of an HTML page that are quoted; its title says enough.
const PAGE_CHARS_MAX: usize = 200;
/// Bytes of a body that is no JSON that are looked at.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// How deep a message may be wrapped in objects and lists.
const WRAPS_MAX: usize = 4;

impl ErrorBody {
    /// Reads the facts out of a whole body.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if let Some(value) = first_json(bytes) {
            return Self::from_value(&value);
        }
        let head = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
        let text = String::from_utf8_lossy(head);
        let message = if looks_like_markup(&text) { page_text(&text) } else { plain_text(&text) };
        Self { message, ..Self::default() }
    }

    /// Reads the facts out of a parsed body.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let mut facts = Self::default();
        match unwrapped(value) {
            Value::Object(top) => facts.read(top),
            other => {
                facts.message = words(other, WRAPS_MAX).map(|text| plain_text(&text)).unwrap_or_default()
            }
        }
        facts
    }

    /// The error that hides in a body or stream event sent under a success status, if there is one.
    #[must_use]
    pub fn in_success(value: &Value) -> Option<Self> {
        is_error_value(value).then(|| Self::from_value(value))
    }

    /// As [`ErrorBody::in_success`], for bytes that may not be JSON at all.
    #[must_use]
    pub fn in_bytes(bytes: &[u8]) -> Option<Self> {
        Self::in_success(&first_json(bytes)?)
    }

    fn read(&mut self, top: &Map<String, Value>) {
        let inner = top.get("error").or_else(|| top.get("fault")).and_then(Value::as_object);
        let error = inner.unwrap_or(top);
        self.message =
            ["message", "Message", "detail", "faultstring", "error", "error_description", "msg", "title"]
                .iter()
                .flat_map(|key| [error.get(*key), top.get(*key)])
                .find_map(|value| words(value?, WRAPS_MAX))
                .map(|text| plain_text(&text))
                .unwrap_or_default();
        self.read_details(error);
        self.read_metadata(error);
        self.read_codes(error, top);
        self.read_validation(top);
        for key in ["param", "parameter"] {
            self.set_param(error.get(key).and_then(Value::as_str));
        }
        for object in [error, top] {
            for key in ["retry_after", "resets_at"] {
                self.set_wait(object.get(key));
            }
            for key in ["status_code", "raw_status_code", "status", "code"] {
                self.set_status(object.get(key));
            }
        }
    }

    /// `error.details`: a list of typed details (Google), or an object.
    fn read_details(&mut self, error: &Map<String, Value>) {
        match error.get("details") {
            Some(Value::Array(details)) => {
                for detail in details {
                    self.read_detail(detail);
                }
            }
            Some(details) => self.add_code(details.get("error_code")),
            None => {}
        }
        for key in ["innererror", "inner_error"] {
            self.add_code(error.get(key).and_then(|inner| inner.get("code")));
        }
    }

    fn read_detail(&mut self, detail: &Value) {
        self.add_code(detail.get("reason"));
        self.set_wait(detail.get("retryDelay"));
        self.add_quota(detail.get("metadata").and_then(|metadata| metadata.get("quota_limit")));
        let listed = |key| detail.get(key).and_then(Value::as_array).into_iter().flatten();
        for violation in listed("violations") {
            self.add_quota(violation.get("quotaId"));
        }
        for violation in listed("fieldViolations") {
            self.set_param(violation.get("field").and_then(Value::as_str));
        }
    }

    /// `error.metadata`: what a router says about the provider behind it.
    fn read_metadata(&mut self, error: &Map<String, Value>) {
        let Some(metadata) = error.get("metadata").and_then(Value::as_object) else { return };
        self.add_code(metadata.get("error_type"));
        self.flagged |=
            metadata.get("reasons").and_then(Value::as_array).is_some_and(|reasons| !reasons.is_empty());
        for key in ["retry_after", "resets_at"] {
            self.set_wait(metadata.get(key));
        }
        let headers = metadata.get("headers").and_then(Value::as_object);
        for wanted in ["retry-after", "x-ratelimit-reset"] {
            let named = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case(wanted);
            self.set_wait(headers.and_then(|headers| headers.iter().find(named)).map(|(_, value)| value));
        }
    }

    fn read_codes(&mut self, error: &Map<String, Value>, top: &Map<String, Value>) {
        for (object, key) in [
            (error, "error_type"),
            (top, "error_type"),
            (error, "code"),
            (top, "code"),
            (error, "type"),
            (error, "__type"),
            (error, "status"),
        ] {
            self.add_code(object.get(key));
        }
    }

    /// `detail: [{type, loc, msg}]`, how FastAPI reports a body that does not validate; its words are read with all
    /// others.
    fn read_validation(&mut self, top: &Map<String, Value>) {
        let message = top.get("message");
        let detail = top.get("detail").or_else(|| message.and_then(|message| message.get("detail")));
        for item in detail.and_then(Value::as_array).into_iter().flatten() {
            self.add_code(item.get("type"));
            let place = item.get("loc").and_then(Value::as_array).into_iter().flatten();
            let steps: Vec<String> = place.filter_map(scalar).skip_while(|step| step == "body").collect();
            self.set_param((!steps.is_empty()).then(|| steps.join(".")).as_deref());
        }
    }

    fn add_code(&mut self, value: Option<&Value>) {
        // A number in the range of HTTP is the status; `error` only says that this is one.
        let code = value.filter(|value| http_status(value).is_none()).and_then(scalar);
        if let Some(code) = code.filter(|code| code != "error") {
            add(&mut self.codes, &code);
        }
    }

    fn add_quota(&mut self, value: Option<&Value>) {
        if let Some(quota) = value.and_then(Value::as_str) {
            add(&mut self.quotas, quota);
        }
    }

    fn set_param(&mut self, param: Option<&str>) {
        if self.param.is_none() {
            self.param = param.filter(|param| !param.is_empty()).map(|param| cut(param, WORD_BYTES_MAX));
        }
    }

    fn set_wait(&mut self, value: Option<&Value>) {
        if self.wait.is_none() {
            self.wait = value.and_then(scalar).map(|wait| cut(&wait, WORD_BYTES_MAX));
        }
    }

    fn set_status(&mut self, value: Option<&Value>) {
        if self.status.is_none() {
            let text = value.and_then(Value::as_str).and_then(|text| text.parse().ok());
            self.status = value.and_then(http_status).or(text.filter(|status| HTTP.contains(status)));
        }
    }
}

/// Whether a value sent under a success status is an error: a truthy `error`, a type that says so, or a flat error
/// object. Answers and stream events of the wires are none, even when they carry `"error": null`.
#[must_use]
pub fn is_error_value(value: &Value) -> bool {
    let Value::Object(top) = unwrapped(value) else { return false };
    let says = |key, word| top.get(key).and_then(Value::as_str) == Some(word);
    if top.get("error").is_some_and(is_truthy) || says("type", "error") || says("object", "error") {
        return true;
    }
    let payload = ["choices", "candidates", "content", "output", "delta", "id"];
    let words = ["message", "detail", "fault"].iter().filter_map(|key| top.get(*key));
    !payload.iter().any(|key| top.contains_key(*key)) && words.into_iter().any(is_words)
}

/// Words of an error rather than a message of the conversation, which is an object.
fn is_words(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.get("msg").is_some()),
        Value::Object(object) => object.contains_key("detail") || object.contains_key("faultstring"),
        _ => false,
    }
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// The body inside a list, and inside the event that reports a failed response.
fn unwrapped(value: &Value) -> &Value {
    let first = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    match first.get("response") {
        Some(response) if response.get("error").is_some_and(is_truthy) => response,
        _ => first,
    }
}

/// The words of a message that may be text, a list of reports, or an object with words in it.
fn words(value: &Value, wraps: usize) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(items) if wraps > 0 => {
            let found: Vec<String> =
                items.iter().take(WORDS_MAX).filter_map(|item| words(item, wraps - 1)).collect();
            (!found.is_empty()).then(|| found.join("; "))
        }
        Value::Object(object) if wraps > 0 => {
            let keys = ["message", "msg", "detail", "error", "faultstring", "reason"];
            keys.iter().find_map(|key| words(object.get(*key)?, wraps - 1))
        }
        _ => None,
    }
}

/// Text or a number, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Statuses a body may repeat: those of HTTP that report something.
const HTTP: std::ops::Range<u16> = 200..600;

fn http_status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| HTTP.contains(code))
}

fn add(list: &mut Vec<String>, word: &str) {
    let word = cut(word, WORD_BYTES_MAX);
    if list.len() < WORDS_MAX && !list.contains(&word) {
        list.push(word);
    }
}

/// At most `max` bytes of `text`, whole characters only.
fn cut(text: &str, max: usize) -> String {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default().to_owned()
}

/// The first JSON value of a body, or of the first event when an error came as an event stream. `None` when the
/// body is neither object, list nor text: plain words may begin with a number.
fn first_json(bytes: &[u8]) -> Option<Value> {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let body = if body.starts_with(b"data:") || body.starts_with(b"event:") {
        let mut lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.find_map(|line| line.strip_prefix(b"data:"))?.trim_ascii_start()
    } else {
        body
    };
    if !matches!(body.first(), Some(b'{' | b'[' | b'"')) {
        return None;
    }
    serde_json::Deserializer::from_slice(body).into_iter().next()?.ok()
}

fn looks_like_markup(text: &str) -> bool {
    text.trim_start_matches('\u{FEFF}').trim_start().starts_with('<')
}

/// Words in one line: blanks and control characters become single spaces, and the length is bounded.
fn plain_text(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if line.len() > MESSAGE_BYTES_MAX {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.truncate(line.floor_char_boundary(MESSAGE_BYTES_MAX));
    line
}

/// What a page says: its title, else its first words.
fn page_text(page: &str) -> String {
    let title = page.split('<').skip(1).find(|tag| starts_with_name(tag, "title"));
    let title = title.and_then(|tag| tag.split_once('>')).map(|(_, text)| plain_text(&resolved(text)));
    let text =
        title.filter(|title| !title.is_empty()).unwrap_or_else(|| plain_text(&resolved(&without_tags(page))));
    text.chars().take(PAGE_CHARS_MAX).collect()
}

fn starts_with_name(tag: &str, name: &str) -> bool {
    tag.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

/// The text of a page: tags become spaces; scripts, styles and comments vanish with what is in them.
fn without_tags(page: &str) -> String {
    const HIDDEN: [(&str, &str); 3] = [("script", "</script>"), ("style", "</style>"), ("!--", "-->")];
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let end = HIDDEN.iter().find(|(name, _)| starts_with_name(tag, name)).map_or(">", |(_, end)| end);
        rest = tag.split_once(end).map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

/// With the usual entities resolved.
fn resolved(text: &str) -> String {
    let entities =
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}
