//! One borrowed scan of a Messages body: its syntax, the types of what is looked at, and what it needs of a target.
//!
//! One visitor serves every place of the body; [`Place`] says where it stands and what may stand there. No value is
//! built, and values nobody looks at are walked all the same, so that depth and UTF-8 are checked everywhere.

use crate::format::Invalid;
use crate::json::{Key, KeyLog, not_json, utf8};
use crate::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Scans a body.
///
/// # Errors
/// [`Invalid`] for what is no JSON, for a missing member and for a wrong type, with its path.
pub(super) fn scan(body: &[u8]) -> Result<Outline<'_>, Invalid> {
    let text = utf8(body)?;
    let mut scan = Scan::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Node { scan: &mut scan, place: Place::Body }.deserialize(&mut json);
    if let Err(error) = read.and_then(|()| json.end()) {
        return Err(scan.wrong.unwrap_or_else(|| not_json(&error)));
    }
    scan.finish(text)
}

/// What the scan has found.
#[derive(Debug, Default)]
struct Scan<'de> {
    /// The way to the value being read.
    path: Vec<Step<'de>>,
    /// The first value of a wrong type.
    wrong: Option<Invalid>,
    /// The block being read.
    block: Block<'de>,
    model: Option<Cow<'de, str>>,
    fallbacks: Vec<Cow<'de, str>>,
    user: Option<Cow<'de, str>>,
    stream: bool,
    /// Bytes of prompt text.
    bytes: usize,
    /// Pictures and documents.
    media: u64,
    /// A `messages` member was there.
    messages: bool,
    /// The keys of the body.
    log: KeyLog<'de>,
    needs: Needs,
}

/// A step of a path, written when an error names it.
#[derive(Debug)]
enum Step<'de> {
    Key(Cow<'de, str>),
    Index(usize),
}

/// What a block says of itself; its members come in any order.
#[derive(Debug, Default)]
struct Block<'de> {
    kind: Option<Cow<'de, str>>,
    source: Option<Cow<'de, str>>,
    data: usize,
}

/// Where the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Messages,
    Message,
    /// Of a message or the top-level instructions: a string or blocks. Inside of a block it may be an object too.
    Content {
        inner: bool,
    },
    Block,
    Source,
    ToolChoice,
    OutputConfig,
    /// Of the answer; its schema is prompt text.
    Format,
    Metadata,
    /// A list of model names. `fallbacks` is also a member of the provider's own, a word or a list of objects;
    /// such a one is left to it.
    Names {
        shared: bool,
    },
    Tools,
    Leaf(Leaf),
    /// Counts as prompt text, whatever it is.
    Weighed,
    /// Only walked.
    Skipped,
}

/// A scalar the scan looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Model,
    Name,
    Fallback,
    Stream,
    MaxTokens,
    UserId,
    Choice,
    Kind,
    SourceKind,
    SourceData,
}

