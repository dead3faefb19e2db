//! Values read leniently in their types, because a counter that comes as text must not lose an answer, and objects
//! read into the place where they stay.
//!
//! Knows kinds of values only; which members there are is for `answer` to say.

use crate::json::Key;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

// === objects read in place ===

/// An object read member by member into where it stands: these structs are large, and moving them on would cost more
/// than reading them.
pub(super) trait Fill<'de>: Default {
    /// Reads the value of the member `key`.
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    fn fill<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            self.member(&key, &mut map)?;
        }
        Ok(())
    }
}

/// The place of an object.
pub(super) struct Object<'s, T>(pub(super) &'s mut T);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Object<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Fill<'de>> Visitor<'de> for Object<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.fill(map)
    }
}

/// The place of an object that may be missing: `null` leaves it empty.
pub(super) struct Slot<'s, T>(pub(super) &'s mut Option<T>);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Slot<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fill<'de>> Visitor<'de> for Slot<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.get_or_insert_default().fill(map)
    }
}

/// The place of a list of objects that may be missing.
pub(super) struct List<'s, T>(pub(super) &'s mut Option<Vec<T>>);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for List<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fill<'de>> Visitor<'de> for List<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        // One is usual, and the objects are large.
        let list = self.0.get_or_insert_with(|| Vec::with_capacity(1));
        while items.next_element_seed(Item(list))?.is_some() {}
        Ok(())
    }
}

/// The place behind the last object of a list.
struct Item<'s, T>(&'s mut Vec<T>);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Item<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.push(T::default());
        self.0.last_mut().map_or(Ok(()), |item| Object(item).deserialize(deserializer))
    }
}

// === lenient values ===

/// Text; null and other types are empty, numbers are spelled out.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A non-negative number in any spelling; `None` for null and everything else.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Count(pub(super) Option<u64>);

impl Count {
    pub(super) fn get(self) -> u64 {
        self.0.unwrap_or_default()
    }
}

/// Whether anything stands there: not null, `false`, or empty.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Truth(pub(super) bool);

/// Text, or pieces of text and reasoning.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

/// One piece of an array content.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(Cow<'a, str>),
    Thinking(String),
}

impl Content<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Text(text) => text.is_empty(),
            Self::Pieces(pieces) => pieces.iter().all(|piece| match piece {
                Piece::Text(text) => text.is_empty(),
                Piece::Thinking(text) => text.is_empty(),
            }),
        }
    }

    fn joined(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) => text.into_owned(),
            Self::Pieces(pieces) => pieces.into_iter().map(Piece::into_text).collect(),
        }
    }
}

impl Piece<'_> {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text.into_owned(),
            Self::Thinking(text) => text,
        }
    }
}

#[derive(Deserialize)]
struct RawPiece<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Content<'a>,
}

/// Any value, as far as the lenient types care.
enum Loose<'a> {
    Null,
    Bool(bool),
    Whole(u64),
    Number(f64),
    Text(Cow<'a, str>),
    Container { empty: bool },
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Whole(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "negative numbers count nothing and are only spelled out")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Loose<'de>, E> {
        Ok(Loose::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Loose<'de>, E> {
        Ok(Loose::Number(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose<'de>, A::Error> {
        let mut empty = true;
        while items.next_element::<IgnoredAny>()?.is_some() {
            empty = false;
        }
        Ok(Loose::Container { empty })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Loose<'de>, A::Error> {
        let mut empty = true;
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            empty = false;
        }
        Ok(Loose::Container { empty })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(LooseVisitor)? {
            Loose::Text(text) => text,
            Loose::Whole(number) => Cow::Owned(number.to_string()),
            Loose::Number(number) => Cow::Owned(number.to_string()),
            Loose::Null | Loose::Bool(_) | Loose::Container { .. } => Cow::Borrowed(""),
        }))
    }
}

impl<'de> Deserialize<'de> for Count {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(LooseVisitor)? {
            Loose::Whole(number) => Some(number),
            Loose::Number(number) => (number >= 0.0).then_some(number as u64),
            Loose::Text(text) => text.parse().ok(),
            Loose::Null | Loose::Bool(_) | Loose::Container { .. } => None,
        }))
    }
}

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(LooseVisitor)? {
            Loose::Null => false,
            Loose::Bool(value) => value,
            Loose::Text(text) => !text.is_empty(),
            Loose::Container { empty } => !empty,
            Loose::Whole(number) => number != 0,
            Loose::Number(_) => true,
        }))
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or pieces of text")
    }

    fn visit_unit<E: Error>(self) -> Result<Content<'de>, E> {
        Ok(Content::Nothing)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content<'de>, A::Error> {
        let mut pieces = Vec::new();
        while let Some(piece) = items.next_element::<RawPiece<'de>>()? {
            match piece.kind.0.as_ref() {
                "thinking" => pieces.push(Piece::Thinking(piece.thinking.joined())),
                "text" => pieces.push(Piece::Text(piece.text.0)),
                // References and the like say nothing the hub has words for.
                _ => {}
            }
        }
        Ok(Content::Pieces(pieces))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}
