//! Reading JSON with the path kept, and changing a body without re-writing it.
//!
//! [`Cursor`] walks a parsed value and turns every disappointment into an [`Invalid`] that names the field.
//! [`Members`] knows where each top-level member of an object stands, so a few can be replaced by splicing while
//! every other byte stays as it came.

use crate::refusal::Invalid;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A value and the path that led to it.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    value: &'a Value,
    path: Path<'a>,
}

#[derive(Debug, Clone)]
enum Path<'a> {
    Root,
    Key(std::rc::Rc<Path<'a>>, &'a str),
    Index(std::rc::Rc<Path<'a>>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(parent, key) => match **parent {
                Self::Root => write!(f, "{key}"),
                _ => write!(f, "{parent}.{key}"),
            },
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl<'a> Cursor<'a> {
    /// Starts at the top of a body.
    #[must_use]
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::Root }
    }

    /// The value here.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// An error about this very place.
    #[must_use]
    pub fn invalid(&self, message: impl Into<String>) -> Invalid {
        let path = self.path.to_string();
        Invalid { param: (!path.is_empty()).then_some(path), message: message.into() }
    }

    /// `expected a string, found an array`.
    fn mismatch(&self, expected: &str) -> Invalid {
        let place = match &self.path {
            Path::Root => "the body".to_owned(),
            path => format!("`{path}`"),
        };
        self.invalid(format!("{place} must be {expected}, but is {}", name_of(self.value)))
    }

    /// The member `key`, if present and not null.
    ///
    /// # Errors
    /// When this is not an object.
    pub fn get(&self, key: &'a str) -> Result<Option<Cursor<'a>>, Invalid> {
        let found = self.object()?.get(key).filter(|value| !value.is_null());
        let path = || Path::Key(std::rc::Rc::new(self.path.clone()), key);
        Ok(found.map(|value| Cursor { value, path: path() }))
    }

    /// The member `key`.
    ///
    /// # Errors
    /// When this is not an object or has no such member.
    pub fn need(&self, key: &'a str) -> Result<Cursor<'a>, Invalid> {
        let path = Path::Key(std::rc::Rc::new(self.path.clone()), key);
        self.get(key)?
            .ok_or_else(|| Invalid { param: Some(path.to_string()), message: format!("`{path}` is missing") })
    }

    /// This as an object.
    ///
    /// # Errors
    /// When it is none.
    pub fn object(&self) -> Result<&'a Map<String, Value>, Invalid> {
        self.value.as_object().ok_or_else(|| self.mismatch("an object"))
    }

    /// The items of this array.
    ///
    /// # Errors
    /// When it is none.
    pub fn items(&self) -> Result<impl Iterator<Item = Cursor<'a>> + use<'a>, Invalid> {
        let items = self.value.as_array().ok_or_else(|| self.mismatch("an array"))?;
        let parent = std::rc::Rc::new(self.path.clone());
        Ok(items
            .iter()
            .enumerate()
            .map(move |(index, value)| Cursor { value, path: Path::Index(parent.clone(), index) }))
    }

    /// This as text.
    ///
    /// # Errors
    /// When it is none.
    pub fn str(&self) -> Result<&'a str, Invalid> {
        self.value.as_str().ok_or_else(|| self.mismatch("a string"))
    }

    /// This as a non-negative integer.
    ///
    /// # Errors
    /// When it is none.
    pub fn u64(&self) -> Result<u64, Invalid> {
        self.value.as_u64().ok_or_else(|| self.mismatch("a non-negative integer"))
    }

    /// This as an integer.
    ///
    /// # Errors
    /// When it is none.
    pub fn i64(&self) -> Result<i64, Invalid> {
        self.value.as_i64().ok_or_else(|| self.mismatch("an integer"))
    }

    /// This as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn f64(&self) -> Result<f64, Invalid> {
        self.value.as_f64().ok_or_else(|| self.mismatch("a number"))
    }

    /// This as `true` or `false`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn bool(&self) -> Result<bool, Invalid> {
        self.value.as_bool().ok_or_else(|| self.mismatch("`true` or `false`"))
    }

    /// An optional member read by `read`: `cursor.opt("seed", Cursor::i64)?`.
    ///
    /// # Errors
    /// When this is not an object or the member is of another type.
    pub fn opt<T>(
        &self,
        key: &'a str,
        read: impl FnOnce(&Cursor<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        self.get(key)?.map(|member| read(&member)).transpose()
    }

    /// A required text member.
    ///
    /// # Errors
    /// When this is not an object or has no such text.
    pub fn need_str(&self, key: &'a str) -> Result<&'a str, Invalid> {
        self.need(key)?.str()
    }
}

/// Where each top-level member of an object stands in the text it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Members<'a> {
    body: &'a str,
    members: Vec<Member<'a>>,
}