impl Place {
    /// The place of member `key` of an object here.
    fn member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Body, "model") => Self::Leaf(Leaf::Model),
            (Self::Body, "stream") => Self::Leaf(Leaf::Stream),
            (Self::Body, "max_tokens") => Self::Leaf(Leaf::MaxTokens),
            (Self::Body, "messages") => Self::Messages,
            (Self::Body, "system") | (Self::Message, "content") => Self::Content { inner: false },
            (Self::Block | Self::Source, "content") => Self::Content { inner: true },
            (Self::Body, "tools") => Self::Tools,
            (Self::Body, "tool_choice") => Self::ToolChoice,
            (Self::Body, "output_config") => Self::OutputConfig,
            (Self::Body, "metadata") => Self::Metadata,
            (Self::Body, "models") => Self::Names { shared: false },
            (Self::Body, "fallbacks") => Self::Names { shared: true },
            (Self::OutputConfig, "format") => Self::Format,
            (Self::ToolChoice, "type") => Self::Leaf(Leaf::Choice),
            (Self::Metadata, "user_id") => Self::Leaf(Leaf::UserId),
            (Self::Block, "type") => Self::Leaf(Leaf::Kind),
            (Self::Block, "source") => Self::Source,
            // Ids and opaque state: not prompt text.
            (Self::Block, "id" | "tool_use_id" | "signature" | "data" | "cache_control") => Self::Skipped,
            (Self::Source, "type") => Self::Leaf(Leaf::SourceKind),
            (Self::Source, "data") => Self::Leaf(Leaf::SourceData),
            (Self::Block | Self::Format | Self::Weighed | Self::Content { .. }, _) => Self::Weighed,
            _ => Self::Skipped,
        }
    }

    /// The place of an item of a list here.
    fn item(self) -> Self {
        match self {
            Self::Messages => Self::Message,
            Self::Content { .. } => Self::Block,
            Self::Names { shared: false } => Self::Leaf(Leaf::Name),
            Self::Names { shared: true } => Self::Leaf(Leaf::Fallback),
            Self::Tools | Self::Weighed => Self::Weighed,
            _ => Self::Skipped,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Messages | Self::Names { .. } | Self::Tools => "an array",
            Self::Content { .. } => "a string or an array",
            Self::Leaf(Leaf::Stream) => "`true` or `false`",
            Self::Leaf(Leaf::MaxTokens) => "a non-negative integer",
            Self::Leaf(_) => "a string",
            _ => "an object",
        }
    }

    fn is_object(self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf == Leaf::Fallback,
            Self::Content { inner } => inner,
            other => !matches!(other, Self::Messages | Self::Names { .. } | Self::Tools),
        }
    }

    fn is_list(self) -> bool {
        let any = matches!(self, Self::Weighed | Self::Skipped);
        any || matches!(self, Self::Messages | Self::Names { .. } | Self::Tools | Self::Content { .. })
    }

    /// `null` stands for "not said" here.
    fn is_optional(self) -> bool {
        !matches!(self, Self::Body | Self::Messages | Self::Message | Self::Block)
            && !matches!(self, Self::Leaf(Leaf::Model | Leaf::MaxTokens | Leaf::Name | Leaf::Kind))
    }
}

impl<'de> Scan<'de> {
    /// Remembers that the value here is of a wrong type, and gives the error that stops the scan.
    fn mismatch<E: Error>(&mut self, place: Place, found: &str) -> E {
        let path = self.path();
        let here = if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
        let message = format!("{here} must be {}, but is {found}", place.expected());
        self.wrong = Some(Invalid { param: (!path.is_empty()).then_some(path), message });
        E::custom("wrong type")
    }

    fn path(&self) -> String {
        self.path.iter().fold(String::new(), |mut path, step| {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
            path
        })
    }

    /// A string of `len` bytes; `kept` gives it where it is not only counted.
    fn string<E: Error>(
        &mut self,
        place: Place,
        len: usize,
        kept: impl FnOnce() -> Cow<'de, str>,
    ) -> Result<(), E> {
        match place {
            Place::Weighed | Place::Content { .. } => self.bytes = self.bytes.saturating_add(len),
            Place::Skipped | Place::Source | Place::Names { shared: true } => {}
            Place::Leaf(Leaf::SourceData) => self.block.data = len,
            Place::Leaf(leaf) => return self.leaf(leaf, kept()),
            _ => return Err(self.mismatch(place, "a string")),
        }
        Ok(())
    }

    fn leaf<E: Error>(&mut self, leaf: Leaf, text: Cow<'de, str>) -> Result<(), E> {
        match leaf {
            Leaf::Model => self.model = Some(text),
            Leaf::Name | Leaf::Fallback => self.fallbacks.push(text),
            Leaf::UserId => self.user = Some(text),
            Leaf::Choice => self.needs.forced_tool = matches!(&*text, "any" | "tool"),
            Leaf::Kind => self.block.kind = Some(text),
            Leaf::SourceKind => self.block.source = Some(text),
            Leaf::Stream | Leaf::MaxTokens | Leaf::SourceData => {
                return Err(self.mismatch(Place::Leaf(leaf), "a string"));
            }
        }
        Ok(())
    }

