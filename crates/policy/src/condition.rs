//! What is wrong, read from an error answer: machine codes first, then the provider's words, then the status.
//! Providers reuse statuses for unrelated faults (400 may be a bad key, 403 a long prompt, 429 a missing payment),
//! so a status alone is believed last. This module names the condition; `classify` decides what it means.

use regex::{Regex, RegexSet};
use std::sync::LazyLock;
use unfail_wire::error_body::ErrorBody;
use unfail_wire::target::ErrorQuirk;

/// Conditions a provider can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// A short-window limit of requests or tokens, or traffic that grew too fast.
    Rate,
    /// A limit that ends with the day.
    Daily,
    /// A limit that ends with the month.
    Monthly,
    /// One request larger than a whole limit: waiting never helps it, and others still pass.
    Oversize,
    /// Too many calls in flight.
    Concurrent,
    /// Not this account's limit: the provider or the model is full.
    Capacity,
    /// Credit or payment.
    Billing,
    /// A spend cap the provider documents to end with the month.
    SpendCap,
    /// The key is wrong.
    Auth,
    /// The model is unknown, retired, or not for this key or region.
    Missing,
    /// The prompt is too long.
    Context,
    /// The request is wrong.
    Invalid,
    /// The prompt was declined.
    Policy,
    /// The model produced something its own provider rejects.
    Generation,
    /// Anything that may pass.
    Server,
}

/// What is known about an error answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// HTTP status; inside a 200 the one the body repeats, if any.
    pub(crate) status: Option<u16>,
    /// A machine code sent as a header.
    pub(crate) header_code: Option<&'a str>,
    /// The body.
    pub(crate) body: &'a ErrorBody,
    /// How the provider's statuses differ.
    pub(crate) quirk: ErrorQuirk,
}

impl Answer<'_> {
    /// Names the condition. Total: every answer has one.
    pub(crate) fn condition(&self) -> Condition {
        if self.body.flagged {
            return Condition::Policy;
        }
        self.quota().or_else(|| self.coded()).unwrap_or_else(|| self.worded())
    }

    /// Violated quotas say exactly which window is full, whatever the texts say.
    fn quota(&self) -> Option<Condition> {
        let quotas = &self.body.quotas;
        if quotas.is_empty() {
            None
        } else if self.body.message.contains("limit: 0,") {
            // This tier does not include the model at all.
            Some(Condition::Missing)
        } else if quotas.iter().any(|quota| quota.contains("PerDay")) {
            Some(Condition::Daily)
        } else {
            Some(Condition::Rate)
        }
    }

    fn coded(&self) -> Option<Condition> {
        let codes = self.header_code.into_iter().chain(self.body.codes.iter().map(String::as_str));
        codes.filter_map(|code| look_up(CODES, code)).map(|found| self.sharpened(found)).next()
    }

    /// Some vendors use one rate-limit code for everything their limits can mean and tell the rest in words.
    fn sharpened(&self, found: Condition) -> Condition {
        let Some(words) = self.words() else { return found };
        let sharper = match found {
            Condition::Rate => matches!(
                words,
                Condition::Oversize
                    | Condition::Daily
                    | Condition::Monthly
                    | Condition::Concurrent
                    | Condition::Billing
            ),
            // "Permission denied" may be said of a key that was blocked, or of a bill.
            Condition::Missing if self.status == Some(403) => {
                matches!(words, Condition::Auth | Condition::Billing)
            }
            _ => false,
        };
        if sharper { words } else { found }
    }

    fn worded(&self) -> Condition {
        let words = self.words().filter(|&words| self.believable(words));
        let certain = matches!(words, Some(Condition::Billing | Condition::Daily | Condition::Monthly));
        if self.quirk == ErrorQuirk::BareLimitMeansOverload && self.status == Some(429) && !certain {
            return Condition::Capacity;
        }
        words
            .or_else(|| self.unnamed_model())
            .or_else(|| self.weakly_coded())
            .unwrap_or_else(|| self.by_status())
    }

    fn words(&self) -> Option<Condition> {
        static SET: LazyLock<Option<RegexSet>> =
            LazyLock::new(|| RegexSet::new(TEXTS.iter().map(|(_, pattern)| format!("(?i){pattern}"))).ok());
        let first = SET.as_ref()?.matches(&self.body.message).iter().next()?;
        TEXTS.get(first).map(|(condition, _)| *condition)
    }

    /// Error texts may quote the prompt or speak of another server's trouble, so words that contradict the status
    /// are not believed: a server fault says nothing about the key, and a rejected request nothing about load.
    fn believable(&self, words: Condition) -> bool {
        match self.status {
            Some(500..=599) => matches!(words, Condition::Capacity | Condition::Context),
            Some(400 | 404 | 422) => {
                !matches!(words, Condition::Rate | Condition::Concurrent | Condition::Capacity)
            }
            _ => true,
        }
    }

    fn unnamed_model(&self) -> Option<Condition> {
        static MODEL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(MISSING_MODEL).ok());
        let rejected = matches!(self.status, Some(400 | 403 | 404 | 422) | None);
        (rejected && MODEL.as_ref()?.is_match(&self.body.message)).then_some(Condition::Missing)
    }

    fn weakly_coded(&self) -> Option<Condition> {
        let vague = matches!(self.status, Some(400) | None);
        let mut codes = self.body.codes.iter();
        vague.then(|| codes.find_map(|code| look_up(WEAK_CODES, code)))?
    }

    fn by_status(&self) -> Condition {
        match self.status.unwrap_or_default() {
            401 => Condition::Auth,
            402 => Condition::Billing,
            403 if self.quirk == ErrorQuirk::ForbiddenMeansTooLong && !self.speaks_of_permission() => {
                Condition::Context
            }
            // A redirect means the base URL is wrong; 407 and 451 are the operator's business as well.
            300..=399 | 403 | 404 | 407 | 410 | 451 => Condition::Missing,
            408 | 409 | 423..=425 | 499 => Condition::Server,
            413 => Condition::Context,
            429 => Condition::Rate,
            498 | 529 => Condition::Capacity,
            400..=497 => Condition::Invalid,
            _ => Condition::Server,
        }
    }

    fn speaks_of_permission(&self) -> bool {
        let words = self.body.message.to_ascii_lowercase();
        ["permission", "access", "not allowed", "forbidden", "denied"].iter().any(|word| words.contains(word))
    }
}

