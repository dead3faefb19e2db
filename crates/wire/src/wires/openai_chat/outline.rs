//! The hot path: one borrowed pass over a request that checks it and tells what it needs.
//!
//! Text is counted and never copied. Members this version does not know are walked through and left alone; they
//! survive because equal formats pass bytes through.

use super::prompt::{Messages, Tally, Tools};
use super::scan::{
    At, Between, Flag, Integer, Length, Maybe, Natural, Number, Scan, Shape, Words, items, members,
    members_noted,
};
use crate::format::{Inbound, Invalid};
use crate::json::{self, KeyLog};
use crate::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use serde::de::{Error, MapAccess, SeqAccess};
use std::borrow::Cow;

/// Checks the whole body and says what it needs.
pub(super) fn outline<'a>(inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
    let body = json::utf8(inbound.body)?;
    let mut outline = Scan::default().read(body, Request { body })?;
    if outline.model.is_empty() {
        let model = inbound.path_model.filter(|model| !model.is_empty());
        outline.model = Cow::Borrowed(model.ok_or_else(|| missing("model"))?);
    }
    Ok(outline)
}

fn missing(field: &str) -> Invalid {
    Invalid { param: Some(field.to_owned()), message: format!("`{field}` is missing") }
}

// === top level ===

#[derive(Clone, Copy)]
enum Field {
    Model,
    Messages,
    Stream,
    StreamOptions,
    Fallbacks,
    Limit,
    Choices,
    Tools,
    ToolChoice,
    Format,
    Stop,
    User,
    Bounded(f64, f64),
    Integer,
    Flag,
}

/// Most frequent first: the table is searched from the front.
const FIELDS: &[(&str, Field)] = &[
    ("model", Field::Model),
    ("messages", Field::Messages),
    ("stream", Field::Stream),
    ("temperature", Field::Bounded(0.0, 2.0)),
    ("max_tokens", Field::Limit),
    ("max_completion_tokens", Field::Limit),
    ("tools", Field::Tools),
    ("tool_choice", Field::ToolChoice),
    ("response_format", Field::Format),
    ("stream_options", Field::StreamOptions),
    ("top_p", Field::Bounded(0.0, 1.0)),
    ("n", Field::Choices),
    ("stop", Field::Stop),
    ("user", Field::User),
    ("safety_identifier", Field::User),
    ("seed", Field::Integer),
    ("frequency_penalty", Field::Bounded(-2.0, 2.0)),
    ("presence_penalty", Field::Bounded(-2.0, 2.0)),
    ("parallel_tool_calls", Field::Flag),
    ("models", Field::Fallbacks),
    ("fallbacks", Field::Fallbacks),
    ("functions", Field::Tools),
    ("function_call", Field::ToolChoice),
];

/// What unfail itself decides about a request. A provider that reads keys in any letter case would find two values of
/// such a field, and might take the one that nobody here has looked at.
const RULED: &[&str] =
    &["model", "models", "fallbacks", "stream", "stream_options", "max_tokens", "max_completion_tokens"];

#[derive(Clone, Copy)]
struct Request<'a> {
    body: &'a str,
}

/// What the members of a request gave.
#[derive(Default)]
struct Found<'a> {
    model: Cow<'a, str>,
    fallbacks: Vec<Cow<'a, str>>,
    stream: bool,
    stream_usage: bool,
    user: Option<Cow<'a, str>>,
    needs: Needs,
    tally: Tally,
}

impl<'a> Found<'a> {
    fn read<A: MapAccess<'a>>(&mut self, map: &mut A, at: At<'_>, field: Field) -> Result<(), A::Error> {
        let needs = &mut self.needs;
        match field {
            Field::Model => self.model = map.next_value_seed(at.read(Words))?,
            Field::Messages => {
                let (count, tally) = map.next_value_seed(at.read(Messages))?;
                needs.messages = count;
                self.tally.add(tally);
            }
            Field::Stream => self.stream = map.next_value_seed(at.read(Maybe(Flag)))?.unwrap_or_default(),
            Field::StreamOptions => {
                self.stream_usage = map.next_value_seed(at.read(Maybe(StreamOptions)))?.unwrap_or_default();
            }
            Field::Fallbacks => {
                let names = map.next_value_seed(at.read(Maybe(Names)))?;
                self.fallbacks.extend(names.unwrap_or_default());
            }
            Field::Limit => {
                let limit = map.next_value_seed(at.read(Maybe(Natural)))?;
                needs.max_output_tokens = needs.max_output_tokens.max(limit);
            }
            Field::Choices => {
                needs.many_choices = map.next_value_seed(at.read(Maybe(Choices)))?.unwrap_or_default() > 1;
            }
            Field::Tools => {
                self.tally.add(map.next_value_seed(at.read(Maybe(Tools)))?.unwrap_or_default());
            }
            Field::ToolChoice => {
                needs.forced_tool |= map.next_value_seed(at.read(Maybe(ToolChoice)))?.unwrap_or_default();
            }
            Field::Format => {
                let format = map.next_value_seed(at.read(Maybe(Format::default())))?.unwrap_or_default();
                needs.json_schema = format.schema;
                self.tally.bytes += format.bytes;
            }
            Field::Stop => drop(map.next_value_seed(at.read(Maybe(Stop)))?),
            Field::User => {
                let user = map.next_value_seed(at.read(Maybe(Words)))?;
                self.user = self.user.take().or(user);
            }
            Field::Bounded(least, most) => drop(map.next_value_seed(at.read(Maybe(Between(least, most))))?),
            Field::Integer => drop(map.next_value_seed(at.read(Maybe(Integer)))?),
            Field::Flag => drop(map.next_value_seed(at.read(Maybe(Flag)))?),
        }
        Ok(())
    }
}

