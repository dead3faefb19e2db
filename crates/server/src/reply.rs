//! An error becomes a response: the only place that knows which status a problem has.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::Duration;
use unfail_engine::failure::{Failure, FailureKind};
use unfail_engine::via::Circle;
use unfail_engine::world::{Entropy, request_id};
use unfail_wire::Dialect;
use unfail_wire::problem::{Problem, ProblemKind};

use crate::state::{Mode, Server};

/// Set on every response.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-unfail-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A request turned away before any target was asked.
#[derive(Debug)]
pub(crate) struct Reject {
    kind: ProblemKind,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
    /// The status, where the kind does not say it.
    status: Option<StatusCode>,
    /// Methods the path takes, when the one that was used is none of them.
    allow: Option<&'static str>,
    close: bool,
}

impl Reject {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            status: None,
            allow: None,
            close: false,
        }
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What it is, in one word for the log.
    pub(crate) fn why(&self) -> &'static str {
        self.kind.name()
    }

    /// The path exists and takes these methods only.
    pub(crate) fn method_not_allowed(mut self, allow: &'static str) -> Self {
        self.allow = Some(allow);
        self.status = Some(StatusCode::METHOD_NOT_ALLOWED);
        self.code("method_not_allowed")
    }

    /// The rest of the request is not worth reading: the connection ends with this response.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<Circle> for Reject {
    fn from(circle: Circle) -> Self {
        let reject = Self::new(ProblemKind::Upstream, circle.to_string()).code("loop_detected");
        Self { status: Some(StatusCode::LOOP_DETECTED), ..reject }
    }
}

impl From<unfail_wire::format::Invalid> for Reject {
    fn from(invalid: unfail_wire::format::Invalid) -> Self {
        let reject = Self::new(ProblemKind::Invalid, invalid.message);
        match invalid.param {
            Some(param) => reject.param(param),
            None => reject,
        }
    }
}

/// Makes the responses for one request that no target gave.
#[derive(Debug)]
pub(crate) struct Replier {
    dialect: &'static dyn Dialect,
    mode: Mode,
    id: String,
}

impl Replier {
    /// For a request that has no id yet.
    pub(crate) fn new(server: &Server, dialect: &'static dyn Dialect) -> Self {
        let id = request_id(&mut server.engine.world().random());
        Self { dialect, mode: server.mode, id }
    }

    /// The request's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The dialect errors are told in.
    pub(crate) fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    /// What callers see.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Turns a request away.
    pub(crate) fn reject(&self, reject: Reject) -> Response {
        let status = reject.status.unwrap_or_else(|| status_of(reject.kind));
        let problem = Problem {
            kind: reject.kind,
            status: status.as_u16(),
            message: reject.message,
            code: reject.code.map(str::to_owned),
            param: reject.param,
            retry_after: None,
            request_id: self.id.clone(),
            trail: None,
        };
        let mut response = self.respond(status, &problem);
        let headers = response.headers_mut();
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        if let Some(allow) = reject.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if reject.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Tells that no target answered.
    pub(crate) fn failure(&self, failure: &Failure) -> Response {
        let problem = self.problem(failure);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = self.respond(status, &problem);
        let headers = response.headers_mut();
        if let Some(wait) = failure.retry_after {
            state_wait(headers, wait);
        }
        if !failure.worth_retrying() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if self.mode == Mode::Developer {
            failure.trail.write_headers(headers);
        }
        response
    }

    /// What the caller is told about a failure, before or after commit.
    pub(crate) fn problem(&self, failure: &Failure) -> Problem {
        let open = self.mode == Mode::Developer;
        let kind = match kind_of(failure.kind) {
            // Whose quota it is, and that there is one, is the operator's business.
            ProblemKind::Quota if !open => ProblemKind::Overloaded,
            kind => kind,
        };
        let own_fault = matches!(failure.kind, FailureKind::ClientFault);
        // A provider's words and codes may name it; what unfail itself found wrong never does.
        let sayable = open || (own_fault && failure.trail.calls == 0);
        Problem {
            kind,
            status: status_of(kind).as_u16(),
            message: if sayable { failure.message.clone() } else { calm(kind).to_owned() },
            code: failure.code.clone().filter(|_| sayable || !own_fault),
            param: failure.param.clone().filter(|param| sayable || is_everybodys(param)),
            retry_after: failure.retry_after,
            request_id: self.id.clone(),
            trail: open.then(|| failure.trail.compact()),
        }
    }

    fn respond(&self, status: StatusCode, problem: &Problem) -> Response {
        self.json(status, self.dialect.render_problem(problem))
    }

    /// A JSON body that no target gave.
    pub(crate) fn json(&self, status: StatusCode, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
}

/// The whole answer to a request whose head cannot be read. The connection ends with it.
pub(crate) fn unreadable(status: u16, dialect: &dyn Dialect) -> Vec<u8> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let (kind, code, message) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            (ProblemKind::TooLarge, "headers_too_large", "the request has too many or too large headers")
        }
        StatusCode::URI_TOO_LONG => (ProblemKind::TooLarge, "uri_too_long", "the request's path is too long"),
        _ => (ProblemKind::Invalid, "invalid_http", "the request is not valid HTTP/1.1"),
    };
    let id = request_id(&mut Entropy);
    let problem = Problem {
        kind,
        status: status.as_u16(),
        message: message.to_owned(),
        code: Some(code.to_owned()),
        param: None,
        retry_after: None,
        request_id: id.clone(),
        trail: None,
    };
    let body = dialect.render_problem(&problem);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{REQUEST_ID}: {id}\r\n\
         {SHOULD_RETRY}: false\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// `retry-after` in whole seconds, at least one, and the same in milliseconds.