fn look_up(table: &[(Condition, &str)], code: &str) -> Option<Condition> {
    // A code may carry a namespace after a colon (`ThrottlingException:http://…`), and one code contains a colon.
    let short = code.split(':').next().unwrap_or(code);
    let is = |known: &str| known == code || known == short;
    table.iter().find(|(_, codes)| codes.split_whitespace().any(is)).map(|(condition, _)| *condition)
}

/// Machine codes, types and reasons that mean one thing wherever they stand. Source: the vendors' error pages and
/// SDKs as of November 2026.
const CODES: &[(Condition, &str)] = &[
    (
        Condition::Billing,
        "insufficient_quota credit_balance_exhausted project_spend_limit_exceeded \
         organization_spend_limit_exceeded organization_usage_limit_exceeded contract_spend_limit_reached \
         billing_hard_limit_reached billing_not_active billing_error BILLING_DISABLED PRECONDITION_FAILED \
         personal-team-blocked:spending-limit payment_required credit_limit organization_on_hold \
         organization_restricted exceeded_current_quota_error 1113 1308 1309 1310 1311 1313 1314 1315 1316 1317 \
         1318 1319 1320 1321",
    ),
    (Condition::SpendCap, "enforced_spend_limit_reached blocked_api_access"),
    (Condition::Oversize, "weight_exceeds_budget"),
    (Condition::Concurrent, "in_flight_budget_exhausted"),
    (Condition::Daily, "free-usage-exhausted"),
    (
        Condition::Rate,
        "rate_limit_exceeded rate_limit_error rate_limited rate_limit_reached_error RateLimitReached \
         token_quota_exceeded request_quota_exceeded dynamic_request_limited dynamic_token_limited \
         ramp_limit_exceeded slow_down ThrottlingException 1300 1302",
    ),
    (
        Condition::Capacity,
        "overloaded_error overloaded server_is_overloaded queue_exceeded capacity_exceeded capacity_exhausted \
         service_tier_capacity_exceeded provider_overloaded temporarily_unavailable flex_unavailable \
         resource_unavailable insufficient_system_resource ModelNotReadyException ServiceUnavailableException \
         3505 1305",
    ),
    (
        Condition::Context,
        "context_length_exceeded token_limit_exceeded request_too_large payload_too_large 3051",
    ),
    (
        Condition::Policy,
        "content_filter content_policy_violation ResponsibleAIPolicyViolation moderation_blocked invalid_prompt \
         cyber_policy bio_policy refusal",
    ),
    (
        Condition::Auth,
        "invalid_api_key wrong_api_key API_KEY_INVALID authentication_error authentication UNAUTHENTICATED \
         ExpiredTokenException UnrecognizedClientException InvalidSignatureException InvalidTokenError",
    ),
    (
        Condition::Missing,
        "model_not_found model_decommissioned model_not_available model_deprecated model_unavailable_upstream \
         invalid_model unknown_model no_endpoints privacy_restricted constraint_filtered free_variant_ended \
         DeploymentNotFound ResourceNotFound ResourceNotFoundException NotFoundError NOT_FOUND not_found_error \
         permission_error permissions_error permission_denied PERMISSION_DENIED PermissionDenied \
         AccessDeniedException SERVICE_DISABLED region_restricted unsupported_country_region_territory \
         request_forbidden 1500",
    ),
    (
        Condition::Invalid,
        "unsupported_parameter unsupported_value unknown_parameter invalid_value missing_required_parameter \
         invalid_function_parameters invalid_encrypted_content",
    ),
    (Condition::Generation, "tool_use_failed json_validate_failed model_error ModelErrorException"),
    (Condition::Server, "provider_unavailable timeout_error conflict_error ModelTimeoutException"),
];

