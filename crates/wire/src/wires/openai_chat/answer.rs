//! The words of an answer, whole or in chunks, as every known host spells them, borrowed from the text.
//!
//! Only reads; what the parts mean as a whole is for `response` and `stream` to say.

use super::lenient::{Content, Count, Fill, List, Object, Slot, Text, Truth};
use crate::chat::Usage;
use crate::error_body::ErrorBody;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A whole answer or one chunk of a streamed one.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) id: Text<'a>,
    pub(super) model: Text<'a>,
    pub(super) object: Text<'a>,
    pub(super) created: Count,
    /// `None` when the member is missing or null.
    pub(super) choices: Option<Vec<Choice<'a>>>,
    usage: Option<Box<Counters>>,
    /// What a host's own extension counted besides.
    extra: Option<Box<Counters>>,
    /// An error stands beside or instead of the answer.
    pub(super) error: bool,
}

/// One alternative.
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    pub(super) index: Count,
    pub(super) message: Option<Said<'a>>,
    pub(super) delta: Option<Said<'a>>,
    pub(super) finish_reason: Option<Text<'a>>,
    pub(super) logprobs: Option<Value>,
    pub(super) error: Truth,
}

impl<'a> Choice<'a> {
    /// What it says, by whichever name.
    pub(super) fn said(&self) -> Option<&Said<'a>> {
        self.message.as_ref().or(self.delta.as_ref())
    }
}

/// A message or a delta.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) content: Content<'a>,
    reasoning: Text<'a>,
    reasoning_content: Text<'a>,
    pub(super) refusal: Text<'a>,
    tool_calls: Option<Vec<Call<'a>>>,
    function_call: Option<Function<'a>>,
}

impl<'a> Said<'a> {
    /// Nothing is said and nothing is called.
    pub(super) fn is_empty(&self) -> bool {
        self.reasoning().is_empty()
            && self.content.is_empty()
            && self.refusal.0.is_empty()
            && self.tool_calls.as_ref().is_none_or(Vec::is_empty)
            && self.function_call.is_none()
    }

    /// The reasoning: hosts use one of two members, or both for the same text.
    pub(super) fn reasoning(&self) -> &str {
        if self.reasoning_content.0.is_empty() { &self.reasoning.0 } else { &self.reasoning_content.0 }
    }

    /// Takes the calls out, the old kind included.
    pub(super) fn calls(&mut self) -> Vec<Call<'a>> {
        let mut calls = self.tool_calls.take().unwrap_or_default();
        let old = self.function_call.take();
        calls.extend(old.map(|function| Call {
            index: Count(Some(0)),
            function: Some(function),
            ..Call::default()
        }));
        calls
    }
}

/// A call or a piece of one.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    pub(super) index: Count,
    pub(super) id: Text<'a>,
    pub(super) function: Option<Function<'a>>,
}

impl Call<'_> {
    /// The id, unless it is one of the stand-ins for none.
    pub(super) fn id(&self) -> &str {
        if self.id.0 == "null" { "" } else { &self.id.0 }
    }
}

/// What is called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'a> Function<'a> {
    /// The JSON text of the arguments; some hosts send the object itself.
    pub(super) fn arguments(&self) -> Cow<'a, str> {
        match self.arguments.map_or("", RawValue::get) {
            "" | "null" => Cow::Borrowed(""),
            text if text.starts_with('"') => serde_json::from_str::<Text<'a>>(text).unwrap_or_default().0,
            object => serde_json::from_str::<Value>(object).unwrap_or_default().to_string().into(),
        }
    }
}

/// Log probabilities, where they have the shape of this format.
pub(super) fn logprobs(found: Option<Value>) -> Option<Value> {
    let lists = ["content", "refusal"].map(|key| (key, found.as_ref().and_then(|found| found.get(key))));
    if lists.iter().all(|(_, list)| list.is_none_or(Value::is_null)) {
        return None;
    }
    let kept = lists.map(|(key, list)| (key.to_owned(), list.map_or(Value::Null, tokens)));
    Some(Value::Object(kept.into_iter().collect()))
}

/// Members of a token that every caller knows. Whatever else a host adds may name it.
const TOKEN: &[&str] = &["token", "logprob", "bytes", "top_logprobs"];

/// A list of tokens, with nothing else in it; `null` for what is no list.
fn tokens(list: &Value) -> Value {
    let Some(list) = list.as_array() else { return Value::Null };
    let member = |(key, value): (&String, &Value)| {
        let value = if key == "top_logprobs" { tokens(value) } else { value.clone() };
        TOKEN.contains(&key.as_str()).then(|| (key.clone(), value))
    };
    let token = |token: &Value| -> Value {
        Value::Object(token.as_object().into_iter().flatten().filter_map(member).collect())
    };
    list.iter().map(token).collect()
}

// === usage ===

/// Counters under every name they have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    prompt_cache_hit_tokens: Count,
    num_cached_tokens: Count,
    dram_cached_tokens: Count,
    sram_cached_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    reasoning_tokens: Count,
}

