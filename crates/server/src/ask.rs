//! Reads a request as far as HTTP goes: headers within bounds, the caller's key, the whole body.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use std::time::Duration;
use unfail_engine::call::Priority;
use unfail_wire::problem::ProblemKind;

use crate::reply::Reject;
use crate::state::Server;

/// Headers one request may have.
const HEADERS_MAX: usize = 100;
/// Bytes of all header names and values together.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// A body that is too large is read on and thrown away for so many bytes, so that the caller gets to read the
/// answer instead of a reset connection.
const DISCARD_BYTES_MAX: u64 = 256 << 20;
/// … and for so long.
const DISCARD_TIME: Duration = Duration::from_secs(10);
/// How headers of unfail's own begin.
const PREFIX: &str = "x-unfail-";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// Bytes of a name in a header.
const NAME_BYTES_MAX: usize = 128;

/// Headers of unfail's own, as a caller sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// `x-unfail-route`.
    pub(crate) route: Option<String>,
    /// `x-unfail-user`.
    pub(crate) user: Option<String>,
    /// `x-unfail-agent`.
    pub(crate) agent: Option<String>,
    /// `x-unfail-priority`.
    pub(crate) priority: Option<Priority>,
    /// `x-unfail-deadline-ms`.
    pub(crate) deadline: Option<Duration>,
}

/// Checks the head of a request.
///
/// # Errors
/// Too many or too large headers, or a header of ours that makes no sense.
pub(crate) fn wishes(headers: &HeaderMap) -> Result<Wishes, Reject> {
    let (mut bytes, mut ours) = (0, false);
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len();
        ours |= name.as_str().starts_with(PREFIX);
    }
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let message = format!(
            "the request has {} headers of {bytes} bytes; at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes are accepted",
            headers.len()
        );
        return Err(Reject::new(ProblemKind::TooLarge, message).code("headers_too_large"));
    }
    if !ours {
        return Ok(Wishes::default());
    }
    unavailable(headers)?;
    let deadline = match text(headers, "x-unfail-deadline-ms")? {
        None => None,
        Some(value) => Some(deadline(&value)?),
    };
    Ok(Wishes {
        route: text(headers, "x-unfail-route")?,
        user: name(headers, "x-unfail-user")?,
        agent: name(headers, "x-unfail-agent")?,
        priority: priority(headers)?,
        deadline,
    })
}

/// Headers whose promise this version cannot keep: refused, because ignoring them would break it silently.
fn unavailable(headers: &HeaderMap) -> Result<(), Reject> {
    let refuse = |name: &'static str, why: &str| Err(Reject::new(ProblemKind::Invalid, why).param(name));
    if headers.contains_key("x-unfail-data") {
        let why = "data categories are not enforced by this version, so a request that names one is not sent anywhere";
        return refuse("x-unfail-data", why);
    }
    match text(headers, "x-unfail-on-exhausted")?.as_deref() {
        None | Some("error") => Ok(()),
        Some(_) => {
            refuse("x-unfail-on-exhausted", "only `error` is available: this version has no durable queue")
        }
    }
}

fn deadline(value: &str) -> Result<Duration, Reject> {
    match value.trim().parse::<u64>() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => {
            let message = "`x-unfail-deadline-ms` must be a whole number of milliseconds above 0";
            Err(Reject::new(ProblemKind::Invalid, message).param("x-unfail-deadline-ms"))
        }
    }
}

fn priority(headers: &HeaderMap) -> Result<Option<Priority>, Reject> {
    let header = "x-unfail-priority";
    let Some(word) = text(headers, header)? else { return Ok(None) };
    let priority = Priority::named(&word).ok_or_else(|| {
        let message = format!("`{header}` must be `interactive`, `default` or `batch`");
        Reject::new(ProblemKind::Invalid, message).param(header)
    })?;
    Ok(Some(priority))
}

/// A name for the log; an empty one is none.
fn name(headers: &HeaderMap, header: &'static str) -> Result<Option<String>, Reject> {
    let name = text(headers, header)?.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        let message = format!("`{header}` must be at most {NAME_BYTES_MAX} bytes");
        return Err(Reject::new(ProblemKind::Invalid, message).param(header));
    }
    Ok(name)
}

fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Reject> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Reject::new(ProblemKind::Invalid, format!("`{name}` must be plain text")).param(name)),
    }
}

/// The caller's key, from whichever header its SDK uses.
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    let plain = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = plain(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| plain(API_KEY)).or_else(|| plain(GOOG_API_KEY))
}