/// Codes so general that the words beside them are believed first; used where no status says more.
const WEAK_CODES: &[(Condition, &str)] = &[
    (Condition::Missing, "FAILED_PRECONDITION"),
    (Condition::Invalid, "invalid_request_error INVALID_ARGUMENT BadRequestError"),
    (Condition::Server, "api_error server_error INTERNAL UNAVAILABLE DEADLINE_EXCEEDED"),
];

/// Words that mean one thing, tried in this order, without regard to case; the first that matches wins.
const TEXTS: &[(Condition, &str)] = &[
    (Condition::Oversize, "request too large for"),
    (
        Condition::Auth,
        "(invalid|incorrect|no|missing|wrong).{0,20}api.?(key|token)|api[ _]key[ _]not[ _]valid|API_KEY_INVALID|\
         unauthori[sz]ed|authentication|reported as leaked",
    ),
    (
        Condition::Policy,
        "content[_ ]?(filter|policy)|content management policy|ResponsibleAIPolicyViolation|usage guidelines|\
         content exists risk|moderation|safety system",
    ),
    (
        Condition::Billing,
        "insufficient.?(quota|balance|credit|funds)|credit balance|credits? (are |is )?(depleted|exhausted)|\
         used all available credits|any credits or licenses|spend(ing)?[ _-]limit|api usage limits|billing_|\
         maximum billing|payment required|prepayment|prepaid|is suspended|budget limit exceeded",
    ),
    (
        Condition::Context,
        "context[_ ]length[_ ]exceeded|maximum context length|context window|\
         exceeds? .{0,20}context (length|limit|size)|prompt is too long|input is too long|\
         input token count .{0,40}exceeds|maximum prompt length|exceeds the available context|\
         max_tokens.{0,3} exceed context|max_new_tokens.{0,3} must be <=|reduce the length|\
         current length is [0-9]+ while limit is|size limit exceeded by [0-9]+ token|too many tokens:",
    ),
    (Condition::Monthly, "per month|calls / month"),
    (Condition::Daily, "per day|[(](RPD|TPD)[)]|PerDay"),
    (
        Condition::Capacity,
        "overload|(over|at) capacity|capacity[_ ]exceeded|high demand|high traffic|server busy|queue[_ ]exceeded|\
         temporarily unable|currently unavailable|unable to process your request",
    ),
    (Condition::Concurrent, "concurren(t|cy)"),
    (
        Condition::Rate,
        "per (minute|second)|[(](RPM|TPM|ITPM|OTPM)[)]|PerMinute|rate.?limit|too many (requests|tokens)|throttl|\
         / ?minute",
    ),
];

const MISSING_MODEL: &str = "(?i)model (identifier is invalid|not exist)|model .{0,200}(does not exist|not found)|\
                             extra usage is required for long context";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        for (_, pattern) in TEXTS {
            assert!(Regex::new(pattern).is_ok(), "{pattern}");
            assert!(!pattern.contains('\n'), "{pattern}");
        }
        assert!(Regex::new(MISSING_MODEL).is_ok());
    }

    #[test]
    fn no_code_means_two_things() {
        let mut seen = std::collections::HashSet::new();
        for code in CODES.iter().chain(WEAK_CODES).flat_map(|(_, codes)| codes.split_whitespace()) {
            assert!(seen.insert(code), "{code} stands twice");
        }
    }

    #[test]
    fn every_status_has_a_condition() {
        for status in 0..=u16::MAX {
            for quirk in
                [ErrorQuirk::None, ErrorQuirk::ForbiddenMeansTooLong, ErrorQuirk::BareLimitMeansOverload]
            {
                let body = ErrorBody::default();
                let answer = Answer { status: Some(status), header_code: None, body: &body, quirk };
                let found = answer.condition();
                let expected = match (status, quirk) {
                    (403, ErrorQuirk::ForbiddenMeansTooLong) => Condition::Context,
                    (429, ErrorQuirk::BareLimitMeansOverload) => Condition::Capacity,
                    (401, _) => Condition::Auth,
                    (402, _) => Condition::Billing,
                    (300..=399 | 403 | 404 | 407 | 410 | 451, _) => Condition::Missing,
                    (413, _) => Condition::Context,
                    (429, _) => Condition::Rate,
                    (498 | 529, _) => Condition::Capacity,
                    (408 | 409 | 423 | 424 | 425 | 499, _) => Condition::Server,
                    (400..=499, _) => Condition::Invalid,
                    _ => Condition::Server,
                };
                assert_eq!(found, expected, "{status} {quirk:?}");
            }
        }
    }
}
