//! A plain HTTP client that keeps connections like any real one, and tells when every event of a stream arrived.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use unfail_sim::clock::Clock;

use crate::sse::{Event, take};

/// A client with its own connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    inner: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body bytes.
    pub body: Bytes,
    /// Until the last byte, since the request was sent.
    pub took: Duration,
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text, lossily.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header field; empty when absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    /// A client with no connections yet.
    #[must_use]
    pub fn new() -> Self {
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        Client { inner }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> io::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        self.inner.request(request).await.map_err(io::Error::other)
    }

    /// Sends a JSON body and reads the whole answer.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> io::Result<Answer> {
        let clock = Clock::start();
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = self.send(Method::POST, url, &headers, body.to_string().into()).await?;
        whole(response, clock).await
    }

    /// Gets a resource.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let clock = Clock::start();
        whole(self.send(Method::GET, url, headers, Bytes::new()).await?, clock).await
    }

    /// Sends a JSON body and reads the answer as a stream of events.
    pub async fn stream(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> io::Result<Streaming> {
        let clock = Clock::start();
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = self.send(Method::POST, url, &headers, body.to_string().into()).await?;
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        Ok(Streaming { status, headers, body, clock, bytes: Vec::new(), ready: Vec::new() })
    }
}

async fn whole(response: Response<Incoming>, clock: Clock) -> io::Result<Answer> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body, took: clock.now() })
}

/// A response that is being read. Dropping it ends the connection.
#[derive(Debug)]
pub struct Streaming {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    body: Incoming,
    clock: Clock,
    /// Bytes that are no complete text yet.
    bytes: Vec<u8>,
    /// Events that were read and not yet taken, last first.
    ready: Vec<(Duration, Event)>,
}

impl Streaming {
    /// The next event and when its last byte arrived, since the request was sent; none at the end of the body. A body
    /// that breaks off is an error.
    pub async fn next(&mut self) -> io::Result<Option<(Duration, Event)>> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
            self.bytes.extend_from_slice(&data);
            // Letters of several bytes may be split between frames; what is whole is read.
            let whole = match std::str::from_utf8(&self.bytes) {
                Ok(text) => text.len(),
                Err(fault) => fault.valid_up_to(),
            };
            let rest = self.bytes.split_off(whole);
            let mut text = String::from_utf8(std::mem::take(&mut self.bytes)).map_err(io::Error::other)?;
            let at = self.clock.now();
            self.ready = take(&mut text).into_iter().rev().map(|event| (at, event)).collect();
            self.bytes = [text.into_bytes(), rest].concat();
        }
    }

    /// All events to the end, and the fault that ended them early, if one did.
    pub async fn rest(&mut self) -> (Vec<(Duration, Event)>, Option<io::Error>) {
        let mut events = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
}