/// Reads the whole body within the server's limits.
///
/// # Errors
/// Too large, too slow, encoded, or cut short by the caller.
pub(crate) async fn body(server: &Server, parts: &Parts, mut body: Body) -> Result<Bytes, Reject> {
    if parts
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding != HeaderValue::from_static("identity"))
    {
        let message = "compressed request bodies are not accepted; send the body as plain JSON";
        return Err(Reject::new(ProblemKind::Invalid, message).param("content-encoding"));
    }
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let read = tokio::time::timeout(server.body_timeout, gather(&mut body, declared, server.max_body)).await;
    let (code, message) = match read {
        Ok(Ok(whole)) => return Ok(whole),
        Ok(Err(Unread::TooLarge)) => {
            // Who asked whether to send has sent nothing yet.
            if !parts.headers.contains_key(EXPECT) {
                discard(body).await;
            }
            let message = format!("the body is larger than {} bytes (`server.max_body`)", server.max_body);
            return Err(Reject::new(ProblemKind::TooLarge, message).closing());
        }
        Ok(Err(Unread::Short)) => {
            ("incomplete_body", "the body ended before its announced length".to_owned())
        }
        Err(_) => {
            let limit = server.body_timeout;
            ("request_timeout", format!("the body did not arrive within {limit:?} (`server.body_timeout`)"))
        }
    };
    Err(Reject::new(ProblemKind::Invalid, message).code(code).closing())
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    Short,
}

/// All of a body, without a copy when it came in one piece.
async fn gather(body: &mut Body, declared: Option<u64>, max: usize) -> Result<Bytes, Unread> {
    let max = max as u64;
    if declared.is_some_and(|length| length > max) {
        return Err(Unread::TooLarge);
    }
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(data) = data(body).await? {
        if (whole.len() + joined.len() + data.len()) as u64 > max {
            return Err(Unread::TooLarge);
        }
        if whole.is_empty() && joined.is_empty() {
            whole = data;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(usize::try_from(declared.unwrap_or(0)).unwrap_or(0).max(whole.len() + data.len()));
            joined.extend_from_slice(&std::mem::take(&mut whole));
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

/// The next data of a body; `None` at its end.
async fn data(body: &mut Body) -> Result<Option<Bytes>, Unread> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Unread::Short),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on and keeps nothing.
async fn discard(mut body: Body) {
    let reading = async {
        let mut left = DISCARD_BYTES_MAX;
        while let Ok(Some(data)) = data(&mut body).await {
            left = left.saturating_sub(data.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    drop(tokio::time::timeout(DISCARD_TIME, reading).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn every_sdk_finds_its_key_header() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let cases: &[Case] = &[
            (&[("authorization", "Bearer abc")], Some("abc")),
            (&[("authorization", "bearer  abc ")], Some("abc")),
            (&[("x-api-key", "abc")], Some("abc")),
            (&[("x-goog-api-key", "abc")], Some("abc")),
            (&[("authorization", "Basic abc"), ("x-api-key", "def")], Some("def")),
            (&[("authorization", "Bearer")], None),
            (&[], None),
        ];
        for (list, expected) in cases {
            assert_eq!(key(&headers(list)), *expected, "{list:?}");
        }
    }

    #[test]
    fn wishes_are_read_and_nonsense_is_refused() {
        let read =
            wishes(&headers(&[("x-unfail-route", "support"), ("x-unfail-deadline-ms", "1500")])).unwrap();
        assert_eq!(read.route.as_deref(), Some("support"));
        assert_eq!(read.deadline, Some(Duration::from_millis(1500)));
        for wrong in ["", "0", "-1", "1.5", "soon", "99999999999999999999999"] {
            assert!(wishes(&headers(&[("x-unfail-deadline-ms", wrong)])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_short_plain_text() {
        for header in ["x-unfail-user", "x-unfail-agent"] {
            let (most, more) = ("a".repeat(NAME_BYTES_MAX), "a".repeat(NAME_BYTES_MAX + 1));
            for (value, taken) in
                [("ada 7", true), (&most, true), (&more, false), ("Zo\u{eb}", false), ("a\tb", true)]
            {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                let read = wishes(&HeaderMap::from_iter([(header.parse().unwrap(), value.clone())]));
                assert_eq!(read.is_ok(), taken, "{header}: {value:?}");
            }
            assert_eq!(wishes(&headers(&[(header, "")])).unwrap(), Wishes::default());
        }
    }

    #[test]
    fn promises_that_cannot_be_kept_are_refused() {
        for (name, value) in [("x-unfail-data", "medical"), ("x-unfail-on-exhausted", "queue")] {
            assert!(wishes(&headers(&[(name, value)])).is_err(), "{name}");
        }
        assert!(wishes(&headers(&[("x-unfail-on-exhausted", "error")])).is_ok());
    }

    #[test]
    fn a_flood_of_headers_is_refused() {
        let many: HeaderMap = (0..=HEADERS_MAX)
            .map(|n| (format!("x-{n}").parse::<http::HeaderName>().unwrap(), HeaderValue::from_static("1")))
            .collect();
        assert!(wishes(&many).is_err());
        let mut large = HeaderMap::new();
        large.insert("x-large", HeaderValue::from_str(&"a".repeat(HEADER_BYTES_MAX)).unwrap());
        assert!(wishes(&large).is_err());
    }
}
