//! The nearest of some names to a misspelt one, for "did you mean" hints. Pure text, no knowledge of what is named.

/// The candidates that could be meant by `name`, nearest first, at most `most` of them.
///
/// A candidate counts when the edits it is away (insert, delete, replace, swap of neighbours; case ignored) are at
/// most a third of the longer name (at least one; rounded up where both begin alike) and fewer than all of it, or when one name contains the other and
/// the shorter has at least three letters.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let wanted: String = name.chars().take(NAME_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| score(&wanted, &candidate.to_lowercase()).map(|score| (score, candidate)))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().map(|(_, candidate)| candidate).take(most).collect()
}

/// Longer names are nobody's slip; the bound keeps a hostile one cheap.
const NAME_CHARS_MAX: usize = 128;

/// Characters that make two beginnings alike: then the ends may differ more, as in `retry` and `retries`.
const BEGINNING: usize = 4;

/// Smaller is nearer; `None` is too far. Whole words inside each other rank behind every misspelling.
fn score(wanted: &str, candidate: &str) -> Option<usize> {
    let (short, long) =
        if wanted.len() <= candidate.len() { (wanted, candidate) } else { (candidate, wanted) };
    let longer = wanted.chars().count().max(candidate.chars().count());
    let edits = distance(wanted, candidate);
    let alike = wanted.chars().zip(candidate.chars()).take_while(|(a, b)| a == b).count();
    let most = if alike >= BEGINNING { longer.div_ceil(3) } else { (longer / 3).max(1) };
    if edits <= most && edits < longer {
        return Some(edits);
    }
    (short.len() >= 3 && long.contains(short)).then(|| longer.saturating_add(edits))
}

/// Edits that turn `a` into `b`: insert, delete, replace one character, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (row, char_a) in a.chars().enumerate() {
        let mut current = Vec::with_capacity(above.len());
        current.push(row.saturating_add(1));
        let mut last_b = None;
        for (column, &char_b) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column).saturating_add(usize::from(char_a != char_b));
            let deleted = at(&above, column.saturating_add(1)).saturating_add(1);
            let inserted = at(&current, column).saturating_add(1);
            let mut best = replaced.min(deleted).min(inserted);
            if last_a == Some(char_b) && last_b == Some(char_a) && column > 0 {
                best = best.min(at(&before, column.saturating_sub(1)).saturating_add(1));
            }
            current.push(best);
            last_b = Some(char_b);
        }
        before = std::mem::replace(&mut above, current);
        last_a = Some(char_a);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances() {
        let table = [
            ("", "", 0),
            ("", "abc", 3),
            ("chian", "chain", 1),
            ("retry", "retries", 3),
            ("kitten", "sitting", 3),
            ("ça va", "ca va", 1),
        ];
        for (a, b, expected) in table {
            assert_eq!(distance(a, b), expected, "{a} → {b}");
        }
    }

    #[test]
    fn hints() {
        let keys = ["chain", "retries", "connect", "first_token", "stall", "deadline"];
        let table: [(&str, &[&str]); 12] = [
            ("chian", &["chain"]),
            ("dead_line", &["deadline"]),
            ("stll", &["stall"]),
            ("Retries", &["retries"]),
            ("retrys", &["retries"]),
            ("retry", &["retries"]),
            ("token", &["first_token"]),
            ("stal", &["stall"]),
            ("colour", &[]),
            // Half of a short word is another word.
            ("char", &[]),
            ("scale", &[]),
            ("", &[]),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, keys, 1), expected, "{name}");
        }
        assert_eq!(nearest("ab", ["zz", "ba", "ab"], 2), ["ab", "ba"]);
        assert_eq!(nearest(&"chain".repeat(200_000), keys, 1), ["chain"]);
    }

    proptest! {
        #[test]
        fn a_distance_is_a_metric(a in ".{0,12}", b in ".{0,12}") {
            let there = distance(&a, &b);
            prop_assert_eq!(there, distance(&b, &a));
            prop_assert_eq!(there == 0, a == b);
            prop_assert!(there <= a.chars().count().max(b.chars().count()));
        }

        #[test]
        fn the_name_itself_comes_first(names in prop::collection::vec("[a-z]{3,9}", 1..9)) {
            for name in &names {
                let found = nearest(name, names.iter().map(String::as_str), 3);
                prop_assert_eq!(found.first().copied(), Some(name.as_str()));
            }
        }
    }
}
