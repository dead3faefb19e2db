//! Requests of each wire, and one way to send them.

use std::time::Duration;

use serde_json::{Value, json};
use unfail_sim::{Act, Provider, Script, Setup, Speaks};
use unfail_testkit::raw::{Ending, Raw, Seen, seen};
use unfail_testkit::{Answer, Client};

/// Long enough for an answer over loopback on a busy machine, short enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(400);
/// Long enough for the end of a connection to arrive behind the response.
const STEP: Duration = Duration::from_millis(60);
/// For what must come.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request as a client of the wire would send it.
pub(crate) struct Ask {
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Value,
}

/// Says something, streamed or not.
pub(crate) fn ask(wire: Speaks, text: &str, streamed: bool) -> Ask {
    let messages = json!([{"role": "user", "content": text}]);
    match (wire, streamed) {
        (Speaks::OpenAiChat, false) => openai(json!({"model": "gpt-4.1", "messages": messages})),
        (Speaks::OpenAiChat, true) => openai(json!({
            "model": "gpt-4.1", "messages": messages, "stream": true, "stream_options": {"include_usage": true},
        })),
        (Speaks::Anthropic, _) => anthropic(
            json!({"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": messages, "stream": streamed}),
        ),
        (Speaks::Gemini, false) => gemini(json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})),
        (Speaks::Gemini, true) => Ask {
            path: "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
            ..gemini(json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}))
        },
    }
}

pub(crate) fn openai(body: Value) -> Ask {
    Ask { path: "/v1/chat/completions", headers: vec![("authorization", "Bearer sk-test")], body }
}

pub(crate) fn anthropic(body: Value) -> Ask {
    let headers = vec![("x-api-key", "sk-ant-test"), ("anthropic-version", "2023-06-01")];
    Ask { path: "/v1/messages", headers, body }
}

pub(crate) fn gemini(body: Value) -> Ask {
    let path = "/v1beta/models/gemini-3.8-flash:generateContent";
    Ask { path, headers: vec![("x-goog-api-key", "AIza-test")], body }
}

/// The wire's request with this body.
pub(crate) fn with_body(wire: Speaks, body: Value) -> Ask {
    match wire {
        Speaks::OpenAiChat => openai(body),
        Speaks::Anthropic => anthropic(body),
        Speaks::Gemini => gemini(body),
    }
}

/// A provider that does this with every call.
pub(crate) fn provider(wire: Speaks, act: impl Into<Act>) -> Provider {
    Provider::start_as(Setup::new(wire, Script::always(act)).named("Simone")).unwrap()
}

/// Sends a request with an HTTP client.
pub(crate) async fn post(provider: &Provider, ask: &Ask) -> Answer {
    let url = format!("{}{}", provider.base_url(), ask.path);
    Client::new().post(&url, &ask.headers, &ask.body).await.unwrap()
}

/// Sends a request over a bare socket and reads what comes, as far as it comes; the connection is expected to stay.
pub(crate) async fn raw(provider: &Provider, ask: &Ask) -> (Seen, Ending) {
    raw_until(provider, ask, Ending::Open).await
}

/// The same where the connection is expected to end so: then its end is waited for.
pub(crate) async fn raw_until(provider: &Provider, ask: &Ask, expected: Ending) -> (Seen, Ending) {
    let mut raw = Raw::connect(provider.address()).await.unwrap();
    raw.post(ask.path, &ask.headers, &ask.body.to_string()).await.unwrap();
    if expected != Ending::Open {
        let (bytes, ending) = raw.read_all(DEADLINE).await.unwrap();
        return (seen(&bytes), ending);
    }
    let mut bytes = Vec::new();
    let mut quiet = Duration::ZERO;
    loop {
        let (more, ending) = raw.read_all(STEP).await.unwrap();
        quiet = if more.is_empty() { quiet + STEP } else { Duration::ZERO };
        bytes.extend(more);
        let seen = seen(&bytes);
        // After a complete response one step is enough to see whether the connection is kept.
        if ending != Ending::Open || seen.complete || quiet > SILENCE {
            return (seen, ending);
        }
    }
}

/// The text an answer of a wire carries.
pub(crate) fn text_of(wire: Speaks, answer: &Value) -> String {
    let path = match wire {
        Speaks::OpenAiChat => "/choices/0/message/content",
        Speaks::Anthropic => "/content/0/text",
        Speaks::Gemini => "/candidates/0/content/parts/0/text",
    };
    answer.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The text the events of a stream carry, as far as they can be read.
pub(crate) fn streamed_text(wire: Speaks, body: &str) -> String {
    let path = match wire {
        Speaks::OpenAiChat => "/choices/0/delta/content",
        Speaks::Anthropic => "/delta/text",
        Speaks::Gemini => "/candidates/0/content/parts/0/text",
    };
    let datas = unfail_testkit::sse::events(body).into_iter().map(|event| event.data);
    let values = datas.filter_map(|data| serde_json::from_str::<Value>(&data).ok());
    values.filter_map(|value| value.pointer(path).and_then(Value::as_str).map(str::to_owned)).collect()
}
