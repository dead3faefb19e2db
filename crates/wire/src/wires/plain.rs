//! The two plain dialects: `POST /chat` (messages or a prompt) and `POST /run` (a service and its input).
//!
//! For callers without an SDK: text in, text out, the same shape whichever provider answered. They are dialects
//! only, no provider speaks them. Whatever they cannot say (tools, several answers) is refused by name, never
//! ignored.

use crate::chat::{
    ChatRequest, ChatResponse, Finish, Format, JsonSchema, Media, Message, Output, Part, Role, Sampling,
    Source, Usage,
};
use crate::event::{Delta, Event};
use crate::format::{Dialect, Encoder, EncoderSetup, Inbound, Invalid, Refusal};
use crate::json::{self, Cursor};
use crate::nearest::nearest;
use crate::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use crate::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// `POST /chat`: `{"messages": […]}` or `{"prompt": "…"}`, answered by `{"text": …}`.
#[derive(Debug, Clone, Copy)]
pub struct PlainChat;

/// `POST /run`: `{"service": "llm-…", "input": {"prompt": "…"}}`, answered by `{"output": {"text": …}}`.
#[derive(Debug, Clone, Copy)]
pub struct PlainRun;

// === impl PlainChat ===

impl Dialect for PlainChat {
    fn name(&self) -> &'static str {
        "plain-chat"
    }

    fn same_wire(&self) -> Option<&'static str> {
        None
    }

    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
        Ok(chat(inbound.body)?.outline())
    }

    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
        Ok(chat(inbound.body)?.request)
    }

    fn render(&self, response: &ChatResponse) -> Vec<u8> {
        let Answer { text, model, finish, usage } = Answer::of(response);
        json_bytes(&ChatBody { text, model, finish, usage })
    }

    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder> {
        Box::new(PlainEncoder::new(setup))
    }

    fn render_problem(&self, problem: &Problem) -> Vec<u8> {
        json_bytes(&ProblemBody::of(problem))
    }
}

// === impl PlainRun ===

impl Dialect for PlainRun {
    fn name(&self) -> &'static str {
        "plain-run"
    }

    fn same_wire(&self) -> Option<&'static str> {
        None
    }

    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
        Ok(run(inbound.body)?.outline())
    }

    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
        Ok(run(inbound.body)?.request)
    }

    fn render(&self, response: &ChatResponse) -> Vec<u8> {
        let Answer { text, model, finish, usage } = Answer::of(response);
        json_bytes(&RunBody { output: RunOutput { text }, model, usage, finish })
    }

    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder> {
        PlainChat.encoder(setup)
    }

    fn render_problem(&self, problem: &Problem) -> Vec<u8> {
        PlainChat.render_problem(problem)
    }
}

// === requests ===

/// A request as read, and what was counted on the way.
#[derive(Default)]
struct Asked {
    request: ChatRequest,
    fallbacks: Vec<String>,
    text_bytes: usize,
    images: u64,
}

impl Asked {
    fn outline<'a>(self) -> Outline<'a> {
        let ChatRequest { model, messages, output, stream, stream_usage, user, .. } = self.request;
        let needs = Needs {
            input_tokens: estimate_tokens(self.text_bytes)
                .saturating_add(self.images.saturating_mul(MEDIA_TOKENS)),
            max_output_tokens: output.max_tokens,
            json_schema: matches!(output.format, Format::JsonSchema(_)),
            images: self.images > 0,
            messages: messages.len(),
            ..Needs::default()
        };
        Outline {
            model: Cow::Owned(model),
            fallbacks: self.fallbacks.into_iter().map(Cow::Owned).collect(),
            stream,
            stream_usage,
            needs,
            user: user.map(Cow::Owned),
            plain_messages: false,
            members: None,
        }
    }

    fn say(&mut self, role: Role, parts: Vec<Part>) {
        for part in &parts {
            match part {
                Part::Text(text) => self.text_bytes += text.len(),
                _ => self.images += 1,
            }
        }
        self.request.messages.push(Message { role, parts, name: None });
    }

