//! What a target's quirks and traits make of single facts: the same for a request written from the hub and for a
//! caller's own bytes.

use super::words;
use crate::chat::{Amount, Effort};
use crate::target::{MaxTokens, ReasoningControl, Target, ToolIds, Traits, nearest_effort};
use serde_json::Value;
use std::collections::HashMap;

/// Fields a model refuses that draws tokens its own way.
const SAMPLING: &[&str] = &[
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "stop",
];

/// The top-level fields the target refuses.
pub(super) fn refused<'t>(target: &Target<'t>) -> impl Iterator<Item = &'static str> + use<'t> {
    let sampling = if target.traits.sampling == Some(false) { SAMPLING } else { &[] };
    target.quirks.refused.iter().chain(sampling).copied()
}

/// Whether the target refuses a top-level field.
pub(super) fn is_refused(target: &Target<'_>, field: &str) -> bool {
    refused(target).any(|known| known == field)
}

/// The field that carries the output limit, and the one that does not.
pub(super) fn limit_fields(target: &Target<'_>) -> (&'static str, &'static str) {
    match target.quirks.max_tokens {
        MaxTokens::MaxCompletionTokens => ("max_completion_tokens", "max_tokens"),
        MaxTokens::MaxTokens => ("max_tokens", "max_completion_tokens"),
    }
}

/// The output limit to send: what was asked for, as far as the model goes.
pub(super) fn limit(asked: Option<u64>, target: &Target<'_>) -> Option<u64> {
    let wanted = asked.or(target.quirks.max_tokens_always.then_some(target.default_max_tokens))?;
    Some(wanted.min(target.traits.max_output.unwrap_or(u64::MAX)))
}

/// Smallest budget of each effort, strongest first. The thresholds are those commonly used to translate budgets
/// back into efforts.
const BUDGETS: &[(u64, Effort)] =
    &[(4_096, Effort::High), (2_048, Effort::Medium), (1_024, Effort::Low), (1, Effort::Minimal)];

/// The effort to send, nearest to what was asked for; `None` when nothing was asked or the model takes none. Of a
/// model nobody knows, the very effort that was asked for.
/// `functions` are offered, which some models refuse while they reason.
pub(super) fn effort(asked: Option<Amount>, functions: bool, traits: &Traits) -> Option<Effort> {
    if functions && traits.tools_without_reasoning {
        return Some(Effort::None);
    }
    let wanted = match asked? {
        Amount::Effort(effort) => effort,
        Amount::Tokens(budget) => {
            BUDGETS.iter().find(|(least, _)| budget >= *least).map_or(Effort::None, |(_, effort)| *effort)
        }
    };
    match traits.reasoning {
        ReasoningControl::None => None,
        ReasoningControl::Unknown => Some(wanted),
        ReasoningControl::Effort { least, most } => Some(nearest_effort(wanted, least, most)),
        ReasoningControl::Budget { can_disable, .. } | ReasoningControl::Adaptive { can_disable } => {
            Some(if wanted == Effort::None && !can_disable { Effort::Low } else { wanted })
        }
    }
}

/// Length of ids on wires that allow only one.
const SHORT_ID_LENGTH: usize = 9;
/// Longest id every host takes.
const ID_LENGTH_MAX: usize = 64;

/// Tool-call ids rewritten to what the target allows: the same id always to the same other, within one request.
pub(super) struct Ids {
    rule: ToolIds,
    known: HashMap<String, String>,
}

impl Ids {
    pub(super) fn new(rule: ToolIds) -> Self {
        Self { rule, known: HashMap::new() }
    }

    /// Whether `id` can stay.
    pub(super) fn allows(&self, id: &str) -> bool {
        match self.rule {
            ToolIds::Any => !id.is_empty() && id.len() <= ID_LENGTH_MAX,
            ToolIds::Nine => {
                id.len() == SHORT_ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
        }
    }

    /// What `id` is called at the target.
    pub(super) fn of(&mut self, id: &str) -> String {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        let mut new = if self.allows(id) { id.to_owned() } else { self.made(id, "") };
        let mut round = 0_u32;
        while self.known.values().any(|taken| *taken == new) {
            round += 1;
            new = self.made(id, &round.to_string());
        }
        self.known.insert(id.to_owned(), new.clone());
        new
    }

    fn made(&self, id: &str, round: &str) -> String {
        match self.rule {
            ToolIds::Any => words::call_id(&[id, round]),
            ToolIds::Nine => words::hashed(&[id, round], SHORT_ID_LENGTH),
        }
    }
}

/// Instruction for a model that can only be told "some JSON object".
pub(super) fn schema_instruction(schema: &Value) -> String {
    format!("Answer with one JSON object that matches this JSON Schema, and with nothing else:\n{schema}")
}

/// Instruction for hosts that refuse JSON mode unless the prompt speaks of JSON.
pub(super) const JSON_INSTRUCTION: &str = "Answer with one JSON object and with nothing else.";

/// Reasoning that stands for none where a turn must carry some.
pub(super) const NO_REASONING: &str = " ";

/// Joins texts for a target that takes one string.
pub(super) const TEXT_SEPARATOR: &str = "\n";
