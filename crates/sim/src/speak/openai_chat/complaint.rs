//! Errors of the `openai-chat` wire: status, type, code, parameter and words of each.

use serde_json::{Value, json};

use crate::act::Refusal;
use crate::clock::go_duration;
use crate::flavour::{Envelope, Told};
use crate::speak::check::{Flaw, Kind};
use crate::speak::voice::{Ask, KeyFault, Plain, Scene};

/// One error, before its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
}

impl Complaint {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Complaint { status, kind, code: None, param: None, message: message.into() }
    }

    /// A 400 about the request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Complaint::new(400, "invalid_request_error", message)
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn body(&self, envelope: Envelope) -> Value {
        let inner =
            json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.code});
        match envelope {
            Envelope::Wrapped => json!({ "error": inner }),
            Envelope::Flat => inner,
        }
    }

    pub(super) fn plain(&self, scene: &Scene<'_>) -> Plain {
        Plain::json(self.status, &self.body(scene.flavour.envelope))
    }
}

/// A flaw in the words of this wire; `within` is the path of the object it stands in.
pub(super) fn flawed(flaw: &Flaw, within: &str) -> Complaint {
    let path = |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
    match flaw {
        Flaw::Unknown(name) => {
            let at = path(name);
            Complaint::invalid(format!("Unknown parameter: '{at}'.")).code("unknown_parameter").at(at)
        }
        Flaw::Kind(name, kind) => {
            let at = path(name);
            let message = format!("Invalid type for '{at}': expected {}.", wanted(*kind));
            Complaint::invalid(message).code("invalid_type").at(at)
        }
        Flaw::Value(name, kind) => {
            let at = path(name);
            let message = format!("Invalid value for '{at}': expected {}.", wanted(*kind));
            Complaint::invalid(message).code("invalid_value").at(at)
        }
    }
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Any => "a value".to_owned(),
        Kind::Bool => "a boolean".to_owned(),
        Kind::Text => "a string".to_owned(),
        Kind::Int(low, high) => format!("an integer from {low} to {high}"),
        Kind::Number(low, high) => format!("a number from {low} to {high}"),
        Kind::List => "an array".to_owned(),
        Kind::Object => "an object".to_owned(),
        Kind::TextOrList => "a string or an array".to_owned(),
        Kind::TextOrObject => "a string or an object".to_owned(),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
    }
}

pub(super) fn key(fault: KeyFault) -> Complaint {
    let message = match fault {
        KeyFault::Missing => "You didn't provide an API key in an Authorization header using Bearer auth.",
        KeyFault::Wrong => "Incorrect API key provided.",
    };
    Complaint::new(401, "invalid_request_error", message).code("invalid_api_key")
}

/// The vendor's own error for a refusal; none for the page of its edge, which is no JSON.
pub(super) fn refused(refusal: Refusal, ask: &Ask) -> Option<Complaint> {
    let model = &ask.model;
    Some(match refusal {
        Refusal::HtmlBadGateway => return None,
        Refusal::Overloaded => Complaint::new(
            503,
            "service_unavailable_error",
            "Our servers are currently overloaded. Please try again later.",
        )
        .code("server_is_overloaded"),
        Refusal::ServerError => {
            Complaint::new(500, "server_error", "The server had an error while processing your request.")
        }
        Refusal::Unavailable => {
            Complaint::new(503, "server_error", "The engine is currently overloaded, please try again later.")
        }
        Refusal::ContextTooLong => Complaint::invalid(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 \
             tokens. Please reduce the length of the messages.",
        )
        .code("context_length_exceeded")
        .at("messages"),
        Refusal::ContentPolicy => {
            Complaint::invalid("Your request was rejected as a result of our safety system.")
                .code("content_policy_violation")
        }
        Refusal::Unauthorized => key(KeyFault::Wrong),
        Refusal::PaymentRequired => {
            Complaint::new(402, "unknown_error", "Insufficient Balance").code("invalid_request_error")
        }
        Refusal::QuotaExhausted => Complaint::new(
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        )
        .code("insufficient_quota"),
        Refusal::ModelNotFound => Complaint::new(
            404,
            "invalid_request_error",
            format!("The model `{model}` does not exist or you do not have access to it."),
        )
        .code("model_not_found"),
    })
}

/// A 429 of the request limit.
pub(super) fn limited(told: &Told, ask: &Ask) -> Complaint {
    let allowed = told.gauge.map_or(60, |gauge| gauge.limit);
    let wait = told.in_words().map(|wait| format!(" Please try again in {}.", go_duration(wait)));
    let message = format!(
        "Rate limit reached for {} in organization org-sim on requests per min (RPM): Limit {allowed}, Used \
         {allowed}, Requested 1.{}",
        ask.model,
        wait.unwrap_or_default()
    );
    Complaint::new(429, "requests", message).code("rate_limit_exceeded")
}
