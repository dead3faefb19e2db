//! One borrowed scan of a generateContent body: what it needs, without building a value.
//!
//! The members looked at are a table ([`BODY`]); everything else is skipped, though its syntax is checked.

use super::request::model;
use super::words::{Medium, medium, medium_of_url, same, whole_float};
use crate::format::{Inbound, Invalid};
use crate::json::{not_json, utf8};
use crate::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Scans a body.
///
/// # Errors
/// [`Invalid`]: not UTF-8, not JSON, or a member of the wrong type, then with its path.
pub(super) fn outline(inbound: Inbound<'_>) -> Result<Outline<'_>, Invalid> {
    let text = utf8(inbound.body)?;
    let mut facts = Facts::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let scanned = Scan { rule: &BODY, facts: &mut facts }.deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = scanned {
        return Err(facts.fault.unwrap_or_else(|| not_json(&error)));
    }
    if facts.needs.messages == facts.system {
        let path = "contents";
        let message = format!("`{path}` must hold at least one content");
        return Err(Invalid { param: Some(path.to_owned()), message });
    }
    let prompt = estimate_tokens(inbound.body.len().saturating_sub(facts.media_bytes));
    let input_tokens = prompt.saturating_add(facts.media_count.saturating_mul(MEDIA_TOKENS));
    Ok(Outline {
        model: Cow::Borrowed(model(inbound.path_model)),
        fallbacks: facts.fallbacks,
        stream: inbound.path_stream,
        // Every stream of this dialect carries its usage.
        stream_usage: inbound.path_stream,
        needs: Needs { input_tokens, ..facts.needs },
        user: None,
        plain_messages: false,
        members: None,
    })
}

/// What a member must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Object,
    /// An object or plain text.
    Content,
    List,
    Text,
    Count,
    /// Whatever it is.
    Any,
}

/// What the presence of a member tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fact {
    Message,
    System,
    Tool,
    Media,
    Mime,
    Uri,
    Data,
    Mode,
    Limit,
    Choices,
    Schema,
    Fallback,
}

/// A member worth looking at, and those inside it (for a list: its items).
struct Rule {
    name: &'static str,
    want: Want,
    fact: Option<Fact>,
    inside: &'static [Rule],
}

const fn object(name: &'static str, inside: &'static [Rule]) -> Rule {
    Rule { name, want: Want::Object, fact: None, inside }
}

const fn list(name: &'static str, item: &'static [Rule]) -> Rule {
    Rule { name, want: Want::List, fact: None, inside: item }
}

const fn leaf(name: &'static str, want: Want) -> Rule {
    Rule { name, want, fact: None, inside: &[] }
}

const fn telling(rule: Rule, fact: Fact) -> Rule {
    Rule { fact: Some(fact), ..rule }
}

const PARTS: Rule = list("parts", &[object("", PART)]);
const PART: &[Rule] = &[
    leaf("text", Want::Text),
    telling(object("inlineData", BLOB), Fact::Media),
    telling(object("fileData", BLOB), Fact::Media),
    telling(object("functionCall", &[leaf("name", Want::Text), object("args", &[])]), Fact::Tool),
    telling(object("functionResponse", &[leaf("name", Want::Text), RESULT, RESULT_PARTS]), Fact::Tool),
];
const RESULT: Rule = object("response", &[]);
const RESULT_PARTS: Rule = list(
    "parts",
    &[object(
        "",
        &[telling(object("inlineData", BLOB), Fact::Media), telling(object("fileData", BLOB), Fact::Media)],
    )],
);
const BLOB: &[Rule] = &[
    telling(leaf("mimeType", Want::Text), Fact::Mime),
    telling(leaf("fileUri", Want::Text), Fact::Uri),
    telling(leaf("data", Want::Text), Fact::Data),
];
const DECLARATIONS: Rule = list(
    "functionDeclarations",
    &[telling(object("", &[leaf("name", Want::Text), leaf("description", Want::Text)]), Fact::Tool)],
);
const CONFIG: &[Rule] = &[
    telling(leaf("maxOutputTokens", Want::Count), Fact::Limit),
    telling(leaf("candidateCount", Want::Count), Fact::Choices),
    telling(leaf("responseSchema", Want::Any), Fact::Schema),
    telling(leaf("responseJsonSchema", Want::Any), Fact::Schema),
    telling(leaf("_responseJsonSchema", Want::Any), Fact::Schema),
];
const NAMES: &[Rule] = &[telling(leaf("", Want::Text), Fact::Fallback)];

/// The whole body.
static BODY: Rule = object(
    "",
    &[
        list("contents", &[telling(object("", &[leaf("role", Want::Text), PARTS]), Fact::Message)]),
        telling(
            Rule { name: "systemInstruction", want: Want::Content, fact: None, inside: &[PARTS] },
            Fact::System,
        ),
        list("tools", &[object("", &[DECLARATIONS])]),
        object(
            "toolConfig",
            &[object("functionCallingConfig", &[telling(leaf("mode", Want::Text), Fact::Mode)])],
        ),
        object("generationConfig", CONFIG),
        list("models", NAMES),
        list("fallbacks", NAMES),
    ],
);

/// What has been found so far, and where the scan stands.
#[derive(Default)]
struct Facts<'a> {
    needs: Needs,
    fallbacks: Vec<Cow<'a, str>>,
    /// Messages that are the system's: 0 or 1.
    system: usize,
    media_count: u64,
    /// Bytes of inline media, which say nothing about tokens.
    media_bytes: usize,
    /// Of the medium being read: by its type, else by the look of its URL.
    medium: Option<Medium>,
    path: Vec<Step>,
    fault: Option<Invalid>,
}

