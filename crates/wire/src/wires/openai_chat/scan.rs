//! Borrowed reading of a request body: shapes that check types as serde walks the text, and a path on the stack
//! that is only spelled out when something is wrong.
//!
//! Nothing here copies text or builds a tree; what a field means is not decided here.

use crate::format::Invalid;
use crate::json::not_json;
use serde::de::{Deserialize, DeserializeSeed};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// What went wrong first. serde's own errors cannot carry a path, so it is put here.
#[derive(Default)]
pub(super) struct Scan {
    failure: Cell<Option<Invalid>>,
}

impl Scan {
    /// Reads a whole body as `shape`; the text is checked to its last byte.
    pub(super) fn read<'de, S: Shape<'de>>(&self, body: &'de str, shape: S) -> Result<S::Out, Invalid> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let root = At { scan: self, parent: None, step: Step::Root };
        root.read(shape)
            .deserialize(&mut reader)
            .and_then(|out| reader.end().map(|()| out))
            .map_err(|error| self.failure.take().unwrap_or_else(|| not_json(&error)))
    }
}

/// A place in the body. Places form a chain on the stack.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    scan: &'p Scan,
    parent: Option<&'p At<'p>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Key(&'static str),
    Index(usize),
}

impl<'p> At<'p> {
    /// The member `key` of this object.
    pub(super) fn key<'q>(&'q self, key: &'static str) -> At<'q> {
        At { scan: self.scan, parent: Some(self), step: Step::Key(key) }
    }

    /// The item `index` of this array.
    pub(super) fn index<'q>(&'q self, index: usize) -> At<'q> {
        At { scan: self.scan, parent: Some(self), step: Step::Index(index) }
    }

    /// A reader for the value at this place.
    pub(super) fn read<S>(self, shape: S) -> Read<'p, S> {
        Read { at: self, shape }
    }

    /// Notes that this place is wrong.
    pub(super) fn fail<E: Error>(&self, message: &str) -> E {
        let param = self.to_string();
        let named = if param.is_empty() { "the body".to_owned() } else { format!("`{param}`") };
        let message = format!("{named} {message}");
        self.scan.failure.set(Some(Invalid { param: (!param.is_empty()).then_some(param), message }));
        E::custom("refused")
    }

    fn mismatch<E: Error>(&self, expected: &str, found: &str) -> E {
        self.fail(&format!("must be {expected}, but is {found}"))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent.map(|parent| parent.step)) {
            (Step::Root, _) => Ok(()),
            (Step::Key(key), None | Some(Step::Root)) => f.write_str(key),
            (Step::Key(key), _) => write!(f, ".{key}"),
            (Step::Index(index), _) => write!(f, "[{index}]"),
        }
    }
}

/// What a value must look like. Every kind of JSON value is refused unless the shape says how to read it.
pub(super) trait Shape<'de>: Copy {
    /// What reading it gives.
    type Out;
    /// Its name in an error: "must be … ".
    const EXPECTED: &'static str;

    fn null<E: Error>(self, at: &At<'_>) -> Result<Self::Out, E> {
        Err(at.mismatch(Self::EXPECTED, "null"))
    }

    fn flag<E: Error>(self, at: &At<'_>, _: bool) -> Result<Self::Out, E> {
        Err(at.mismatch(Self::EXPECTED, "a boolean"))
    }

    fn number<E: Error>(self, at: &At<'_>, _: Number) -> Result<Self::Out, E> {
        Err(at.mismatch(Self::EXPECTED, "a number"))
    }

    /// `kept` is the same text where it can be borrowed from the body.
    fn text<E: Error>(self, at: &At<'_>, _text: &str, _kept: Option<&'de str>) -> Result<Self::Out, E> {
        Err(at.mismatch(Self::EXPECTED, "a string"))
    }

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, _: A) -> Result<Self::Out, A::Error> {
        Err(at.mismatch(Self::EXPECTED, "an array"))
    }

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, _: A) -> Result<Self::Out, A::Error> {
        Err(at.mismatch(Self::EXPECTED, "an object"))
    }
}

/// A JSON number as it was written.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Natural(u64),
    Negative(i64),
    Float(f64),
}

