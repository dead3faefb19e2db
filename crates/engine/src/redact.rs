//! Keeps secrets out of everything people read: provider messages are cleaned before they go anywhere.

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
        if let Some(begun) = cut_key(&clean, secret) {
            clean.truncate(clean.len() - begun);
            clean.push_str("[key]");
        }
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

/// Words are cut to a length: the bytes of `secret` that stand at the end of `text`, when enough of it does.
fn cut_key(text: &str, secret: &str) -> Option<usize> {
    let starts = (KEY_START..secret.len()).rev().filter_map(|length| secret.get(..length));
    starts.into_iter().find(|start| text.ends_with(start)).map(str::len)
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