    /// An item or a member was read to its end.
    fn close_block(&mut self, outer: Block<'de>) {
        let block = std::mem::replace(&mut self.block, outer);
        match block.kind.as_deref() {
            Some("image") => self.needs.images = true,
            // A document of plain text is prompt text like any other.
            Some("document") if matches!(block.source.as_deref(), Some("text" | "content")) => {
                self.bytes = self.bytes.saturating_add(block.data);
                return;
            }
            Some("document") => self.needs.files = true,
            Some("tool_use" | "tool_result") => {
                self.needs.tools = true;
                return;
            }
            _ => return,
        }
        self.media = self.media.saturating_add(1);
    }

    fn finish(self, body: &'de str) -> Result<Outline<'de>, Invalid> {
        let missing =
            |name: &str| Invalid { param: Some(name.to_owned()), message: format!("`{name}` is missing") };
        if !self.messages {
            return Err(missing("messages"));
        }
        if self.needs.messages == 0 {
            let message = "`messages` must hold at least one message".to_owned();
            return Err(Invalid { param: Some("messages".to_owned()), message });
        }
        if self.needs.max_output_tokens.is_none() {
            return Err(missing("max_tokens"));
        }
        let media = self.media.saturating_mul(MEDIA_TOKENS);
        let input_tokens = estimate_tokens(self.bytes).saturating_add(media);
        Ok(Outline {
            model: self.model.ok_or_else(|| missing("model"))?,
            fallbacks: self.fallbacks,
            stream: self.stream,
            stream_usage: self.stream,
            needs: Needs { input_tokens, ..self.needs },
            user: self.user,
            plain_messages: false,
            members: self.log.members(body),
        })
    }
}

/// The value at one place.
struct Node<'s, 'de> {
    scan: &'s mut Scan<'de>,
    place: Place,
}

impl<'de> Node<'_, 'de> {
    /// A scalar that is no string.
    fn scalar<E: Error>(self, found: &str) -> Result<(), E> {
        // About what a number, `true` or `null` adds to a prompt.
        const SCALAR_BYTES: usize = 4;
        match self.place {
            Place::Weighed => self.scan.bytes = self.scan.bytes.saturating_add(SCALAR_BYTES),
            Place::Skipped => {}
            place => return Err(self.scan.mismatch(place, found)),
        }
        Ok(())
    }

    fn visit_members<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let place = self.place.member(&key);
            match (self.place, &*key) {
                (Place::Body, name) => {
                    self.scan.messages |= name == "messages";
                    self.scan.log.note(borrowed(&key));
                }
                (Place::Weighed, _) => self.scan.bytes = self.scan.bytes.saturating_add(key.len()),
                _ => {}
            }
            self.scan.path.push(Step::Key(key));
            map.next_value_seed(Node { scan: &mut *self.scan, place })?;
            self.scan.path.pop();
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.expected())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.place.is_optional() { Ok(()) } else { self.scalar("null") }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if self.place == Place::Leaf(Leaf::Stream) {
            self.scan.stream = value;
            return Ok(());
        }
        self.scalar("a boolean")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        if self.place == Place::Leaf(Leaf::MaxTokens) {
            self.scan.needs.max_output_tokens = Some(value);
            return Ok(());
        }
        self.scalar("a number")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar("a number")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.scan.string(self.place, text.len(), || Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scan.string(self.place, text.len(), || Cow::Owned(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.place.is_list() {
            return Err(self.scan.mismatch(self.place, "an array"));
        }
        let mut count = 0;
        loop {
            self.scan.path.push(Step::Index(count));
            let node = Node { scan: &mut *self.scan, place: self.place.item() };
            let more = seq.next_element_seed(node)?.is_some();
            self.scan.path.pop();
            if !more {
                break;
            }
            count += 1;
        }
        match self.place {
            Place::Messages => self.scan.needs.messages = count,
            Place::Tools => self.scan.needs.tools |= count > 0,
            _ => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if !self.place.is_object() {
            return Err(self.scan.mismatch(self.place, "an object"));
        }
        self.scan.needs.json_schema |= self.place == Place::Format;
        if self.place != Place::Block {
            return self.visit_members(map);
        }
        let outer = std::mem::take(&mut self.scan.block);
        let scan = &mut *self.scan;
        Node { scan, place: Place::Block }.visit_members(map)?;
        self.scan.close_block(outer);
        Ok(())
    }
}

fn borrowed<'de>(text: &Cow<'de, str>) -> Option<&'de str> {
    match text {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}