/// The names only: bodies hold what people said.
impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

/// One member; places count bytes from the start of the body.
#[derive(Clone, PartialEq, Eq)]
struct Member<'a> {
    key: Cow<'a, str>,
    /// With its quotes.
    key_at: Range<usize>,
    value_at: Range<usize>,
}

impl<'a> Members<'a> {
    /// Finds the members of `body`. The keys in `unique` may stand there once only: two readers could disagree
    /// on which one counts.
    ///
    /// # Errors
    /// When the body is no JSON object or repeats one of `unique`.
    pub fn scan(body: &'a [u8], unique: &[&str]) -> Result<Self, Invalid> {
        let body = utf8(body)?;
        let mut reader = serde_json::Deserializer::from_str(body);
        let members = reader
            .deserialize_map(MembersOf { body })
            .and_then(|members| reader.end().map(|()| members))
            .map_err(|error| not_json(&error))?;
        for key in unique {
            if members.iter().filter(|member| member.key == *key).nth(1).is_some() {
                return Err(twice(key));
            }
        }
        Ok(Self { body, members })
    }

    /// Whether these are the members of this very text.
    pub(crate) fn are_of(&self, body: &[u8]) -> bool {
        std::ptr::eq(self.body.as_bytes(), body)
    }

    /// The JSON text of the member `key`; of the last one where it is repeated.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let member = self.members.iter().rfind(|member| member.key == key)?;
        self.body.get(member.value_at.clone())
    }

    /// The member `key` parsed, unless it is absent or null.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value> {
        self.get(key)
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(|value: &Value| !value.is_null())
    }

    /// The keys in the order they stand.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.key.as_ref())
    }

    /// Starts a list of changes; none are made until [`Edits::apply`].
    #[must_use]
    pub fn edit(&self) -> Edits<'_> {
        let unchanged = Edit { key: None, value: None, removed: false };
        Edits { members: self, edits: vec![unchanged; self.members.len()], added: Vec::new() }
    }
}

/// Keys of an object, noted while something else reads it: so its members are found without a second look at their
/// values.
#[derive(Debug)]
pub(crate) struct KeyLog<'a> {
    keys: Vec<&'a str>,
    /// A key was not borrowed from the body, so its place is unknown.
    broken: bool,
}

/// Members of a usual request; more cost another allocation.
const MEMBERS_USUAL: usize = 8;

impl Default for KeyLog<'_> {
    fn default() -> Self {
        Self { keys: Vec::with_capacity(MEMBERS_USUAL), broken: false }
    }
}

impl<'a> KeyLog<'a> {
    /// Notes the next key: its text, if it is borrowed from the body.
    pub(crate) fn note(&mut self, key: Option<&'a str>) {
        self.broken |= key.is_none();
        self.keys.extend(key);
    }