    /// The members both dialects have.
    fn common(body: &Cursor<'_>) -> Result<Self, Invalid> {
        let mut asked = Self::default();
        let request = &mut asked.request;
        request.stream = body.opt("stream", Cursor::bool)?.unwrap_or(false);
        // The last frame of a plain stream always tells the usage.
        request.stream_usage = request.stream;
        request.output = Output { max_tokens: body.opt("max_tokens", at_least_one)?, ..Output::default() };
        request.sampling =
            Sampling { temperature: body.opt("temperature", temperature)?, ..Sampling::default() };
        if let Some(system) = body.opt("system", Cursor::str)?.filter(|system| !system.is_empty()) {
            asked.say(Role::System, vec![Part::Text(system.to_owned())]);
        }
        Ok(asked)
    }
}

/// Members of the body of `POST /chat`.
const CHAT: [&str; 12] = [
    "messages",
    "prompt",
    "model",
    "models",
    "fallbacks",
    "system",
    "max_tokens",
    "temperature",
    "stream",
    "schema",
    "json",
    "user",
];

fn chat(body: &[u8]) -> Result<Asked, Invalid> {
    let value = json::parse(body)?;
    let body = Cursor::root(&value);
    only(&body, &CHAT)?;
    let mut asked = Asked::common(&body)?;
    match body.get("prompt")? {
        Some(prompt) if body.get("messages")?.is_some() => {
            return Err(prompt.invalid("give either `messages` or `prompt`, not both"));
        }
        Some(prompt) => asked.say(Role::User, vec![text(&prompt)?]),
        None => {
            let messages = body.need("messages")?;
            for message in messages.items()? {
                let (role, parts) = read_message(&message)?;
                asked.say(role, parts);
            }
            if asked.request.messages.iter().all(|message| message.role == Role::System) {
                return Err(
                    messages.invalid("`messages` must hold a message of the role `user` or `assistant`")
                );
            }
        }
    }
    let request = &mut asked.request;
    request.model = body.opt("model", Cursor::str)?.unwrap_or_default().to_owned();
    request.user = body.opt("user", Cursor::str)?.map(str::to_owned);
    request.output.format = match (body.get("schema")?, body.opt("json", Cursor::bool)?) {
        (Some(schema), _) => schema_format(&schema)?,
        (None, Some(true)) => Format::JsonObject,
        (None, _) => Format::Text,
    };
    for key in ["models", "fallbacks"] {
        if let Some(list) = body.get(key)? {
            for name in list.items()? {
                asked.fallbacks.push(filled(&name)?.to_owned());
            }
        }
    }
    Ok(asked)
}

/// Members of the body of `POST /run`, and of its `input`.
const RUN: [&str; 2] = ["service", "input"];
const INPUT: [&str; 6] = ["prompt", "system", "max_tokens", "temperature", "model", "stream"];

fn run(body: &[u8]) -> Result<Asked, Invalid> {
    let value = json::parse(body)?;
    let body = Cursor::root(&value);
    only(&body, &RUN)?;
    let service = body.need("service")?;
    let input = body.need("input")?;
    only(&input, &INPUT)?;
    let mut asked = Asked::common(&input)?;
    asked.say(Role::User, vec![text(&input.need("prompt")?)?]);
    asked.request.model = service_model(&service, input.opt("model", filled)?)?;
    Ok(asked)
}

/// `llm` and `llm-auto` leave the choice to the operator; `llm-x` is provider `x`, whose default model is `x/*`.
fn service_model(service: &Cursor<'_>, model: Option<&str>) -> Result<String, Invalid> {
    match service.str()? {
        "llm" | "llm-auto" => Ok(model.unwrap_or("auto").to_owned()),
        name => match name.strip_prefix("llm-") {
            Some(provider) if !provider.is_empty() && !provider.contains(['/', ' ']) => {
                Ok(format!("{provider}/{}", model.unwrap_or("*")))
            }
            _ => {
                Err(service.invalid("`service` must be `llm`, `llm-auto` or `llm-` and the id of a provider"))
            }
        },
    }
}

