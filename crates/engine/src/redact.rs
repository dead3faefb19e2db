//! Keeps secrets out of everything people read: provider messages are cleaned before they go anywhere.

use std::ops::Range;

/// Replaces `secrets`, and whatever looks like a key, in a provider's words.
///
/// Something looks like a key when it is a run of at least 20 letters, digits, `_`, `-` or `.` with a digit and a
/// letter in it and without any vowel-rich word structure to it: request ids and model names are shorter.
#[must_use]
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        if clean.contains(*secret) {
            clean = clean.replace(*secret, "[key]");
        }
        clean = hide_spellings(&clean, secret);
    }
    mask_key_like(&clean)
}

/// Replaces `name` where it stands as a word of its own: a model called `q` is not in `request`.
#[must_use]
pub(crate) fn mask_name(text: &str, name: &str) -> String {
    let part =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'));
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(name).filter(|_| !name.is_empty()) {
        clean.push_str(before);
        // A full stop ends a sentence more often than it goes on with a name.
        let goes_on = part(after.chars().next()) && !after.starts_with(['.', ':']);
        let word = !part(clean.chars().next_back()) && !goes_on;
        clean.push_str(if word { "[model]" } else { name });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Fewer characters of a key than this tell nothing about it.
const KEY_START: usize = 6;

/// Replaces `secret` in whatever letter case, also where JSON escapes stand for characters of it: providers quote
/// documents inside of texts. Words are cut to a length, so what of it stands at the end goes as well.
fn hide_spellings(text: &str, secret: &str) -> String {
    let (letters, places) = spelled(text);
    let secret = secret.to_ascii_lowercase();
    let secret = secret.as_bytes();
    let (mut clean, mut kept, mut at) = (String::with_capacity(text.len()), 0, 0);
    let mut hide = |from: usize, letters: usize| {
        let start = places.get(from).map_or(text.len(), |place| place.start);
        let end = places.get((from + letters).saturating_sub(1)).map_or(text.len(), |place| place.end);
        clean.push_str(text.get(kept..start).unwrap_or_default());
        clean.push_str("[key]");
        kept = end;
    };
    while let Some(found) =
        letters.get(at..).and_then(|rest| rest.windows(secret.len()).position(|w| w == secret))
    {
        hide(at + found, secret.len());
        at += found + secret.len();
    }
    let rest = letters.get(at..).unwrap_or_default();
    let begun = (KEY_START..secret.len()).rev().filter_map(|length| secret.get(..length));
    if let Some(start) = begun.into_iter().find(|start| rest.ends_with(start)) {
        hide(letters.len() - start.len(), start.len());
    }
    clean.push_str(text.get(kept..).unwrap_or_default());
    clean
}

/// Stands for a character no key has.
const FOREIGN: u8 = 0;

/// The characters that `text` spells, in lower case and one byte each, and where each of them stands. However many
/// backslashes stand before a character, they are its escape.
fn spelled(text: &str) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut letters, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let bare = rest.trim_start_matches('\\');
        let escape = rest.len() - bare.len();
        let code = bare.strip_prefix('u').and_then(|code| code.get(..4)).filter(|_| escape > 0);
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
        let (letter, length) = match (code, bare.chars().next()) {
            (Some(letter), _) => (letter, 5),
            (None, Some(letter)) => (letter, letter.len_utf8()),
            (None, None) => ('\\', 0),
        };
        let end = at + escape + length;
        letters
            .push(u8::try_from(letter).ok().filter(u8::is_ascii).map_or(FOREIGN, |l| l.to_ascii_lowercase()));
        places.push(at..end);
        at = end;
    }
    (letters, places)
}

/// Shortest run of key characters taken for a key.
const KEY_CHARS_MIN: usize = 20;

fn mask_key_like(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !is_key_char(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        clean.push_str(if looks_like_key(word) { "[key]" } else { word });
        let gap = after.find(is_key_char).unwrap_or(after.len());
        let (between, next) = after.split_at(gap);
        clean.push_str(between);
        rest = next;
    }
    clean
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Long, with digits, and hardly made of words: model ids such as `claude-sonnet-5-5` split into short pieces.
fn looks_like_key(word: &str) -> bool {
    let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
    word.len() >= KEY_CHARS_MIN
        && has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
        && word.split(['-', '_']).any(|piece| piece.len() >= 12 && piece.bytes().any(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_of_a_key_at_a_cut_goes_too() {
        let key = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        for length in 0..=key.len() {
            let clean = redact(&format!("no such key: {}", key.get(..length).unwrap()), &[key]);
            let shown = clean.trim_start_matches("no such key: ");
            assert!(shown == "[key]" || shown.len() < KEY_START, "{length}: {clean}");
        }
    }

    #[test]
    fn a_key_in_another_spelling_is_a_key() {
        let key = "sk-Ab/9+x.Q";
        for (text, expected) in [
            (r"no key sk-\u0041b/9+x.Q here", "no key [key] here"),
            (r"no key sk-\u0041\u0062\/9\u002bx.Q", "no key [key]"),
            (r#"{\"key\":\"\\u0073k-Ab\\\/9+x.Q\"}"#, r#"{\"key\":\"[key]\"}"#),
            ("no key SK-AB/9+X.Q, sk-ab/9+x.q", "no key [key], [key]"),
            (r"it began with sk-Ab\/9\u002B", "it began with [key]"),
            (r"it began with SK-AB/9", "it began with [key]"),
            (r"C:\\users\u00e9\ud800 \", r"C:\\users\u00e9\ud800 \"),
        ] {
            assert_eq!(redact(text, &[key]), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_masked_only_where_it_is_a_word() {
        for (text, name, expected) in [
            ("The model `q` is not in your request", "q", "The model `[model]` is not in your request"),
            ("insufficient_quota", "quota", "insufficient_quota"),
            ("no model invalid-key.", "invalid-key", "no model [model]."),
            ("invalid-key: unknown", "invalid-key", "[model]: unknown"),
            ("acme/invalid-key", "invalid-key", "acme/invalid-key"),
            ("qqq q", "q", "qqq [model]"),
            ("anything", "", "anything"),
        ] {
            assert_eq!(mask_name(text, name), expected, "{name} in {text}");
        }
    }

    #[test]
    fn keys_go_and_words_stay() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "Incorrect API key provided: sk-proj-abcdef0123456789abcdef.",
                &[],
                "Incorrect API key provided: [key].",
            ),
            ("bad key hunter22", &["hunter22"], "bad key [key]"),
            (
                "model claude-sonnet-4-5-20250929 is overloaded",
                &[],
                "model claude-sonnet-4-5-20250929 is overloaded",
            ),
            (
                "limit 30000, requested 30601, try again in 1m42.6s",
                &[],
                "limit 30000, requested 30601, try again in 1m42.6s",
            ),
            ("Bearer AIzaSyA1234567890abcdefghij failed", &[], "Bearer [key] failed"),
            ("übergröße ✓", &[], "übergröße ✓"),
        ];
        for (text, secrets, expected) in cases {
            assert_eq!(redact(text, secrets), *expected);
        }
    }

    proptest! {
        #[test]
        fn a_known_secret_never_survives(before in ".{0,40}", secret in "[A-Za-z0-9_-]{4,60}", after in ".{0,40}") {
            let text = format!("{before}{secret}{after}");
            let clean = redact(&text, &[&secret]);
            let rest = clean.replace("[key]", " ");
            prop_assert!(!rest.contains(&secret));
        }
    }
}
