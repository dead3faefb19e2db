//! Errors of the `gemini` wire: HTTP code, status name, words and details of each.

use serde_json::{Value, json};

use crate::act::Refusal;
use crate::clock::decimal_seconds;
use crate::flavour::Told;
use crate::speak::check::{Flaw, Kind};
use crate::speak::voice::{Ask, KeyFault, Plain};

/// One error, before its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    code: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Complaint {
    pub(super) fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Complaint { code, status, message: message.into(), details: Vec::new() }
    }

    /// A 400 about the request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Complaint::new(400, "INVALID_ARGUMENT", message)
    }

    fn detail(mut self, kind: &str, mut detail: Value) -> Self {
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("@type".to_owned(), json!(format!("type.googleapis.com/google.rpc.{kind}")));
        }
        self.details.push(detail);
        self
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if let Some(fields) = error.as_object_mut().filter(|_| !self.details.is_empty()) {
            fields.insert("details".to_owned(), json!(self.details));
        }
        json!({ "error": error })
    }

    /// Wrapped in an array where the answer would have been one.
    pub(super) fn plain(&self, in_array: bool) -> Plain {
        let body = self.body();
        Plain::json(self.code, &if in_array { json!([body]) } else { body })
    }
}

/// A flaw in the words of this wire; `within` is the path of the object it stands in.
pub(super) fn flawed(flaw: &Flaw, within: &str) -> Complaint {
    let place = if within.is_empty() { String::new() } else { format!(" at '{within}'") };
    let path = |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
    match flaw {
        Flaw::Unknown(name) => {
            let message =
                format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.");
            let violation = json!({"field": within, "description": message});
            Complaint::invalid(message).detail("BadRequest", json!({"fieldViolations": [violation]}))
        }
        Flaw::Kind(name, kind) => {
            Complaint::invalid(format!("Invalid value at '{}' ({})", path(name), wanted(*kind)))
        }
        Flaw::Value(name, kind) => {
            let message = format!("* GenerateContentRequest.{}: value must be {}", path(name), wanted(*kind));
            Complaint::invalid(message)
        }
    }
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Any => "a value".to_owned(),
        Kind::Bool => "TYPE_BOOL".to_owned(),
        Kind::Text | Kind::TextOrList | Kind::TextOrObject => "TYPE_STRING".to_owned(),
        Kind::Int(low, high) => format!("TYPE_INT32 from {low} to {high}"),
        Kind::Number(low, high) => format!("TYPE_FLOAT from {low} to {high}"),
        Kind::List => "a list".to_owned(),
        Kind::Object => "an object".to_owned(),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
    }
}

pub(super) fn key(fault: KeyFault) -> Complaint {
    match fault {
        KeyFault::Missing => Complaint::new(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or \
             other form of API consumer identity to call this API.",
        ),
        KeyFault::Wrong => Complaint::invalid("API key not valid. Please pass a valid API key.").detail(
            "ErrorInfo",
            json!({
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }),
        ),
    }
}

/// The vendor's own error for a refusal; none where it answers instead, or where its edge shows a page.
pub(super) fn refused(refusal: Refusal, ask: &Ask) -> Option<Complaint> {
    let model = &ask.model;
    Some(match refusal {
        Refusal::HtmlBadGateway | Refusal::ContentPolicy => return None,
        Refusal::Overloaded => {
            Complaint::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        Refusal::ServerError => Complaint::new(500, "INTERNAL", "An internal error has occurred."),
        Refusal::Unavailable => Complaint::new(
            503,
            "UNAVAILABLE",
            "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try again \
             later.",
        ),
        Refusal::ContextTooLong => Complaint::invalid(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        Refusal::Unauthorized => key(KeyFault::Wrong),
        Refusal::PaymentRequired => {
            Complaint::new(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.")
        }
        Refusal::QuotaExhausted => quota(model, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", 20),
        Refusal::ModelNotFound => Complaint::new(
            404,
            "NOT_FOUND",
            format!(
                "models/{model} is not found for API version v1beta, or is not supported for generateContent."
            ),
        ),
    })
}

fn quota(model: &str, id: &str, allowed: u32) -> Complaint {
    let metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    let message = format!(
        "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: \
         {metric}, limit: {allowed}, model: {model}"
    );
    let violation = json!({
        "quotaMetric": metric,
        "quotaId": id,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": allowed.to_string(),
    });
    Complaint::new(429, "RESOURCE_EXHAUSTED", message)
        .detail("QuotaFailure", json!({"violations": [violation]}))
}

/// A 429 of the request limit. The body is the vendor's only place for the wait.
pub(super) fn limited(told: &Told, ask: &Ask) -> Complaint {
    let allowed = told.gauge.map_or(10, |gauge| gauge.limit);
    let mut complaint = quota(&ask.model, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", allowed);
    let Some(wait) = told.in_body() else { return complaint };
    let seconds = decimal_seconds(wait);
    complaint.message.push_str(&format!("\nPlease retry in {seconds}s."));
    complaint.detail("RetryInfo", json!({"retryDelay": format!("{seconds}s")}))
}