fn read_message(message: &Cursor<'_>) -> Result<(Role, Vec<Part>), Invalid> {
    only(message, &["role", "content"])?;
    let role = message.need("role")?;
    let role = match role.str()? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(role.invalid("`role` must be `system`, `user` or `assistant`")),
    };
    let content = message.need("content")?;
    let parts = match content.value() {
        // An assistant turn may have said nothing.
        Value::String(said) if said.is_empty() && role == Role::Assistant => Vec::new(),
        Value::String(_) => vec![text(&content)?],
        Value::Array(_) => content.items()?.map(|part| read_part(&part, role)).collect::<Result<_, _>>()?,
        _ => return Err(content.invalid("`content` must be a string or a list of parts")),
    };
    if parts.is_empty() && role != Role::Assistant {
        return Err(content.invalid("`content` must not be empty"));
    }
    Ok((role, parts))
}

fn read_part(part: &Cursor<'_>, role: Role) -> Result<Part, Invalid> {
    let kind = part.need("type")?;
    match kind.str()? {
        "text" => {
            only(part, &["type", "text"])?;
            text(&part.need("text")?)
        }
        "image_url" if role == Role::User => {
            only(part, &["type", "image_url"])?;
            let image = part.need("image_url")?;
            only(&image, &["url", "detail"])?;
            let (mime, source) = picture(&image.need("url")?)?;
            let detail = image.opt("detail", Cursor::str)?.map(str::to_owned);
            Ok(Part::Image(Media { mime, source, detail }))
        }
        "image_url" => Err(kind.invalid("only messages of the role `user` can show pictures")),
        _ => Err(kind.invalid("`type` must be `text` or `image_url`")),
    }
}

/// A picture by address, or inside the body as `data:image/png;base64,…`.
fn picture(url: &Cursor<'_>) -> Result<(Option<String>, Source), Invalid> {
    let address = filled(url)?;
    let Some(inline) = address.strip_prefix("data:") else {
        let fetchable = address.starts_with("https://") || address.starts_with("http://");
        return if fetchable {
            Ok((None, Source::Url(address.to_owned())))
        } else {
            Err(url.invalid("`url` must begin with `https://`, `http://` or `data:`"))
        };
    };
    let is_base64 = |data: &str| {
        !data.is_empty() && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    match inline.split_once(";base64,") {
        Some((mime, data)) if mime.starts_with("image/") && is_base64(data) => {
            Ok((Some(mime.to_owned()), Source::Inline(data.to_owned())))
        }
        _ => Err(url.invalid("a data URL must look like `data:image/png;base64,…`")),
    }
}

fn schema_format(schema: &Cursor<'_>) -> Result<Format, Invalid> {
    schema.object()?;
    Ok(Format::JsonSchema(JsonSchema {
        name: "answer".to_owned(),
        description: None,
        schema: schema.value().clone(),
        strict: None,
    }))
}

fn text(cursor: &Cursor<'_>) -> Result<Part, Invalid> {
    filled(cursor).map(|text| Part::Text(text.to_owned()))
}

/// Text that says something.
fn filled<'a>(cursor: &Cursor<'a>) -> Result<&'a str, Invalid> {
    let text = cursor.str()?;
    if text.is_empty() { Err(cursor.invalid("this text must not be empty")) } else { Ok(text) }
}

fn at_least_one(cursor: &Cursor<'_>) -> Result<u64, Invalid> {
    match cursor.u64()? {
        0 => Err(cursor.invalid("`max_tokens` must be at least 1")),
        tokens => Ok(tokens),
    }
}

fn temperature(cursor: &Cursor<'_>) -> Result<f64, Invalid> {
    let value = cursor.f64()?;
    if (0.0..=2.0).contains(&value) {
        Ok(value)
    } else {
        Err(cursor.invalid("`temperature` must be between 0 and 2"))
    }
}

/// Refuses members that are not `known`, with the name that was most likely meant.
fn only(object: &Cursor<'_>, known: &[&str]) -> Result<(), Invalid> {
    for key in object.object()?.keys().filter(|key| !known.contains(&key.as_str())) {
        if let Some(unknown) = object.get(key)? {
            let hint = match nearest(key, known.iter().copied(), 1).first() {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known are `{}`", known.join("`, `")),
            };
            return Err(unknown.invalid(format!("`{key}` is not known here; {hint}")));
        }
    }
    Ok(())
}

