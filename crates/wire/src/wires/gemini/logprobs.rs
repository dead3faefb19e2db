//! Log probabilities, between this wire's two parallel lists and the OpenAI shape the hub keeps.

use serde_json::{Value, json};

/// `logprobsResult` in the OpenAI shape; `None` when it holds no tokens.
pub(super) fn to_hub(result: &Value) -> Option<Value> {
    let chosen = result.get("chosenCandidates")?.as_array().filter(|tokens| !tokens.is_empty())?;
    let mut tops = result.get("topCandidates").and_then(Value::as_array).into_iter().flatten();
    let content: Vec<Value> = chosen
        .iter()
        .map(|token| {
            let top = tops.next().and_then(|top| top.get("candidates")).and_then(Value::as_array);
            let top: Vec<Value> = top.into_iter().flatten().map(token_to_hub).collect();
            let mut token = token_to_hub(token);
            if let Some(token) = token.as_object_mut() {
                token.insert("top_logprobs".to_owned(), Value::Array(top));
            }
            token
        })
        .collect();
    Some(json!({ "content": content, "refusal": null }))
}

/// The OpenAI shape as `logprobsResult`; `None` when it holds no tokens.
pub(super) fn from_hub(logprobs: &Value) -> Option<Value> {
    let content = logprobs.get("content")?.as_array().filter(|tokens| !tokens.is_empty())?;
    let chosen: Vec<Value> = content.iter().map(token_from_hub).collect();
    let tops: Vec<Value> = content
        .iter()
        .map(|token| {
            let top = token.get("top_logprobs").and_then(Value::as_array);
            json!({ "candidates": top.into_iter().flatten().map(token_from_hub).collect::<Vec<_>>() })
        })
        .collect();
    Some(json!({ "chosenCandidates": chosen, "topCandidates": tops }))
}

/// Bytes are not reported by this wire; a token that is no whole character cannot be told apart.
fn token_to_hub(token: &Value) -> Value {
    json!({ "token": text(token), "logprob": number(token, "logProbability"), "bytes": null })
}

fn token_from_hub(token: &Value) -> Value {
    json!({ "token": text(token), "logProbability": number(token, "logprob") })
}

fn text(token: &Value) -> &str {
    token.get("token").and_then(Value::as_str).unwrap_or_default()
}

/// An omitted number is zero (proto3): certainty.
fn number(token: &Value, key: &str) -> f64 {
    token.get(key).and_then(Value::as_f64).unwrap_or_default()
}
