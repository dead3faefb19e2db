//! A caller of the endpoint: asks over HTTP as anybody would and judges what comes back.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use unfail_sim::clock::Clock;
use unfail_wire::sse::{FrameKind, Framer};

use crate::Error;

/// Nobody waits longer: beyond the route's own deadline the endpoint has lost the request.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks one endpoint over a pool of connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    pool: legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// Counted from 1.
    pub(super) number: usize,
    /// Phase of the storm it belongs to.
    pub(super) phase: &'static str,
    pub(super) stream: bool,
    /// The caller's own deadline.
    pub(super) deadline: Option<Duration>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) ask: Ask,
    pub(super) outcome: Outcome,
    /// Status, once a head came.
    pub(super) status: Option<u16>,
    /// What the endpoint tells of how it was found.
    pub(super) found: Found,
    /// Until the first words.
    pub(super) first_token: Option<Duration>,
    /// Until the end.
    pub(super) latency: Duration,
    /// What the error says.
    pub(super) words: String,
}

/// How a request ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a complete answer.
    Answered,
    /// With an error event after its first words.
    Cut,
    /// With a well-formed error instead of an answer.
    Failed,
    /// With neither: the endpoint broke its promise.
    Lost,
}

/// The headers of developer mode.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// `provider/model`; empty when no target answered.
    pub(super) target: String,
    /// `provider:result,…`
    pub(super) trail: String,
    /// Calls sent upstream.
    pub(super) calls: u64,
    /// When to try again, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

impl Ask {
    /// Words that no other request holds, so that a provider's call can be told whose it was.
    pub(super) fn mark(&self) -> String {
        format!("request {} of the demo", self.number)
    }

    fn body(&self) -> Value {
        let content = format!("This is {}: say something nice.", self.mark());
        json!({"model": "auto", "messages": [{"role": "user", "content": content}], "stream": self.stream})
    }
}

impl Found {
    fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            target: text("x-unfail-target").to_owned(),
            trail: text("x-unfail-trail").to_owned(),
            calls: text("x-unfail-attempts").parse().unwrap_or(0),
            retry_after_ms: text("retry-after-ms").parse().ok(),
        }
    }

    /// Who answered.
    pub(super) fn provider(&self) -> Option<&str> {
        self.target.split('/').next().filter(|id| !id.is_empty())
    }

    /// Providers that were really called, in order.
    pub(super) fn called(&self) -> impl Iterator<Item = &str> {
        let steps = self.trail.split(',').filter_map(|step| step.rsplit_once(':'));
        let called = |result: &str| result != "skipped" && !result.starts_with("resting");
        steps.filter(move |(_, result)| called(result)).map(|(provider, _)| provider)
    }
}

impl Client {
    /// A client of the endpoint at `address`.
    pub(super) fn new(address: SocketAddr) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { pool, url: format!("http://{address}/v1/chat/completions") }
    }

    /// Asks, reads to the end and judges.
    pub(super) async fn ask(self, ask: Ask) -> Reply {
        let clock = Clock::start();
        let mut reply = Reply {
            ask,
            outcome: Outcome::Lost,
            status: None,
            found: Found::default(),
            first_token: None,
            latency: Duration::ZERO,
            words: String::new(),
        };
        match tokio::time::timeout(PATIENCE, self.exchange(&mut reply, clock)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => reply.words = error.to_string(),
            Err(_) => reply.words = format!("no end after {} s", PATIENCE.as_secs()),
        }
        reply.latency = clock.now();
        reply
    }

    async fn exchange(&self, reply: &mut Reply, clock: Clock) -> Result<(), Error> {
        let mut request = Request::post(&self.url).header("content-type", "application/json");
        if let Some(deadline) = reply.ask.deadline {
            request = request.header("x-unfail-deadline-ms", deadline.as_millis().to_string());
        }
        let body = reply.ask.body().to_string();
        let response = self.pool.request(request.body(Full::from(body))?).await?;
        reply.status = Some(response.status().as_u16());
        reply.found = Found::read(response.headers());
        if reply.ask.stream && response.status().is_success() {
            return streamed(response, reply, clock).await;
        }
        let success = response.status().is_success();
        let body = response.into_body().collect().await?.to_bytes();
        reply.first_token = success.then(|| clock.now());
        reply.outcome = whole(success, &serde_json::from_slice(&body)?, &mut reply.words);
        Ok(())
    }
}

