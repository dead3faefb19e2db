//! One JSON object on one line, written member by member.
//!
//! The log is written where requests run, so it counts: names are known to need no escape, and nearly no value does,
//! which is seen at a glance.

use serde::Serialize;

/// The name of a member, with all that stands around it.
macro_rules! member {
    ($name:literal) => {
        $crate::observe::line::Member(concat!(",\"", $name, "\":"))
    };
}
pub(super) use member;

/// See [`member!`], which makes it: of a name that needs no escape.
#[derive(Clone, Copy)]
pub(super) struct Member(pub(super) &'static str);

/// An object being written; ends when it is dropped.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn text(&mut self, member: Member, value: &str) {
        self.name(member);
        if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        } else {
            self.put(value);
        }
    }

    pub(super) fn count(&mut self, member: Member, value: impl Into<u64>) {
        self.name(member);
        self.put(&value.into());
    }

    /// `null` where it is no number.
    pub(super) fn number(&mut self, member: Member, value: f64) {
        self.name(member);
        self.put(&value);
    }

    pub(super) fn truth(&mut self, member: Member, value: bool) {
        self.name(member);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn object(&mut self, member: Member) -> Object<'_> {
        self.name(member);
        Object::begin(self.out)
    }

    /// A list of objects.
    pub(super) fn list<T>(&mut self, member: Member, items: &[T], write: impl Fn(&T, &mut Object<'_>)) {
        self.name(member);
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(item, &mut Object::begin(self.out));
        }
        self.out.push(b']');
    }

    fn name(&mut self, Member(name): Member) {
        let name = if self.empty { name.strip_prefix(',').unwrap_or(name) } else { name };
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
    }

    fn put(&mut self, value: &(impl Serialize + ?Sized)) {
        // Writing texts and numbers to memory cannot fail.
        drop(serde_json::to_writer(&mut *self.out, value));
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// A byte that stands in a JSON string as it is.
const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::Object;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            text in any::<String>(),
            near in "[ -~\\x00-\\x1f\"\\\\]{0,6}",
            count in any::<u64>(),
            number in any::<f64>(),
            truth in any::<bool>(),
            items in prop::collection::vec(any::<String>(), 0..4),
        ) {
            let mut out = Vec::new();
            let mut line = Object::begin(&mut out);
            line.text(member!("text"), &text);
            line.count(member!("count"), count);
            {
                let mut inner = line.object(member!("inner"));
                inner.text(member!("near"), &near);
                inner.number(member!("number"), number);
            }
            line.list(member!("items"), &items, |item, object| object.text(member!("item"), item));
            line.truth(member!("truth"), truth);
            drop(line.object(member!("empty")));
            drop(line);
            let told: Value = serde_json::from_slice(&out).unwrap();
            let items: Vec<Value> = items.iter().map(|item| json!({"item": item})).collect();
            let number = if number.is_finite() { json!(number) } else { Value::Null };
            prop_assert_eq!(told, json!({
                "text": text, "count": count, "inner": {"near": near, "number": number}, "items": items,
                "truth": truth, "empty": {},
            }));
            prop_assert!(!out.contains(&b'\n'));
        }
    }
}