impl<'de> Shape<'de> for Request<'de> {
    type Out = Outline<'de>;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<Self::Out, A::Error> {
        let mut found = Found::default();
        let mut log = KeyLog::default();
        let mut lookalike = None;
        let note = |key: Option<&'de str>, like: Option<&'static str>| {
            lookalike = lookalike.or(like.filter(|like| RULED.contains(like)));
            log.note(key);
        };
        members_noted(at, map, FIELDS, note, |map, at, field| found.read(map, at, field))?;
        if let Some(field) = lookalike {
            return Err(at.key(field).fail("must be written in lower case"));
        }
        if found.needs.messages == 0 {
            return Err(at.key("messages").fail("is missing"));
        }
        let Tally { bytes, media, images, audio, files, tools, special } = found.tally;
        let text = estimate_tokens(usize::try_from(bytes).unwrap_or(usize::MAX));
        let input_tokens = text.saturating_add(media.saturating_mul(MEDIA_TOKENS));
        let needs = Needs { input_tokens, images, audio, files, tools, ..found.needs };
        Ok(Outline {
            model: found.model,
            fallbacks: found.fallbacks,
            stream: found.stream,
            stream_usage: found.stream && found.stream_usage,
            needs,
            user: found.user,
            plain_messages: !special,
            members: log.members(self.body),
        })
    }
}

#[derive(Clone, Copy)]
struct Names;

impl<'de> Shape<'de> for Names {
    type Out = Vec<Cow<'de, str>>;
    const EXPECTED: &'static str = "an array of model names";

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<Self::Out, A::Error> {
        let mut names = Vec::new();
        items(at, list, Words, |name| names.push(name))?;
        Ok(names)
    }
}

#[derive(Clone, Copy)]
struct StreamOptions;

impl<'de> Shape<'de> for StreamOptions {
    type Out = bool;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<bool, A::Error> {
        let mut usage = false;
        members(at, map, &[("include_usage", ())], |map, at, ()| {
            usage = map.next_value_seed(at.read(Maybe(Flag)))?.unwrap_or_default();
            Ok(())
        })?;
        Ok(usage)
    }
}

#[derive(Clone, Copy)]
struct Choices;

/// Most alternative answers the API gives.
const CHOICES_MAX: f64 = 128.0;

impl<'de> Shape<'de> for Choices {
    type Out = u64;
    const EXPECTED: &'static str = Natural::EXPECTED;

    fn number<E: Error>(self, at: &At<'_>, number: Number) -> Result<u64, E> {
        Between(1.0, CHOICES_MAX).number(at, number)?;
        Natural.number(at, number)
    }
}

#[derive(Clone, Copy)]
struct Stop;

/// Most stop texts the API takes.
const STOPS_MAX: usize = 4;

impl<'de> Shape<'de> for Stop {
    type Out = ();
    const EXPECTED: &'static str = "a string or an array of strings";

    fn text<E: Error>(self, _: &At<'_>, _: &str, _: Option<&'de str>) -> Result<(), E> {
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<(), A::Error> {
        if items(at, list, Length, drop)? > STOPS_MAX {
            return Err(at.fail("must hold at most 4 texts"));
        }
        Ok(())
    }
}

/// The answer's format: whether it is a schema, and the bytes of that.
#[derive(Clone, Copy, Default)]
struct Format {
    schema: bool,
    bytes: u64,
}

impl<'de> Shape<'de> for Format {
    type Out = Self;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(mut self, at: &At<'_>, map: A) -> Result<Self, A::Error> {
        let mut typed = false;
        let read = |map: &mut A, at: At<'_>, ()| {
            let kind = map.next_value_seed(at.read(Words))?;
            (typed, self.schema) = (true, kind == "json_schema");
            Ok(())
        };
        self.bytes = members(at, map, &[("type", ())], read)?;
        if !typed {
            return Err(at.key("type").fail("is missing"));
        }
        Ok(self)
    }
}

/// Whether a call is demanded.
#[derive(Clone, Copy)]
struct ToolChoice;

impl<'de> Shape<'de> for ToolChoice {
    type Out = bool;
    const EXPECTED: &'static str = "a string or an object";

    fn text<E: Error>(self, at: &At<'_>, text: &str, _: Option<&'de str>) -> Result<bool, E> {
        match text {
            "none" | "auto" => Ok(false),
            // Some hosts call it `any`.
            "required" | "any" => Ok(true),
            _ => Err(at.fail("must be `none`, `auto`, `required` or an object that names a tool")),
        }
    }

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<bool, A::Error> {
        let mut forced = true;
        let table = &[("allowed_tools", false), ("mode", true)];
        members(at, map, table, |map, at, is_mode| {
            forced = if is_mode {
                map.next_value_seed(at.read(Words))? == "required"
            } else {
                map.next_value_seed(at.read(Self))?
            };
            Ok(())
        })?;
        Ok(forced)
    }
}
