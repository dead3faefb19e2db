//! The prompt's part of the scan: messages and tools, checked and counted without copying their text.
//!
//! What the counts mean for a target is `outline`'s to say.

use super::scan::{At, Length, Maybe, Shape, items, members};
use serde::de::{Error, MapAccess, SeqAccess};

/// What a part of the prompt adds to the needs.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) media: u64,
    pub(super) images: bool,
    pub(super) audio: bool,
    pub(super) files: bool,
    pub(super) tools: bool,
    /// A message holds more than a usual role and one text.
    pub(super) special: bool,
}

impl Tally {
    fn bytes(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    fn tools(bytes: u64) -> Self {
        Self { bytes, tools: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.media += other.media;
        self.images |= other.images;
        self.audio |= other.audio;
        self.files |= other.files;
        self.tools |= other.tools;
        self.special |= other.special;
    }
}

// === tools ===

#[derive(Clone, Copy)]
pub(super) struct Tools;

impl<'de> Shape<'de> for Tools {
    type Out = Tally;
    const EXPECTED: &'static str = "an array of tools";

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<Tally, A::Error> {
        let mut tally = Tally::default();
        items(at, list, Tool, |bytes| tally.add(Tally::tools(bytes)))?;
        Ok(tally)
    }
}

/// A tool, a function of the old kind, or what stands inside a tool: its bytes.
#[derive(Clone, Copy)]
struct Tool;

impl<'de> Shape<'de> for Tool {
    type Out = u64;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<u64, A::Error> {
        #[derive(Clone, Copy)]
        enum Field {
            Text,
            Function,
        }
        let table = &[
            ("type", Field::Text),
            ("function", Field::Function),
            ("name", Field::Text),
            ("description", Field::Text),
        ];
        let mut bytes = 0;
        let skipped = members(at, map, table, |map, at, field| {
            bytes += match field {
                Field::Text => map.next_value_seed(at.read(Maybe(Length)))?.unwrap_or_default(),
                Field::Function => map.next_value_seed(at.read(Self))?,
            };
            Ok(())
        })?;
        Ok(bytes + skipped)
    }
}

// === messages ===

#[derive(Clone, Copy)]
pub(super) struct Messages;

impl<'de> Shape<'de> for Messages {
    type Out = (usize, Tally);
    const EXPECTED: &'static str = "an array of messages";

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<Self::Out, A::Error> {
        let mut tally = Tally::default();
        let count = items(at, list, Message, |message| tally.add(message))?;
        if count == 0 {
            return Err(at.fail("must hold at least one message"));
        }
        Ok((count, tally))
    }
}

#[derive(Clone, Copy)]
enum MessageField {
    Role,
    Content,
    Text,
    CallId,
    Calls,
    Call,
}

const MESSAGE: &[(&str, MessageField)] = &[
    ("role", MessageField::Role),
    ("content", MessageField::Content),
    ("tool_call_id", MessageField::CallId),
    ("tool_calls", MessageField::Calls),
    ("name", MessageField::Text),
    ("refusal", MessageField::Text),
    ("reasoning_content", MessageField::Text),
    ("reasoning", MessageField::Text),
    ("function_call", MessageField::Call),
];

#[derive(Clone, Copy)]
struct Message;

/// A known role: whether its content may be left out, whether it answers a call, and whether some target has no such
/// role.
#[derive(Clone, Copy, Default)]
struct Role {
    mute: bool,
    tool: bool,
    special: bool,
}

impl<'de> Shape<'de> for Role {
    type Out = Self;
    const EXPECTED: &'static str = "a string";

    fn text<E: Error>(self, at: &At<'_>, text: &str, _: Option<&'de str>) -> Result<Self, E> {
        match text {
            "system" | "user" => Ok(self),
            "developer" => Ok(Self { special: true, ..self }),
            "assistant" => Ok(Self { mute: true, ..self }),
            "tool" => Ok(Self { tool: true, special: true, ..self }),
            "function" => Ok(Self { mute: true, special: true, ..self }),
            _ => Err(at.fail("must be `system`, `developer`, `user`, `assistant` or `tool`")),
        }
    }
}

impl<'de> Shape<'de> for Message {
    type Out = Tally;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<Tally, A::Error> {
        let mut tally = Tally::default();
        let (mut role, mut content, mut call_id, mut special) = (None, false, false, false);
        let skipped = members(at, map, MESSAGE, |map, at, field| {
            special |= !matches!(field, MessageField::Role | MessageField::Content);
            match field {
                MessageField::Role => {
                    role = Some(map.next_value_seed(at.read(Role::default()))?);
                }
                MessageField::Content => {
                    let found = map.next_value_seed(at.read(Maybe(Content)))?;
                    content = found.is_some();
                    tally.add(found.unwrap_or_default());
                }
                MessageField::Text => {
                    tally.bytes += map.next_value_seed(at.read(Maybe(Length)))?.unwrap_or_default();
                }
                MessageField::CallId => call_id = map.next_value_seed(at.read(Maybe(Length)))?.is_some(),
                MessageField::Calls => {
                    tally.add(map.next_value_seed(at.read(Maybe(Calls)))?.unwrap_or_default());
                }
                MessageField::Call => {
                    tally.add(
                        map.next_value_seed(at.read(Maybe(Called)))?.map(Tally::tools).unwrap_or_default(),
                    );
                }
            }
            Ok(())
        })?;
        let role = role.ok_or_else(|| at.key("role").fail::<A::Error>("is missing"))?;
        if !content && !role.mute {
            return Err(at.key("content").fail("is missing"));
        }
        if role.tool && !call_id {
            return Err(at.key("tool_call_id").fail("is missing"));
        }
        tally.tools |= role.tool;
        tally.special |= special || role.special || skipped > 0;
        Ok(tally)
    }
}

#[derive(Clone, Copy)]
struct Content;

impl<'de> Shape<'de> for Content {
    type Out = Tally;
    const EXPECTED: &'static str = "a string or an array of parts";

    fn text<E: Error>(self, _: &At<'_>, text: &str, _: Option<&'de str>) -> Result<Tally, E> {
        Ok(Tally::bytes(text.len() as u64))
    }

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<Tally, A::Error> {
        let mut tally = Tally { special: true, ..Tally::default() };
        items(at, list, Part, |part| tally.add(part))?;
        Ok(tally)
    }
}

/// The type of a part, and the member that holds its content.
#[derive(Clone, Copy)]
enum PartField {
    Type,
    Text,
    Refusal,
    Image,
    Audio,
    File,
}

const PART: &[(&str, PartField)] = &[
    ("type", PartField::Type),
    ("text", PartField::Text),
    ("image_url", PartField::Image),
    ("refusal", PartField::Refusal),
    ("input_audio", PartField::Audio),
    ("file", PartField::File),
];

#[derive(Clone, Copy)]
struct Part;

impl<'de> Shape<'de> for Part {
    type Out = Tally;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<Tally, A::Error> {
        let mut tally = Tally::default();
        let mut kind = None;
        let mut seen = 0_u32;
        tally.bytes += members(at, map, PART, |map, at, field| {
            seen |= 1 << field as u32;
            match field {
                PartField::Type => kind = Some(map.next_value_seed(at.read(PartType))?),
                PartField::Text | PartField::Refusal => {
                    tally.bytes += map.next_value_seed(at.read(Maybe(Length)))?.unwrap_or_default();
                }
                PartField::Image => {
                    map.next_value_seed(at.read(Payload(&[("url", true), ("detail", false)])))?;
                    (tally.images, tally.media) = (true, 1);
                }
                PartField::Audio => {
                    map.next_value_seed(at.read(Payload(&[("data", true), ("format", true)])))?;
                    (tally.audio, tally.media) = (true, 1);
                }
                PartField::File => {
                    map.next_value_seed(at.read(Payload(&[("file_data", false), ("filename", false)])))?;
                    (tally.files, tally.media) = (true, 1);
                }
            }
            Ok(())
        })?;
        match kind {
            None => Err(at.key("type").fail("is missing")),
            Some(Some((name, field))) if seen & (1 << field as u32) == 0 => {
                Err(at.key(name).fail("is missing"))
            }
            // Types only some hosts know are theirs to judge.
            Some(_) => Ok(tally),
        }
    }
}

/// The member a part of this type needs; `None` for a type only some hosts know.
#[derive(Clone, Copy)]
struct PartType;

impl<'de> Shape<'de> for PartType {
    type Out = Option<(&'static str, PartField)>;
    const EXPECTED: &'static str = "a string";

    fn text<E: Error>(self, _: &At<'_>, text: &str, _: Option<&'de str>) -> Result<Self::Out, E> {
        Ok(PART.iter().find(|(name, field)| *name == text && !matches!(field, PartField::Type)).copied())
    }
}

/// The object that holds a picture, sound or document: text members, the marked ones required. Some hosts take
/// the bare text instead.
#[derive(Clone, Copy)]
struct Payload(&'static [(&'static str, bool)]);

impl<'de> Shape<'de> for Payload {
    type Out = ();
    const EXPECTED: &'static str = "an object";