    /// The members of `body`, the very text whose keys were noted, all of them, and that was found valid.
    pub(crate) fn members(&self, body: &'a str) -> Option<Members<'a>> {
        let start = |key: &str| (key.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?.checked_sub(1);
        let next = self.keys.iter().skip(1).map(Some).chain([None]);
        let mut members = Vec::with_capacity(self.keys.len());
        for (key, next) in self.keys.iter().zip(next).filter(|_| !self.broken) {
            let from = start(key)?;
            let key_at = from..from + key.len() + 2;
            let value = body.get(key_at.end..)?.trim_start_matches(BLANK).strip_prefix(':')?;
            let before = match next {
                Some(next) => body.get(..start(next)?)?.trim_end_matches(BLANK).strip_suffix(',')?,
                None => body.trim_end_matches(BLANK).strip_suffix('}')?,
            };
            let value_from = body.len() - value.trim_start_matches(BLANK).len();
            let value_at = value_from..before.trim_end_matches(BLANK).len();
            members.push(Member { key: Cow::Borrowed(*key), key_at, value_at });
        }
        (!self.broken).then_some(Members { body, members })
    }
}

/// Changes to the members of one object.
#[derive(Debug, Clone)]
pub struct Edits<'m> {
    members: &'m Members<'m>,
    edits: Vec<Edit>,
    added: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Edit {
    key: Option<String>,
    value: Option<String>,
    removed: bool,
}

impl Edits<'_> {
    /// Gives every member `key` the JSON text `value`, adding it at the end where there is none.
    pub fn set(&mut self, key: &str, value: String) {
        let mut stands = false;
        for edit in self.named(key) {
            edit.value = Some(value.clone());
            stands = true;
        }
        if !stands {
            self.added.retain(|(added, _)| added != key);
            self.added.push((key.to_owned(), value));
        }
    }

    /// Takes every member `key` out.
    pub fn remove(&mut self, key: &str) {
        self.added.retain(|(added, _)| added != key);
        self.named(key).for_each(|edit| edit.removed = true);
    }

    /// Gives every member `key` another name; its value keeps its bytes.
    pub fn rename(&mut self, key: &str, name: &str) {
        self.named(key).for_each(|edit| edit.key = Some(name.to_owned()));
    }

    /// The members that are called `key` after the changes so far.
    fn named(&mut self, key: &str) -> impl Iterator<Item = &mut Edit> {
        let both = self.members.members.iter().zip(&mut self.edits).filter(|(_, edit)| !edit.removed);
        both.filter(move |(member, edit)| edit.key.as_deref().unwrap_or(&member.key) == key)
            .map(|(_, edit)| edit)
    }

    /// The body with the changes made and every other byte as it came.
    #[must_use]
    pub fn apply(&self) -> Vec<u8> {
        let body = self.members.body;
        let between = |from: usize, to: usize| body.get(from..to).unwrap_or_default();
        let members = &self.members.members;
        let mut out = String::with_capacity(body.len() + 64);
        let first = members.first().map_or_else(|| body.rfind('}').unwrap_or(body.len()), |m| m.key_at.start);
        out.push_str(between(0, first));
        let mut before = None;
        let mut empty = true;
        for (member, edit) in members.iter().zip(&self.edits) {
            let separator = before.map_or("", |end| between(end, member.key_at.start));
            before = Some(member.value_at.end);
            if edit.removed {
                continue;
            }
            if !empty {
                out.push_str(separator);
            }
            empty = false;
            match &edit.key {
                Some(key) => out.push_str(&quoted(key)),
                None => out.push_str(between(member.key_at.start, member.key_at.end)),
            }
            out.push_str(between(member.key_at.end, member.value_at.start));
            match &edit.value {
                Some(value) => out.push_str(value),
                None => out.push_str(between(member.value_at.start, member.value_at.end)),
            }
        }
        for (key, value) in &self.added {
            if !empty {
                out.push(',');
            }
            empty = false;
            out.push_str(&quoted(key));
            out.push(':');
            out.push_str(value);
        }
        out.push_str(between(before.unwrap_or(first), body.len()));
        out.into_bytes()
    }
}

/// Blanks of JSON.
const BLANK: [char; 4] = [' ', '\n', '\r', '\t'];

/// `text` as a JSON string.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Reads a key: borrowed from the body where that spells it plainly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

struct MembersOf<'a> {
    body: &'a str,
}

impl<'a> Visitor<'a> for MembersOf<'a> {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let offset = |part: &str| (part.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let mut members = Vec::with_capacity(16);
        while let Some(key) = map.next_key::<&'a RawValue>()? {
            let key = key.get();
            let value = map.next_value::<&'a RawValue>()?.get();
            let name = match key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
                _ => Cow::Owned(serde_json::from_str(key).map_err(Error::custom)?),
            };
            let place = |part: &str| offset(part)..offset(part) + part.len();
            members.push(Member { key: name, key_at: place(key), value_at: place(value) });
        }
        Ok(members)
    }
}

/// The body as text.
///
/// # Errors
/// When it is not UTF-8, naming the first wrong byte.
pub fn utf8(body: &[u8]) -> Result<&str, Invalid> {
    simdutf8::compat::from_utf8(body).map_err(|error| Invalid {
        param: None,
        message: format!("the body is not valid UTF-8 at byte {}", error.valid_up_to()),
    })
}

/// How a member that stands twice is reported.
#[must_use]
pub fn twice(path: &str) -> Invalid {
    Invalid { param: Some(path.to_owned()), message: format!("`{path}` is given more than once") }
}

/// Parses a body, naming line and column when it is no JSON.
///
/// # Errors
/// [`Invalid`] without a field: the body as a whole is wrong.
pub fn parse(body: &[u8]) -> Result<Value, Invalid> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

