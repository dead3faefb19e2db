//! The simulator's own endpoints, for tests that are not written in Rust: set the script, read the calls.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::act::{Act, Script};
use crate::limit::{Limit, Refill, Stated};
use crate::log::{Call, End};

/// Reads a script: `{"acts": [act…], "default": act, "limit": {…}, "accept_keys": [key…]}`, all optional. An act is its
/// text form, or `{"act": text, "say": words}`, or `{"status": n, "headers": {…}, "body": text}`.
pub(crate) fn script(body: &[u8]) -> Result<Script, String> {
    let parsed: Value = serde_json::from_slice(body).map_err(|fault| fault.to_string())?;
    let body = &parsed;
    let object = body.as_object().ok_or("the script is not an object")?;
    let known = ["acts", "default", "limit", "accept_keys"];
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown field `{name}`"));
    }
    let queue = body["acts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let queue = queue.iter().map(act).collect::<Result<VecDeque<_>, _>>()?;
    let default = object.get("default").map_or(Ok(Act::default()), act)?;
    let limit = object.get("limit").filter(|limit| !limit.is_null()).map(limit).transpose()?;
    let keys = object.get("accept_keys").and_then(Value::as_array);
    let accept_keys = keys.map(|keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    Ok(Script { queue, default, limit, accept_keys })
}

fn act(value: &Value) -> Result<Act, String> {
    if let Some(text) = value.as_str() {
        return text.parse().map_err(|fault: crate::act::UnknownAct| fault.to_string());
    }
    if let Some(status) = value["status"].as_u64().and_then(|status| u16::try_from(status).ok()) {
        let headers = value["headers"].as_object().into_iter().flatten();
        let headers =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        let body = value["body"].as_str().unwrap_or_default().to_owned();
        return Ok(Act::Status { status, headers: headers.collect(), body });
    }
    let inner = value.get("act").map_or(Ok(Act::default()), act)?;
    let words = value["say"].as_str().ok_or_else(|| format!("no act: {value}"))?;
    Ok(Act::Say(words.to_owned(), Box::new(inner)))
}

fn limit(value: &Value) -> Result<Limit, String> {
    let number =
        |name: &str| value[name].as_u64().ok_or_else(|| format!("`limit.{name}` is no whole number"));
    let allow = u32::try_from(number("allow")?).map_err(|fault| fault.to_string())?;
    let refill = match value["refill"].as_str().unwrap_or("window") {
        "window" => Refill::Window,
        "bucket" => Refill::Bucket,
        other => return Err(format!("unknown `limit.refill` `{other}`")),
    };
    let stated = match value["stated"].as_str().unwrap_or("seconds") {
        "seconds" => Stated::Seconds,
        "date" => Stated::Date,
        "ms" => Stated::Millis,
        "reset-headers" => Stated::ResetHeaders,
        "nothing" => Stated::Nothing,
        other => return Err(format!("unknown `limit.stated` `{other}`")),
    };
    Ok(Limit { allow, window: Duration::from_millis(number("window_ms")?), refill, stated })
}

/// Calls as JSON; times in milliseconds since the provider started.
pub(crate) fn calls(calls: &[Call]) -> Value {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let one = |call: &Call| {
        json!({
            "number": call.number,
            "connection": call.connection,
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "headers": call.headers.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
            "body": call.body,
            "at_ms": millis(call.at),
            "act": call.act,
            "status": call.status,
            "end": match call.end {
                End::Open => "open",
                End::Sent => "sent",
                End::Broken => "broken",
                End::CallerGone => "caller_gone",
                End::Stopped => "stopped",
            },
            "ended_ms": call.ended.map(millis),
        })
    };
    calls.iter().map(one).collect()
}