fn state_wait(headers: &mut HeaderMap, wait: Duration) {
    let millis = wait.as_millis().max(1);
    let seconds = millis.div_ceil(1000);
    for (name, value) in [(RETRY_AFTER, seconds), (RETRY_AFTER_MS, millis)] {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            headers.insert(name, value);
        }
    }
}

/// The status of a problem.
fn status_of(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::Invalid | ProblemKind::ContextLength | ProblemKind::Refused => StatusCode::BAD_REQUEST,
        ProblemKind::Authentication => StatusCode::UNAUTHORIZED,
        ProblemKind::Permission => StatusCode::FORBIDDEN,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemKind::RateLimited | ProblemKind::Quota => StatusCode::TOO_MANY_REQUESTS,
        ProblemKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ProblemKind::Upstream => StatusCode::BAD_GATEWAY,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The problem a failure is to its caller. A provider's own 401 or 402 is the operator's fault, never the caller's.
fn kind_of(kind: FailureKind) -> ProblemKind {
    match kind {
        FailureKind::ClientFault | FailureKind::NoTarget => ProblemKind::Invalid,
        FailureKind::TooLong => ProblemKind::ContextLength,
        FailureKind::Refused => ProblemKind::Refused,
        FailureKind::Limited => ProblemKind::RateLimited,
        FailureKind::Quota => ProblemKind::Quota,
        FailureKind::Overloaded | FailureKind::Exhausted => ProblemKind::Overloaded,
        FailureKind::Timeout | FailureKind::Deadline => ProblemKind::Timeout,
        FailureKind::Broken | FailureKind::Misconfigured | FailureKind::Cancelled => ProblemKind::Upstream,
    }
}

/// Fields that every caller may have written and every provider may complain of.
const FIELDS: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "stream",
    "system",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

/// The parameter a provider named is a field like any other: its place says nothing about who was asked.
fn is_everybodys(param: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '[' | ']');
    let field = param.split(['.', '[']).next().unwrap_or_default();
    FIELDS.contains(&field) && param.strip_prefix(field).is_some_and(|place| place.chars().all(plain))
}

/// What a caller in product mode reads: what to do, and nothing about who is behind the endpoint.
fn calm(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Invalid => "this request cannot be served as it is",
        ProblemKind::Authentication => "the key is missing or unknown",
        ProblemKind::Permission => "this is not allowed",
        ProblemKind::NotFound => "there is no such thing here",
        ProblemKind::TooLarge => "the request is too large",
        ProblemKind::ContextLength => "the conversation is longer than can be read; shorten it and try again",
        ProblemKind::Refused => "the request was declined by a content policy",
        ProblemKind::RateLimited => "too many requests right now; try again after the stated wait",
        ProblemKind::Quota => "no capacity is left for now; try again later",
        ProblemKind::Overloaded => "the service is busy; try again in a moment",
        ProblemKind::Timeout => "no answer arrived in time; try again",
        ProblemKind::Upstream | ProblemKind::Internal => "no answer could be produced; try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_round_up_and_are_never_zero() {
        for (wait_ms, seconds, millis) in
            [(0, "1", "1"), (1, "1", "1"), (1_000, "1", "1000"), (1_001, "2", "1001")]
        {
            let mut headers = HeaderMap::new();
            state_wait(&mut headers, Duration::from_millis(wait_ms));
            assert_eq!(headers[RETRY_AFTER], seconds);
            assert_eq!(headers[RETRY_AFTER_MS], millis);
        }
    }

    #[test]
    fn only_common_fields_are_everybodys() {
        for (param, expected) in [
            ("seed", true),
            ("messages[3]", true),
            ("messages.3", true),
            ("messages.3.acme_id", false),
            ("acme_seed", false),
            ("seed acme", false),
            ("", false),
        ] {
            assert_eq!(is_everybodys(param), expected, "{param}");
        }
    }

    #[test]
    fn every_kind_is_an_error_status() {
        for kind in ProblemKind::ALL {
            assert!(status_of(kind).is_client_error() || status_of(kind).is_server_error());
        }
    }
}