// === answers ===

/// What a complete plain answer says. Only the first choice: these dialects cannot ask for more.
struct Answer<'a> {
    text: String,
    model: &'a str,
    finish: Option<&'static str>,
    usage: Option<Tokens>,
}

impl<'a> Answer<'a> {
    fn of(response: &'a ChatResponse) -> Self {
        let choice = response.choices.first();
        let said = choice.into_iter().flat_map(|choice| &choice.parts).filter_map(|part| match part {
            Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
            _ => None,
        });
        Self {
            text: said.collect(),
            model: &response.model,
            finish: choice.map(|choice| finish_word(&choice.finish)),
            usage: response.usage.as_ref().map(Tokens::of),
        }
    }
}

#[derive(Serialize)]
struct ChatBody<'a> {
    text: String,
    model: &'a str,
    finish: Option<&'static str>,
    usage: Option<Tokens>,
}

#[derive(Serialize)]
struct RunBody<'a> {
    output: RunOutput,
    model: &'a str,
    usage: Option<Tokens>,
    finish: Option<&'static str>,
}

#[derive(Serialize)]
struct RunOutput {
    text: String,
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        Self { input_tokens: usage.input, output_tokens: usage.output }
    }
}

fn finish_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

// === streams ===

/// `data: {"text": …}` for each piece of text, then one `data: {"done": true, …}`, or an `error` event.
struct PlainEncoder {
    model: String,
    /// The provider's own model name may be shown.
    open: bool,
    finish: Option<&'static str>,
    usage: Option<Tokens>,
    /// The last frame was written.
    over: bool,
}

impl PlainEncoder {
    fn new(setup: EncoderSetup) -> Self {
        Self { model: setup.model, open: setup.open, finish: None, usage: None, over: false }
    }
}

#[derive(Serialize)]
struct TextFrame<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct DoneFrame<'a> {
    done: bool,
    finish: Option<&'static str>,
    model: &'a str,
    usage: Option<Tokens>,
}

impl Encoder for PlainEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { model, .. } if self.open && !model.is_empty() => self.model.clone_from(model),
            Event::Delta { choice: 0, delta: Delta::Text(text) | Delta::Refusal(text) }
                if !text.is_empty() =>
            {
                write_frame(&TextFrame { text }, out);
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish_word(finish)),
            Event::Usage(usage) => self.usage = Some(Tokens::of(usage)),
            Event::End => {
                self.over = true;
                let (finish, usage) = (self.finish, self.usage.take());
                write_frame(&DoneFrame { done: true, finish, model: &self.model, usage }, out);
            }
            Event::Start { .. } | Event::Delta { .. } | Event::Finish { .. } => {}
        }
    }

    fn problem(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        if !self.over {
            self.over = true;
            out.extend_from_slice(b"event: error\n");
            write_frame(&ProblemBody::of(problem), out);
        }
    }
}

fn write_frame(body: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_json(body, out);
    out.extend_from_slice(b"\n\n");
}

// === problems ===

#[derive(Serialize)]
struct ProblemBody<'a> {
    error: ProblemFacts<'a>,
}

#[derive(Serialize)]
struct ProblemFacts<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trail: Option<&'a str>,
}

impl<'a> ProblemBody<'a> {
    fn of(problem: &'a Problem) -> Self {
        let in_ms = |wait: std::time::Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            error: ProblemFacts {
                kind: problem.kind.name(),
                message: &problem.message,
                retry_after_ms: problem.retry_after.map(in_ms),
                param: problem.param.as_deref(),
                code: problem.code.as_deref(),
                request_id: &problem.request_id,
                trail: problem.trail.as_deref(),
            },
        }
    }
}

fn json_bytes(body: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(body, &mut out);
    out
}

/// Writing these bodies into memory cannot fail: no map keys but texts, no fallible `Serialize`.
fn write_json(body: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, body).unwrap_or_default();
}
