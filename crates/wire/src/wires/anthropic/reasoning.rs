//! How much the model is asked to think: the `thinking` and `effort` members, and the token limit they need.
//!
//! Decides from plain numbers; knows nothing about messages.

use super::words::effort_word;
use crate::chat::{Amount, Effort, Reasoning};
use crate::target::{ReasoningControl, Target, nearest_effort};
use serde_json::{Value, json};

/// Smallest `budget_tokens` the format accepts (platform documentation of extended thinking).
const BUDGET_MIN: u64 = 1_024;

/// What a request says about thinking.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The `thinking` member.
    pub(super) thinking: Option<Value>,
    /// The `output_config.effort` member.
    pub(super) effort: Option<&'static str>,
    /// The `max_tokens` member: what was asked for, raised above a budget, never above the model's own limit.
    pub(super) max_tokens: u64,
    /// The model will think, so that sampling and prefill are refused.
    pub(super) on: bool,
    /// It thinks within a budget, so that forced tools are refused too.
    pub(super) budgeted: bool,
}

/// Plans for a wish. `stuck` says that the conversation stands in the middle of a tool loop whose thinking is lost,
/// from where budgeted thinking cannot continue.
pub(super) fn plan(wish: Option<Reasoning>, asked: Option<u64>, target: &Target<'_>, stuck: bool) -> Plan {
    let limit = target.traits.max_output.unwrap_or(u64::MAX);
    let off = Plan {
        thinking: None,
        effort: None,
        max_tokens: asked.unwrap_or(target.default_max_tokens).clamp(1, limit.max(1)),
        on: false,
        budgeted: false,
    };
    let Some(wish) = wish else { return off };
    let disabled = |can_disable: bool| can_disable.then(|| json!({ "type": "disabled" }));
    match target.traits.reasoning {
        ReasoningControl::None => off,
        // Newer models refuse `disabled`, older ones think only when told to: nothing is right for both.
        ReasoningControl::Unknown if is_none(wish.amount) => off,
        ReasoningControl::Effort { least, most } => {
            let effort = nearest_effort(effort_of(wish.amount), least, most);
            Plan { effort: Some(effort_word(effort)), ..off }
        }
        ReasoningControl::Budget { can_disable, .. } if is_none(wish.amount) => {
            Plan { thinking: disabled(can_disable), ..off }
        }
        ReasoningControl::Budget { .. } if stuck => off,
        ReasoningControl::Budget { min, max, .. } => {
            let least = min.max(BUDGET_MIN);
            let budget = budget_of(wish.amount).clamp(least, max.max(least));
            within(budget, least, limit, off, wish.visible)
        }
        ReasoningControl::Adaptive { can_disable } if is_none(wish.amount) => Plan {
            thinking: disabled(can_disable),
            effort: (!can_disable).then(|| effort_word(Effort::Low)),
            on: !can_disable,
            ..off
        },
        ReasoningControl::Adaptive { .. } | ReasoningControl::Unknown => {
            let display = if wish.visible { "summarized" } else { "omitted" };
            Plan {
                thinking: Some(json!({ "type": "adaptive", "display": display })),
                effort: Some(effort_word(effort_of(wish.amount))),
                on: true,
                ..off
            }
        }
    }
}

/// Thinking within a budget. The limit must exceed the budget and leave room for the answer; a model too small
/// for both keeps the answer.
fn within(budget: u64, least: u64, limit: u64, off: Plan, visible: bool) -> Plan {
    let max_tokens = match off.max_tokens > budget {
        true => off.max_tokens,
        false => budget.saturating_add(off.max_tokens).min(limit),
    };
    let budget = budget.min(max_tokens.saturating_sub(1));
    if budget < least {
        return off;
    }
    let mut thinking = json!({ "type": "enabled", "budget_tokens": budget });
    if let (false, Some(members)) = (visible, thinking.as_object_mut()) {
        members.insert("display".to_owned(), Value::from("omitted"));
    }
    Plan { thinking: Some(thinking), max_tokens, on: true, budgeted: true, ..off }
}

fn is_none(amount: Amount) -> bool {
    matches!(amount, Amount::Effort(Effort::None) | Amount::Tokens(0))
}

/// Budget of a named effort, in tokens. Source: the defaults of the most used gateway, as the translation
/// reference lists them.
fn budget_of(amount: Amount) -> u64 {
    match amount {
        Amount::Tokens(tokens) => tokens,
        Amount::Effort(Effort::None | Effort::Minimal | Effort::Low) => 1_024,
        Amount::Effort(Effort::Medium) => 2_048,
        Amount::Effort(Effort::High) => 4_096,
        Amount::Effort(Effort::XHigh) => 8_192,
        Amount::Effort(Effort::Max) => 16_384,
    }
}

/// The strongest effort whose budget is not above these tokens.
fn effort_of(amount: Amount) -> Effort {
    match amount {
        Amount::Effort(effort) => effort,
        Amount::Tokens(0) => Effort::None,
        Amount::Tokens(..1_024) => Effort::Minimal,
        Amount::Tokens(1_024..2_048) => Effort::Low,
        Amount::Tokens(2_048..4_096) => Effort::Medium,
        Amount::Tokens(4_096..8_192) => Effort::High,
        Amount::Tokens(8_192..16_384) => Effort::XHigh,
        Amount::Tokens(16_384..) => Effort::Max,
    }
}