enum Step {
    Key(&'static str),
    Index(usize),
}

impl Facts<'_> {
    fn present(&mut self, fact: Option<Fact>) {
        match fact {
            Some(Fact::Message) => self.needs.messages = self.needs.messages.saturating_add(1),
            Some(Fact::System) => {
                self.needs.messages = self.needs.messages.saturating_add(1);
                self.system = self.system.saturating_add(1);
            }
            Some(Fact::Tool) => self.needs.tools = true,
            Some(Fact::Schema) => self.needs.json_schema = true,
            Some(Fact::Media) => {
                self.media_count = self.media_count.saturating_add(1);
                match self.medium.take() {
                    Some(Medium::Image) => self.needs.images = true,
                    Some(Medium::Audio) => self.needs.audio = true,
                    Some(Medium::File | Medium::Video) | None => self.needs.files = true,
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, fact: Option<Fact>, text: &str) {
        match fact {
            Some(Fact::Mime) => self.medium = Some(medium(text)),
            Some(Fact::Uri) => self.medium = self.medium.or_else(|| medium_of_url(text)),
            Some(Fact::Data) => self.media_bytes = self.media_bytes.saturating_add(text.len()),
            Some(Fact::Mode) => self.needs.forced_tool = text.eq_ignore_ascii_case("ANY"),
            _ => self.present(fact),
        }
    }

    fn count(&mut self, fact: Option<Fact>, count: u64) {
        match fact {
            Some(Fact::Limit) => {
                self.needs.max_output_tokens = self.needs.max_output_tokens.max(Some(count));
            }
            Some(Fact::Choices) => self.needs.many_choices = count > 1,
            _ => {}
        }
    }

    /// Notes what is wrong here. Serde's own error is thrown away for it, so its text does not matter.
    fn wrong<E: Error>(&mut self, want: Want, found: &str) -> E {
        let wanted = match want {
            Want::Object | Want::Any => "an object",
            Want::Content => "an object or a string",
            Want::List => "an array",
            Want::Text => "a string",
            Want::Count => "a non-negative integer",
        };
        let path = self.path.iter().fold(String::new(), |mut path, step| {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path = format!("{path}.{key}"),
                Step::Index(index) => path = format!("{path}[{index}]"),
            }
            path
        });
        let place = if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
        let message = format!("{place} must be {wanted}, but is {found}");
        self.fault = Some(Invalid { param: (!path.is_empty()).then_some(path), message });
        E::custom("wrong type")
    }
}

struct Scan<'s, 'a> {
    rule: &'static Rule,
    facts: &'s mut Facts<'a>,
}

impl<'de> DeserializeSeed<'de> for Scan<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.rule.want == Want::Any {
            let present = <Option<IgnoredAny> as serde::Deserialize>::deserialize(deserializer)?;
            if present.is_some() {
                self.facts.present(self.rule.fact);
            }
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Scan<'_, 'de> {
    fn wrong<T, E: Error>(self, found: &str) -> Result<T, E> {
        Err(self.facts.wrong(self.rule.want, found))
    }

    fn number<E: Error>(self, count: Option<u64>) -> Result<(), E> {
        match count.filter(|_| self.rule.want == Want::Count) {
            Some(count) => {
                self.facts.count(self.rule.fact, count);
                Ok(())
            }
            None => self.wrong("a number"),
        }
    }

    /// Null is absence, except for the body itself and items of a list, which must be something.
    fn absent<E: Error>(self) -> Result<(), E> {
        if self.rule.name.is_empty() { self.wrong("null") } else { Ok(()) }
    }

    fn text<E: Error>(self, text: Cow<'de, str>) -> Result<(), E> {
        match self.rule.want {
            Want::Text if self.rule.fact == Some(Fact::Fallback) => self.facts.fallbacks.push(text),
            Want::Text | Want::Content => self.facts.text(self.rule.fact, &text),
            _ => return self.wrong("a string"),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Scan<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a generateContent body")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.absent()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.wrong("a boolean")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(Some(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(u64::try_from(number).ok())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(whole_float(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.rule.want {
            Want::Text | Want::Content if self.rule.fact != Some(Fact::Fallback) => {
                self.facts.text(self.rule.fact, text);
                Ok(())
            }
            _ => self.text(Cow::Owned(text.to_owned())),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let (Want::List, Some(rule)) = (self.rule.want, self.rule.inside.first()) else {
            return self.wrong("an array");
        };
        let facts = self.facts;
        for index in 0_usize.. {
            facts.path.push(Step::Index(index));
            let more = items.next_element_seed(Scan { rule, facts: &mut *facts })?;
            facts.path.pop();
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { rule, facts } = self;
        if !matches!(rule.want, Want::Object | Want::Content) {
            return Err(facts.wrong(rule.want, "an object"));
        }
        while let Some(found) = members.next_key_seed(Member(rule.inside))? {
            let Some(rule) = found else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            facts.path.push(Step::Key(rule.name));
            members.next_value_seed(Scan { rule, facts: &mut *facts })?;
            facts.path.pop();
        }
        facts.present(rule.fact);
        Ok(())
    }
}

/// Reads a key as the rule it stands for, without keeping its text.
struct Member(&'static [Rule]);

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Option<&'static Rule>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Option<&'static Rule>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|rule| same(key, rule.name)))
    }
}