    fn text<E: Error>(self, _: &At<'_>, _: &str, _: Option<&'de str>) -> Result<(), E> {
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<(), A::Error> {
        let wanted = self.0.iter().filter(|(_, required)| *required).count();
        let mut found = 0;
        members(at, map, self.0, |map, at, required| {
            if required {
                map.next_value_seed(at.read(Length))?;
                found += 1;
            } else {
                map.next_value_seed(at.read(Maybe(Length)))?;
            }
            Ok(())
        })?;
        if found < wanted {
            let first = self.0.first().map_or("", |(name, _)| name);
            return Err(at.key(first).fail("is missing"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Calls;

impl<'de> Shape<'de> for Calls {
    type Out = Tally;
    const EXPECTED: &'static str = "an array of tool calls";

    fn list<A: SeqAccess<'de>>(self, at: &At<'_>, list: A) -> Result<Tally, A::Error> {
        let mut tally = Tally::default();
        items(at, list, Call, |bytes| tally.add(Tally::tools(bytes)))?;
        Ok(tally)
    }
}

#[derive(Clone, Copy)]
struct Call;

impl<'de> Shape<'de> for Call {
    type Out = u64;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<u64, A::Error> {
        let (mut bytes, mut id, mut called) = (0, false, false);
        let table = &[("id", true), ("function", false), ("custom", false)];
        members(at, map, table, |map, at, is_id| {
            if is_id {
                map.next_value_seed(at.read(Length))?;
                id = true;
            } else {
                bytes += map.next_value_seed(at.read(Called))?;
                called = true;
            }
            Ok(())
        })?;
        match (id, called) {
            (true, true) => Ok(bytes),
            (false, _) => Err(at.key("id").fail("is missing")),
            (true, false) => Err(at.key("function").fail("is missing")),
        }
    }
}

/// A called function and its arguments: their bytes.
#[derive(Clone, Copy)]
struct Called;

impl<'de> Shape<'de> for Called {
    type Out = u64;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, at: &At<'_>, map: A) -> Result<u64, A::Error> {
        let (mut bytes, mut named) = (0, false);
        let table = &[("name", true), ("arguments", false), ("input", false)];
        members(at, map, table, |map, at, is_name| {
            bytes += map.next_value_seed(at.read(Length))?;
            named |= is_name;
            Ok(())
        })?;
        if !named {
            return Err(at.key("name").fail("is missing"));
        }
        Ok(bytes)
    }
}
