//! The words of the Messages format that requests, answers and streams share: stop reasons, usage, seals, arguments.
//! Translates single values only and knows no order of events or turns.

use crate::chat::{Effort, Finish, Seal, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Name of the format, of its seals and of its wire.
pub(super) const NAME: &str = "anthropic";

/// Member under which arguments travel that are no JSON object: the format only takes objects.
const RAW_ARGUMENTS: &str = "_raw";

/// The seal of a thinking block; none for an empty signature, which marks reasoning nobody signed.
pub(super) fn signature(data: &str) -> Option<Seal> {
    (!data.is_empty()).then(|| Seal { wire: NAME, redacted: false, data: data.to_owned() })
}

/// The seal of a redacted thinking block.
pub(super) fn redacted(data: &str) -> Seal {
    Seal { wire: NAME, redacted: true, data: data.to_owned() }
}

/// Why an answer ended. A paused turn and reasons unknown today end the answer like any complete one: the hub
/// has no word for "continue upstream", and new reasons must not break old readers.
pub(super) fn finish(stop_reason: &str, stop_sequence: Option<&str>) -> Finish {
    match stop_reason {
        "stop_sequence" => Finish::StopSequence(stop_sequence.map(str::to_owned)),
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// `stop_reason` and `stop_sequence` for an end.
pub(super) fn stop_reason(finish: &Finish) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(text) => ("stop_sequence", text.as_deref()),
        Finish::Length => ("max_tokens", None),
        Finish::ToolCalls => ("tool_use", None),
        Finish::ContentFilter => ("refusal", None),
    }
}

/// The `usage` object as it may stand in an answer or in a stream event; every member may be absent or null.
#[derive(Debug, Deserialize)]
pub(super) struct UsageBody {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

/// Token counts of one answer, gathered from one or several `usage` objects.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    input: u64,
    cache_write: u64,
    cache_read: u64,
    output: u64,
    reasoning: u64,
}

impl Counts {
    /// Takes over what `body` says. Counts are cumulative, so the larger of two is the newer one and an absent
    /// member changes nothing.
    pub(super) fn merge(&mut self, body: &UsageBody) {
        let newer = |old: &mut u64, new: Option<u64>| *old = new.map_or(*old, |new| new.max(*old));
        newer(&mut self.input, body.input_tokens);
        newer(&mut self.cache_write, body.cache_creation_input_tokens);
        newer(&mut self.cache_read, body.cache_read_input_tokens);
        newer(&mut self.output, body.output_tokens);
        newer(&mut self.reasoning, body.output_tokens_details.as_ref().and_then(|d| d.thinking_tokens));
    }

    /// The hub's count, in which cached prompt tokens are part of the input.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input: self.input.saturating_add(self.cache_write).saturating_add(self.cache_read),
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            output: self.output,
            reasoning: self.reasoning,
        }
    }
}

/// The `usage` object for a count.
pub(super) fn usage_body(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": { "thinking_tokens": usage.reasoning },
        "server_tool_use": null,
        "service_tier": null,
    })
}

/// A call's JSON text as the object the format demands: nothing becomes `{}`, what is no object is wrapped.
pub(super) fn input_object(arguments: &str) -> Map<String, Value> {
    if arguments.trim().is_empty() {
        return Map::new();
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(object)) => object,
        _ => Map::from_iter([(RAW_ARGUMENTS.to_owned(), Value::from(arguments))]),
    }
}

/// `output_config.effort` for an effort; the format starts at `low` and has no word for none.
pub(super) fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh => "xhigh",
        Effort::Max => "max",
    }
}

/// The effort `output_config.effort` names.
pub(super) fn effort(word: &str) -> Option<Effort> {
    [Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max]
        .into_iter()
        .find(|effort| effort_word(*effort) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_objects() {
        let cases = [
            ("", "{}"),
            (" \n", "{}"),
            ("{}", "{}"),
            (r#"{"b":1,"a":[null]}"#, r#"{"b":1,"a":[null]}"#),
            ("[1]", r#"{"_raw":"[1]"}"#),
            ("\"x\"", r#"{"_raw":"\"x\""}"#),
            ("{\"a\":", r#"{"_raw":"{\"a\":"}"#),
        ];
        for (arguments, expected) in cases {
            assert_eq!(Value::Object(input_object(arguments)).to_string(), expected, "{arguments}");
        }
    }

    #[test]
    fn stop_reasons_are_there_and_back() {
        for reason in ["end_turn", "max_tokens", "tool_use", "refusal"] {
            assert_eq!(stop_reason(&finish(reason, None)), (reason, None));
        }
        assert_eq!(stop_reason(&finish("stop_sequence", Some("###"))), ("stop_sequence", Some("###")));
        assert_eq!(finish("model_context_window_exceeded", None), Finish::Length);
        assert_eq!(finish("pause_turn", None), Finish::Stop);
        assert_eq!(finish("reason_of_next_year", None), Finish::Stop);
    }

    #[test]
    fn usage_counts_cached_tokens_as_input_and_never_shrinks() {
        let read = |text: &str| serde_json::from_str::<UsageBody>(text).unwrap();
        let mut counts = Counts::default();
        counts.merge(&read(r#"{"input_tokens":12,"cache_read_input_tokens":1024,"output_tokens":1}"#));
        counts.merge(&read(
            r#"{"input_tokens":null,"output_tokens":40,"output_tokens_details":{"thinking_tokens":20}}"#,
        ));
        let usage = Usage { input: 1036, cache_read: 1024, cache_write: 0, output: 40, reasoning: 20 };
        assert_eq!(counts.usage(), usage);
        let mut again = Counts::default();
        again.merge(&serde_json::from_value(usage_body(&usage)).unwrap());
        assert_eq!(again.usage(), usage);
    }

    #[test]
    fn efforts_have_words() {
        assert_eq!(effort("none"), None);
        assert_eq!(effort("xhigh"), Some(Effort::XHigh));
        assert_eq!(effort_word(Effort::Minimal), "low");
    }
}