impl Number {
    /// The number with the precision of a float.
    #[expect(clippy::cast_precision_loss, reason = "only compared with small bounds")]
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Natural(number) => number as f64,
            Self::Negative(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// Reads a shape at a place.
pub(super) struct Read<'p, S> {
    at: At<'p>,
    shape: S,
}

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Read<'_, S> {
    type Value = S::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Read<'_, S> {
    type Value = S::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<S::Out, E> {
        self.shape.null(&self.at)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<S::Out, E> {
        self.shape.flag(&self.at, value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<S::Out, E> {
        self.shape.number(&self.at, Number::Natural(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<S::Out, E> {
        self.shape.number(&self.at, Number::Negative(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<S::Out, E> {
        self.shape.number(&self.at, Number::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<S::Out, E> {
        self.shape.text(&self.at, text, Some(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<S::Out, E> {
        self.shape.text(&self.at, text, None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<S::Out, A::Error> {
        self.shape.list(&self.at, items)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<S::Out, A::Error> {
        self.shape.object(&self.at, members)
    }
}

/// Reads every item of an array as `shape`, handing each to `add`; returns how many there were.
pub(super) fn items<'de, A: SeqAccess<'de>, S: Shape<'de>>(
    at: &At<'_>,
    mut items: A,
    shape: S,
    mut add: impl FnMut(S::Out),
) -> Result<usize, A::Error> {
    let mut count = 0;
    while let Some(item) = items.next_element_seed(at.index(count).read(shape))? {
        add(item);
        count += 1;
    }
    Ok(count)
}

/// Reads the members of an object that stand in `table` (at most 64 of them) through `each` and skips the others.
/// A member of the table may stand there once only. Returns the bytes skipped.
pub(super) fn members<'de, A: MapAccess<'de>, T: Copy>(
    at: &At<'_>,
    map: A,
    table: &'static [(&'static str, T)],
    each: impl FnMut(&mut A, At<'_>, T) -> Result<(), A::Error>,
) -> Result<u64, A::Error> {
    members_noted(at, map, table, |_, _| {}, each)
}

/// As [`members`], telling `note` every key: its text, where it can be borrowed from the body, and the key of the table
/// that it is in other letter case.
pub(super) fn members_noted<'de, A: MapAccess<'de>, T: Copy>(
    at: &At<'_>,
    mut map: A,
    table: &'static [(&'static str, T)],
    mut note: impl FnMut(Option<&'de str>, Option<&'static str>),
    mut each: impl FnMut(&mut A, At<'_>, T) -> Result<(), A::Error>,
) -> Result<u64, A::Error> {
    let mut skipped = 0;
    let mut seen = 0_u64;
    while let Some((found, key)) = map.next_key_seed(KeyOf(table))? {
        note(key, if let Key::Other(_, like) = found { like } else { None });
        match found {
            Key::Known(position, name, rule) => {
                let place = at.key(name);
                let bit = 1_u64 << (position % 64);
                if seen & bit != 0 {
                    return Err(place.fail("is given more than once"));
                }
                seen |= bit;
                each(&mut map, place, rule)?;
            }
            Key::Other(length, _) => skipped += length + map.next_value::<Skipped>()?.0,
        }
    }
    Ok(skipped)
}

/// A key, looked up in a table.
enum Key<T> {
    Known(usize, &'static str, T),
    /// Its length, and what it is in other letter case.
    Other(u64, Option<&'static str>),
}

struct KeyOf<T: 'static>(&'static [(&'static str, T)]);

impl<'de, T: Copy> DeserializeSeed<'de> for KeyOf<T> {
    /// The key, and its text where it can be borrowed.
    type Value = (Key<T>, Option<&'de str>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: Copy> KeyOf<T> {
    fn find(&self, key: &str) -> Key<T> {
        let found = self.0.iter().enumerate().find(|(_, (name, _))| *name == key);
        let other = || Key::Other(key.len() as u64, self.like(key));
        found.map_or_else(other, |(position, (name, rule))| Key::Known(position, name, *rule))
    }
}

impl<T> KeyOf<T> {
    /// The key of the table that differs in the case of its letters only.
    fn like(&self, key: &str) -> Option<&'static str> {
        if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        let folded: String = key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
        self.0.iter().map(|(name, _)| *name).find(|name| *name == folded)
    }
}

impl<'de, T: Copy> Visitor<'de> for KeyOf<T> {
    type Value = (Key<T>, Option<&'de str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok((self.find(key), Some(key)))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.find(key), None))
    }
}

/// Any value, walked through to check its syntax and its nesting; holds the bytes of its text. Unlike
/// `IgnoredAny` it meets serde's limit on nesting, so that what passes here can be read anywhere.
pub(super) struct Skipped(pub(super) u64);

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SkippedVisitor)
    }
}

struct SkippedVisitor;

/// Bytes a number, boolean or null counts for.
const SCALAR_BYTES: u64 = 4;

impl<'de> Visitor<'de> for SkippedVisitor {
    type Value = Skipped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Skipped, E> {
        Ok(Skipped(SCALAR_BYTES))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Skipped, E> {
        Ok(Skipped(SCALAR_BYTES))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Skipped, E> {
        Ok(Skipped(SCALAR_BYTES))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Skipped, E> {
        Ok(Skipped(SCALAR_BYTES))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Skipped, E> {
        Ok(Skipped(SCALAR_BYTES))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Skipped, E> {
        Ok(Skipped(text.len() as u64 + 2))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Skipped, A::Error> {
        let mut bytes = 2;
        while let Some(item) = items.next_element::<Skipped>()? {
            bytes += item.0 + 1;
        }
        Ok(Skipped(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Skipped, A::Error> {
        let mut bytes = 2;
        while let Some((key, value)) = members.next_entry::<Skipped, Skipped>()? {
            bytes += key.0 + value.0 + 2;
        }
        Ok(Skipped(bytes))
    }
}

// === leaves ===

/// `null` gives `None`, anything else must be `S`.
#[derive(Clone, Copy)]
pub(super) struct Maybe<S>(pub(super) S);

impl<'de, S: Shape<'de>> Shape<'de> for Maybe<S> {
    type Out = Option<S::Out>;
    const EXPECTED: &'static str = S::EXPECTED;

    fn null<E: Error>(self, _: &At<'_>) -> Result<Self::Out, E> {
        Ok(None)
    }

    fn flag<E: Error>(self, at: &At<'_>, value: bool) -> Result<Self::Out, E> {
        self.0.flag(at, value).map(Some)
    }

    fn number<E: Error>(self, at: &At<'_>, number: Number) -> Result<Self::Out, E> {
        self.0.number(at, number).map(Some)
    }

    fn text<E: Error>(self, at: &At<'_>, text: &str, kept: Option<&'de str>) -> Result<Self::Out, E> {
        self.0.text(at, text, kept).map(Some)
    }

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, items: A) -> Result<Self::Out, A::Error> {
        self.0.list(at, items).map(Some)
    }

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, members: A) -> Result<Self::Out, A::Error> {
        self.0.object(at, members).map(Some)
    }
}

/// Text that is wanted itself.
#[derive(Clone, Copy)]
pub(super) struct Words;

impl<'de> Shape<'de> for Words {
    type Out = Cow<'de, str>;
    const EXPECTED: &'static str = "a string";

    fn text<E: Error>(self, _: &At<'_>, text: &str, kept: Option<&'de str>) -> Result<Self::Out, E> {
        Ok(kept.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed))
    }
}

/// Text of which only the number of bytes is wanted.
#[derive(Clone, Copy)]
pub(super) struct Length;

impl<'de> Shape<'de> for Length {
    type Out = u64;
    const EXPECTED: &'static str = "a string";

    fn text<E: Error>(self, _: &At<'_>, text: &str, _: Option<&'de str>) -> Result<u64, E> {
        Ok(text.len() as u64)
    }
}

/// `true` or `false`.
#[derive(Clone, Copy)]
pub(super) struct Flag;

impl<'de> Shape<'de> for Flag {
    type Out = bool;
    const EXPECTED: &'static str = "`true` or `false`";

    fn flag<E: Error>(self, _: &At<'_>, value: bool) -> Result<bool, E> {
        Ok(value)
    }
}

/// A number within bounds.
#[derive(Clone, Copy)]
pub(super) struct Between(pub(super) f64, pub(super) f64);

impl<'de> Shape<'de> for Between {
    type Out = ();
    const EXPECTED: &'static str = "a number";

    fn number<E: Error>(self, at: &At<'_>, number: Number) -> Result<(), E> {
        let Self(least, most) = self;
        if (least..=most).contains(&number.value()) {
            return Ok(());
        }
        Err(at.fail(&format!("must be between {least} and {most}, but is {}", number.value())))
    }
}

/// A non-negative integer.
#[derive(Clone, Copy)]
pub(super) struct Natural;

impl<'de> Shape<'de> for Natural {
    type Out = u64;
    const EXPECTED: &'static str = "a non-negative integer";

    fn number<E: Error>(self, at: &At<'_>, number: Number) -> Result<u64, E> {
        match number {
            Number::Natural(number) => Ok(number),
            Number::Negative(_) => Err(at.mismatch(Self::EXPECTED, "negative")),
            Number::Float(_) => Err(at.mismatch(Self::EXPECTED, "a fraction")),
        }
    }
}

/// Any integer.
#[derive(Clone, Copy)]
pub(super) struct Integer;

impl<'de> Shape<'de> for Integer {
    type Out = ();
    const EXPECTED: &'static str = "an integer";

    fn number<E: Error>(self, at: &At<'_>, number: Number) -> Result<(), E> {
        match number {
            Number::Natural(_) | Number::Negative(_) => Ok(()),
            Number::Float(_) => Err(at.mismatch(Self::EXPECTED, "a fraction")),
        }
    }
}
