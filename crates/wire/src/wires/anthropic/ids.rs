//! Call ids and tool names in the alphabet of this format: `^[a-zA-Z0-9_-]+$`.
//!
//! Pure text; what an id stands for is not known here.

use std::collections::{HashMap, HashSet};

/// Longest tool name the format takes, in characters.
const TOOL_NAME_MAX: usize = 128;

/// Gives every call an id of its own. Depends on earlier calls only, so that a growing conversation keeps its ids
/// and with them the provider's prompt cache.
#[derive(Debug, Default)]
pub(super) struct Ids {
    used: HashSet<String>,
    /// Last number given to a repeated id.
    last: HashMap<String, u64>,
}

impl Ids {
    /// An id as near to `wanted` as possible.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        let base = tidy(wanted, usize::MAX);
        let mut id = base.clone();
        while !self.used.insert(id.clone()) {
            let number = self.last.entry(base.clone()).or_insert(1);
            *number = number.saturating_add(1);
            id = format!("{base}_{number}");
        }
        id
    }

    /// An id for a call of an answer. The caller sends it back with later turns, so where the provider gave none it
    /// is made from the answer's own id.
    pub(super) fn answer(&mut self, given: &str, answer: &str) -> String {
        match given {
            "" | "null" => self.take(&format!("toolu_{answer}")),
            given => self.take(given),
        }
    }
}

/// A name under which a tool of the history can be declared.
pub(super) fn tool_name(name: &str) -> String {
    tidy(name, TOOL_NAME_MAX)
}

/// A tool may be declared under this very name.
pub(super) fn is_tool_name(name: &str) -> bool {
    !name.is_empty() && tool_name(name) == name
}

fn tidy(text: &str, max: usize) -> String {
    let tidied = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = text.chars().take(max).map(tidied).collect();
    if name.is_empty() { "call".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_rewritten_alike_and_never_collide() {
        let mut ids = Ids::default();
        let cases = [
            ("toolu_01", "toolu_01"),
            ("call|a.b", "call_a_b"),
            ("call.a|b", "call_a_b_2"),
            ("call_a_b", "call_a_b_3"),
            ("call_a_b_2", "call_a_b_2_2"),
            ("", "call"),
            ("é", "_"),
        ];
        for (wanted, expected) in cases {
            assert_eq!(ids.take(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn answers_without_ids_get_their_own() {
        let mut ids = Ids::default();
        let cases = [("", "toolu_msg_1"), ("null", "toolu_msg_1_2"), ("f:0", "f_0"), ("f:0", "f_0_2")];
        for (given, expected) in cases {
            assert_eq!(ids.answer(given, "msg:1"), expected, "{given}");
        }
    }

    #[test]
    fn ten_thousand_equal_ids_stay_cheap_and_distinct() {
        let mut ids = Ids::default();
        let all: HashSet<String> = (0..10_000).map(|_| ids.take("null")).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn tool_names() {
        for (name, good) in [("get_x-1", true), ("", false), ("a.b", false), ("käse", false)] {
            assert_eq!(is_tool_name(name), good, "{name}");
        }
        assert!(is_tool_name(&"a".repeat(128)) && !is_tool_name(&"a".repeat(129)));
    }
}