/// How a body that is no JSON is reported.
#[must_use]
pub fn not_json(error: &serde_json::Error) -> Invalid {
    Invalid { param: None, message: format!("the body is not valid JSON: {error}") }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn edited(body: &str, change: impl FnOnce(&mut Edits<'_>)) -> String {
        let members = Members::scan(body.as_bytes(), &[]).unwrap();
        let mut edits = members.edit();
        change(&mut edits);
        String::from_utf8(edits.apply()).unwrap()
    }

    #[test]
    fn edits_touch_only_their_members() {
        let body = "{ \"a\" : 1 ,\"b\":[ 2 ], \"c\": \"x\"\n}\n";
        type Change = fn(&mut Edits<'_>);
        let table: [(Change, &str); 10] = [
            (|_| {}, body),
            (|edits| edits.set("b", "7".to_owned()), "{ \"a\" : 1 ,\"b\":7, \"c\": \"x\"\n}\n"),
            (|edits| edits.remove("a"), "{ \"b\":[ 2 ], \"c\": \"x\"\n}\n"),
            (|edits| edits.remove("b"), "{ \"a\" : 1, \"c\": \"x\"\n}\n"),
            (|edits| edits.remove("c"), "{ \"a\" : 1 ,\"b\":[ 2 ]\n}\n"),
            (|edits| edits.rename("a", "z"), "{ \"z\" : 1 ,\"b\":[ 2 ], \"c\": \"x\"\n}\n"),
            (
                |edits| edits.set("d\"", "{}".to_owned()),
                "{ \"a\" : 1 ,\"b\":[ 2 ], \"c\": \"x\",\"d\\\"\":{}\n}\n",
            ),
            (|edits| ["a", "b", "c"].iter().for_each(|key| edits.remove(key)), "{ \n}\n"),
            (
                |edits| {
                    edits.rename("a", "z");
                    edits.set("z", "2".to_owned());
                    edits.remove("a");
                },
                "{ \"z\" : 2 ,\"b\":[ 2 ], \"c\": \"x\"\n}\n",
            ),
            (
                |edits| {
                    ["a", "b", "c"].iter().for_each(|key| edits.remove(key));
                    edits.set("d", "1".to_owned());
                    edits.set("d", "2".to_owned());
                },
                "{ \"d\":2\n}\n",
            ),
        ];
        for (change, expected) in table {
            assert_eq!(edited(body, change), expected);
        }
        assert_eq!(edited(" { } ", |edits| edits.set("a", "1".to_owned())), " { \"a\":1} ");
    }

    #[test]
    fn what_is_no_object_or_repeats_a_member_is_refused() {
        let table: [(&[u8], &str); 6] = [
            (b"[]", "not valid JSON"),
            (b"{\"a\":}", "not valid JSON"),
            (b"{} {}", "not valid JSON"),
            (b"{\"\xff\":1}", "not valid UTF-8"),
            (b"{\"a\":1,\"a\":1}", "more than once"),
            (b"{\"a\":1,\"\\u0061\":1}", "more than once"),
        ];
        for (body, message) in table {
            let invalid = Members::scan(body, &["a"]).unwrap_err();
            assert!(invalid.message.contains(message), "{invalid}");
        }
        assert!(Members::scan(b"{\"a\":1,\"a\":2}", &["b"]).is_ok());
    }

    fn object() -> impl Strategy<Value = Map<String, Value>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[ -~\u{e9}\u{1F30D}\n]{0,8}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Value::from),
                vec(("[a-d\"\\\\]{1,2}", inner), 0..3).prop_map(|members| members.into_iter().collect()),
            ]
        });
        vec(("[a-d\"\\\\]{1,2}", value), 0..6).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn edits_do_what_a_parsed_object_would(
            object in object(),
            set in "[a-d]{1,2}",
            removed in "[a-d]{1,2}",
            wide in any::<bool>(),
        ) {
            let text = if wide { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let text = text.unwrap();
            prop_assert_eq!(&edited(&text, |_| {}), &text);
            let scanned = Members::scan(text.as_bytes(), &[]).unwrap();
            let mut log = KeyLog::default();
            for member in &scanned.members {
                let inside = text.get(member.key_at.start + 1..member.key_at.end - 1).unwrap();
                log.note(matches!(member.key, Cow::Borrowed(_)).then_some(inside));
            }
            let escaped = log.broken;
            prop_assert_eq!(log.members(&text), Some(scanned).filter(|_| !escaped));
            let after = edited(&text, |edits| {
                edits.set(&set, "[true]".to_owned());
                edits.remove(&removed);
            });
            let mut expected = object;
            expected.insert(set, serde_json::json!([true]));
            expected.shift_remove(&removed);
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&after).unwrap(), expected);
        }
    }
}