impl Counters {
    /// Into the hub; `None` when nothing was counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (prompt, completion) = (self.prompt_tokens.0, self.completion_tokens.0);
        prompt.or(completion).or(self.total_tokens.0)?;
        let input = prompt.unwrap_or_default();
        let said = completion.unwrap_or_default();
        // Some hosts leave reasoning out of the completion but not out of the total.
        let output = said.max(self.total_tokens.get().saturating_sub(input));
        let prompt = self.prompt_tokens_details.as_ref();
        let cached = prompt.and_then(|details| details.cached_tokens.0).or(self.cached()).unwrap_or_default();
        let reasoning =
            self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.get());
        Some(Usage {
            input,
            cache_read: cached.min(input),
            cache_write: prompt.map_or(0, |details| details.cache_write_tokens.get()),
            output,
            reasoning: reasoning.min(output),
        })
    }

    /// Cached tokens as hosts name them outside the details.
    fn cached(&self) -> Option<u64> {
        let tiers = self.dram_cached_tokens.get() + self.sram_cached_tokens.get();
        self.prompt_cache_hit_tokens.0.or(self.num_cached_tokens.0).or((tiers > 0).then_some(tiers))
    }

    /// Takes what a host's own extension counted besides.
    fn complete(&mut self, other: Self) {
        if self.prompt_tokens.0.is_none() && other.prompt_tokens.0.is_some() {
            *self = other;
            return;
        }
        if self.cached().is_none() {
            (self.dram_cached_tokens, self.sram_cached_tokens) =
                (other.dram_cached_tokens, other.sram_cached_tokens);
        }
    }
}

// === errors ===

/// The error that stands in what came under a success status, wherever hosts put it: beside the answer, in a
/// choice, in a host's own extension, or as the whole object.
pub(super) fn error_in(text: &str) -> Option<Box<ErrorBody>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let choices = value.get("choices").and_then(Value::as_array).into_iter().flatten();
    let extensions = value.as_object().into_iter().flatten().filter(|(key, _)| is_extension(key));
    let nested = choices.chain(extensions.map(|(_, extension)| extension)).filter(|part| holds_error(part));
    ErrorBody::in_success(&value).or_else(|| nested.into_iter().find_map(ErrorBody::in_success)).map(Box::new)
}

fn holds_error(part: &Value) -> bool {
    part.get("error").is_some_and(|error| !error.is_null())
}

/// An answer that its host gave up on, saying so only in the reason to end.
pub(super) fn given_up(reason: &str) -> Box<ErrorBody> {
    Box::new(ErrorBody {
        message: format!("the provider ended the answer with `{reason}`"),
        codes: vec![reason.to_owned()],
        ..ErrorBody::default()
    })
}

/// Members that hosts add under their own name.
fn is_extension(key: &str) -> bool {
    key.starts_with("x_")
}

/// What a host's own extension may hold.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Extension {
    usage: Option<Box<Counters>>,
    error: Truth,
}

// === members ===

impl<'de> Fill<'de> for Choice<'de> {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "index" => self.index = map.next_value()?,
            "message" => map.next_value_seed(Slot(&mut self.message))?,
            "delta" => map.next_value_seed(Slot(&mut self.delta))?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            "logprobs" => self.logprobs = map.next_value()?,
            "error" => self.error = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> Fill<'de> for Said<'de> {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "content" => self.content = map.next_value()?,
            "reasoning" => self.reasoning = map.next_value()?,
            "reasoning_content" => self.reasoning_content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "tool_calls" => map.next_value_seed(List(&mut self.tool_calls))?,
            "function_call" => self.function_call = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> Fill<'de> for Call<'de> {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "index" => self.index = map.next_value()?,
            "id" => self.id = map.next_value()?,
            "function" => self.function = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> Fill<'de> for Answer<'de> {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "id" => self.id = map.next_value()?,
            "model" => self.model = map.next_value()?,
            "object" => self.object = map.next_value()?,
            "created" => self.created = map.next_value()?,
            "choices" => map.next_value_seed(List(&mut self.choices))?,
            "usage" => self.usage = map.next_value()?,
            "error" => self.error |= map.next_value::<Truth>()?.0,
            key if is_extension(key) => {
                let extension = map.next_value::<Option<Extension>>()?.unwrap_or_default();
                self.error |= extension.error.0;
                if let Some(usage) = extension.usage {
                    self.extra.get_or_insert_default().complete(*usage);
                }
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'a> Answer<'a> {
    /// Reads an answer or a chunk.
    ///
    /// # Errors
    /// When the text is no JSON, or its members have shapes that no host sends.
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        let mut answer = Self::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        Object(&mut answer).deserialize(&mut reader)?;
        reader.end()?;
        Ok(answer)
    }

    /// Tokens used, from wherever the host tells them; `None` when nothing was counted.
    pub(super) fn usage(&mut self) -> Option<Usage> {
        let Some(extra) = self.extra.take() else { return self.usage.as_ref()?.usage() };
        let told = self.usage.is_some() || extra.usage().is_some();
        told.then(|| self.usage.get_or_insert_default().complete(*extra));
        self.usage.as_ref()?.usage()
    }
}