/// Judges a response that came in one piece.
fn whole(success: bool, body: &Value, words: &mut String) -> Outcome {
    if success {
        let answer = text(body, "/choices/0/message/content");
        return if answer.is_some() { Outcome::Answered } else { Outcome::Lost };
    }
    let Some(message) = text(body, "/error/message") else { return Outcome::Lost };
    message.clone_into(words);
    Outcome::Failed
}

/// Reads a stream to its end and judges it.
async fn streamed(response: Response<Incoming>, reply: &mut Reply, clock: Clock) -> Result<(), Error> {
    let mut body = response.into_body();
    let (mut framer, mut stream) = (Framer::default(), Stream::default());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        framer.push(data);
        for frame in framer.by_ref() {
            let frame = frame?;
            if frame.kind != FrameKind::Silence {
                stream.take(&frame.data);
            }
        }
        if stream.spoke && reply.first_token.is_none() {
            reply.first_token = Some(clock.now());
        }
    }
    reply.outcome = stream.outcome();
    reply.words = stream.error.unwrap_or_default();
    Ok(())
}

/// What a stream of chat completion chunks has shown so far.
#[derive(Debug, Default)]
struct Stream {
    /// There were words.
    spoke: bool,
    /// The end marker came.
    done: bool,
    /// An error event came, with these words.
    error: Option<String>,
    /// Something else came.
    garbled: bool,
}

impl Stream {
    fn take(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.done = true;
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
            self.garbled = true;
            return;
        };
        self.spoke |= text(&chunk, "/choices/0/delta/content").is_some();
        if let Some(message) = text(&chunk, "/error/message") {
            self.error = Some(message.to_owned());
        }
    }

    fn outcome(&self) -> Outcome {
        match (self.garbled, &self.error, self.spoke) {
            (false, None, true) if self.done => Outcome::Answered,
            (false, Some(_), true) => Outcome::Cut,
            (false, Some(_), false) => Outcome::Failed,
            _ => Outcome::Lost,
        }
    }
}

/// The text at a place of a document, if there is any.
fn text<'v>(value: &'v Value, place: &str) -> Option<&'v str> {
    value.pointer(place)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_judged_by_what_they_show() {
        let said = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let silent = r#"{"choices":[{"delta":{"role":"assistant"}}]}"#;
        let error = r#"{"error":{"message":"broke off"}}"#;
        let table: [(&[&str], Outcome); 9] = [
            (&[silent, said, "[DONE]"], Outcome::Answered),
            (&[silent, said], Outcome::Lost),
            (&[silent, "[DONE]"], Outcome::Lost),
            (&[], Outcome::Lost),
            (&[said, error], Outcome::Cut),
            (&[said, error, "[DONE]"], Outcome::Cut),
            (&[error], Outcome::Failed),
            (&[said, "{", "[DONE]"], Outcome::Lost),
            (&[said, r#"{"error":{}}"#], Outcome::Lost),
        ];
        for (frames, expected) in table {
            let mut stream = Stream::default();
            frames.iter().for_each(|frame| stream.take(frame.as_bytes()));
            assert_eq!(stream.outcome(), expected, "{frames:?}");
        }
    }

    #[test]
    fn whole_responses_are_judged_by_status_and_body() {
        let answer = json!({"choices": [{"message": {"content": "a"}}]});
        let error = json!({"error": {"message": "no"}});
        for (success, body, expected) in [
            (true, &answer, Outcome::Answered),
            (true, &error, Outcome::Lost),
            (true, &json!({"choices": [{"message": {"content": ""}}]}), Outcome::Lost),
            (false, &error, Outcome::Failed),
            (false, &answer, Outcome::Lost),
            (false, &Value::Null, Outcome::Lost),
        ] {
            assert_eq!(whole(success, body, &mut String::new()), expected, "{success} {body}");
        }
    }

    #[test]
    fn a_trail_tells_who_was_called() {
        let table: [(&str, &[&str]); 4] = [
            ("", &[]),
            ("a:ok", &["a"]),
            ("a:resting(limited),b:rate_limited,c:skipped,d:ok", &["b", "d"]),
            ("a:timeout,b:resting(breaker),a:ok", &["a", "a"]),
        ];
        for (trail, expected) in table {
            let found = Found { trail: trail.to_owned(), ..Found::default() };
            assert_eq!(found.called().collect::<Vec<_>>(), expected, "{trail}");
        }
    }
}
