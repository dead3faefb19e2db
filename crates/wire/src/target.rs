//! What a renderer must know about the target it writes for. Plain data: the catalog fills it, wires read it.

use crate::chat::Effort;

/// The target of one request.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Model name as the provider knows it.
    pub model: &'a str,
    /// How this provider's version of the wire differs.
    pub quirks: &'a Quirks,
    /// What the model can do.
    pub traits: &'a Traits,
    /// Output limit when the caller gave none; some wires require one.
    pub default_max_tokens: u64,
}

/// How one provider's version of a wire differs from the wire. Closed: a difference that does not fit is a new
/// field here, never a test for a provider's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Field that carries the output limit.
    pub max_tokens: MaxTokens,
    /// An output limit must always be sent, or admission control charges the whole window.
    pub max_tokens_always: bool,
    /// How a stream is asked for its usage.
    pub stream_usage: StreamUsage,
    /// Field in which reasoning text is sent back in the history.
    pub reasoning_history: ReasoningHistory,
    /// `developer` is understood as a role (else it is sent as `system`).
    pub developer_role: bool,
    /// How a JSON schema for the answer is sent.
    pub json_schema: JsonMode,
    /// Content must be one string, not a list of text parts.
    pub flat_text: bool,
    /// What tool-call ids may look like.
    pub tool_ids: ToolIds,
    /// Name of the seed field; `None` where there is none.
    pub seed: Option<&'static str>,
    /// `stop` must be a list.
    pub stop_list: bool,
    /// `strict` inside tools is refused.
    pub no_strict_tools: bool,
    /// `name` on messages is refused.
    pub no_names: bool,
    /// Top-level fields that are refused, in the wire's spelling.
    pub refused: &'static [&'static str],
    /// How error statuses differ.
    pub errors: ErrorQuirk,
}

impl Quirks {
    /// The wire as its inventor serves it.
    pub const NONE: Self = Self {
        max_tokens: MaxTokens::MaxCompletionTokens,
        max_tokens_always: false,
        stream_usage: StreamUsage::Ask,
        reasoning_history: ReasoningHistory::Drop,
        developer_role: true,
        json_schema: JsonMode::Schema,
        flat_text: false,
        tool_ids: ToolIds::Any,
        seed: Some("seed"),
        stop_list: false,
        no_strict_tools: false,
        no_names: false,
        refused: &[],
        errors: ErrorQuirk::None,
    };
}

/// Field that carries the output limit on OpenAI-style wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokens {
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// `max_tokens`.
    MaxTokens,
}

/// How a stream is asked for its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// `stream_options.include_usage`.
    Ask,
    /// It always comes; the field is refused.
    Always,
}

/// Field in which reasoning text is sent back in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningHistory {
    /// Not at all.
    Drop,
    /// `reasoning`.
    Reasoning,
    /// `reasoning_content`, and every assistant turn with tool calls must carry it.
    ReasoningContentRequired,
}

/// How a JSON schema for the answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonMode {
    /// As a schema.
    Schema,
    /// Only "some JSON object": the schema goes into the instructions.
    Object,
}

/// What tool-call ids may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolIds {
    /// Anything short.
    Any,
    /// Exactly nine letters or digits.
    Nine,
}

/// Statuses that mean something else than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorQuirk {
    /// Nothing special.
    None,
    /// 403 means the prompt is too long unless the text speaks of permission.
    ForbiddenMeansTooLong,
    /// 429 without details means shared capacity, not this account's quota.
    BareLimitMeansOverload,
}

/// What a model can do. `None` means unknown: the model is then tried, not skipped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// Tokens of prompt and answer together.
    pub context: Option<u64>,
    /// Tokens of prompt alone, where it is smaller.
    pub max_input: Option<u64>,
    /// Tokens of answer.
    pub max_output: Option<u64>,
    /// Calls functions.
    pub tools: Option<bool>,
    /// Can be forced to call one.
    pub forced_tool: Option<bool>,
    /// Answers in a given JSON schema.
    pub json_schema: Option<bool>,
    /// Reads pictures.
    pub images: Option<bool>,
    /// Reads sound.
    pub audio: Option<bool>,
    /// Reads PDF documents.
    pub files: Option<bool>,
    /// Accepts temperature and friends.
    pub sampling: Option<bool>,
    /// Continues an assistant turn left open.
    pub prefill: Option<bool>,
    /// How reasoning is controlled.
    pub reasoning: ReasoningControl,
    /// Functions are refused while the model reasons: whoever offers functions must send the effort `none`.
    pub tools_without_reasoning: bool,
}

/// How a model's reasoning is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningControl {
    /// Nobody knows: what a caller says passes as it came, and where it is translated it is said in the form most
    /// models of the wire take.
    #[default]
    Unknown,
    /// It does not reason; the field is left out.
    None,
    /// By a named effort.
    Effort {
        /// Weakest effort accepted.
        least: Effort,
        /// Strongest effort accepted.
        most: Effort,
    },
    /// By a token budget within these bounds; `can_disable` when 0 is allowed.
    Budget {
        /// Smallest budget.
        min: u64,
        /// Largest budget.
        max: u64,
        /// Reasoning can be off.
        can_disable: bool,
    },
    /// Decides itself how much; an effort may be given; `can_disable` when it can be off.
    Adaptive {
        /// Reasoning can be off.
        can_disable: bool,
    },
}

/// The effort to ask for, nearest to `wanted`, of a model that takes those from `least` to `most`. A model that can
/// be told not to reason at all has no `minimal`: its weakest is `low`.
#[must_use]
pub fn nearest_effort(wanted: Effort, least: Effort, most: Effort) -> Effort {
    match wanted {
        Effort::Minimal if least == Effort::None => Effort::Low.min(most),
        wanted => wanted.clamp(least, most.max(least)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_fit_their_model() {
        use Effort::{High, Low, Max, Medium, Minimal, None, XHigh};
        for (wanted, least, most, expected) in [
            (Medium, None, Max, Medium),
            (None, None, High, None),
            (Minimal, None, XHigh, Low),
            (Minimal, None, None, None),
            (Minimal, Minimal, High, Minimal),
            (None, Minimal, High, Minimal),
            (Minimal, Low, High, Low),
            (Max, None, High, High),
            (Low, Medium, Medium, Medium),
            (Low, High, Medium, High),
        ] {
            assert_eq!(nearest_effort(wanted, least, most), expected, "{wanted:?} in {least:?}..={most:?}");
        }
    }
}
