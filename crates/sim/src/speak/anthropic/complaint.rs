//! Errors of the `anthropic` wire: status, type and words of each.

use serde_json::{Value, json};

use crate::act::Refusal;
use crate::flavour::{Told, header};
use crate::speak::check::{Flaw, Kind};
use crate::speak::voice::{Ask, KeyFault, Plain, Scene};

/// One error, before its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Complaint {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Complaint { status, kind, message: message.into() }
    }

    /// A 400 about the request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Complaint::new(400, "invalid_request_error", message)
    }

    pub(super) fn body(&self, scene: &Scene<'_>) -> Value {
        json!({
            "type": "error",
            "error": {"type": self.kind, "message": self.message, "details": null},
            "request_id": request_id(scene),
        })
    }

    pub(super) fn plain(&self, scene: &Scene<'_>) -> Plain {
        let plain = Plain::json(self.status, &self.body(scene));
        // The vendor tells its SDKs outright which errors are worth another try.
        match self.status {
            429 | 500.. => plain.with([header("x-should-retry", true)]),
            _ => plain.with([header("x-should-retry", false)]),
        }
    }
}

pub(super) fn request_id(scene: &Scene<'_>) -> String {
    format!("req_sim{:08}", scene.serial)
}

/// A flaw in the words of this wire; `within` is the path of the object it stands in.
pub(super) fn flawed(flaw: &Flaw, within: &str) -> Complaint {
    let path = |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
    Complaint::invalid(match flaw {
        Flaw::Unknown(name) => format!("{}: Extra inputs are not permitted", path(name)),
        Flaw::Kind(name, kind) | Flaw::Value(name, kind) => format!("{}: {}", path(name), wanted(*kind)),
    })
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Any => "Field required".to_owned(),
        Kind::Bool => "Input should be a valid boolean".to_owned(),
        Kind::Text => "Input should be a valid string".to_owned(),
        Kind::Int(low, _) => format!("Input should be a valid integer greater than or equal to {low}"),
        Kind::Number(low, high) => format!("Input should be a valid number from {low} to {high}"),
        Kind::List => "Input should be a valid list".to_owned(),
        Kind::Object => "Input should be an object".to_owned(),
        Kind::TextOrList => "Input should be a valid string or a valid list".to_owned(),
        Kind::TextOrObject => "Input should be a valid string or an object".to_owned(),
        Kind::Word(words) => format!("Input should be '{}'", words.join("', '")),
    }
}

pub(super) fn key(fault: KeyFault) -> Complaint {
    let message = match fault {
        KeyFault::Missing => "x-api-key header is required",
        KeyFault::Wrong => "invalid x-api-key",
    };
    Complaint::new(401, "authentication_error", message)
}

/// The vendor's own error for a refusal; none where it answers instead, or where its edge shows a page.
pub(super) fn refused(refusal: Refusal, ask: &Ask) -> Option<Complaint> {
    Some(match refusal {
        Refusal::HtmlBadGateway | Refusal::ContentPolicy => return None,
        Refusal::Overloaded => Complaint::new(529, "overloaded_error", "Overloaded"),
        Refusal::ServerError => Complaint::new(500, "api_error", "Internal server error"),
        Refusal::Unavailable => Complaint::new(503, "api_error", "Service temporarily unavailable"),
        Refusal::ContextTooLong => Complaint::invalid("prompt is too long: 212345 tokens > 200000 maximum"),
        Refusal::Unauthorized => key(KeyFault::Wrong),
        Refusal::PaymentRequired => {
            Complaint::new(402, "billing_error", "There is a problem with your payment method.")
        }
        Refusal::QuotaExhausted => Complaint::invalid(
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
             purchase credits.",
        ),
        Refusal::ModelNotFound => Complaint::new(404, "not_found_error", format!("model: {}", ask.model)),
    })
}

/// A 429 of the request limit. The wait is in headers only.
pub(super) fn limited(told: &Told) -> Complaint {
    let allowed = told.gauge.map_or(50, |gauge| gauge.limit);
    let message =
        format!("This request would exceed your organization's rate limit of {allowed} requests per minute.");
    Complaint::new(429, "rate_limit_error", message)
}
