//! Problems and warnings: where they are, what is wrong, what to do. Knows nothing of what is being checked.
//!
//! An excerpt of the file shows no value except the one complained about, and not even that one where it
//! could be a secret: a key pasted into the wrong place must not end up in a log.

use serde::Serialize;
use std::fmt;
use std::ops::Range;
use unfail_wire::nearest::nearest;

/// Excerpts longer than this many characters help nobody.
const LONGEST_EXCERPT: usize = 160;

/// What stands for the file where a variable is concerned.
const ENVIRONMENT: &str = "environment";

/// What is shown of a value that is not shown.
const HIDDEN: &str = "…";

/// One problem or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// File as it was named; `environment` where a variable is concerned.
    pub file: String,
    /// Line, from 1; 0 where no file is concerned.
    pub line: usize,
    /// Column in characters, from 1; 0 where no file is concerned.
    pub column: usize,
    /// Path of the key (`routes.support.chain`), or the variable; empty where neither is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would help, where that is known.
    pub hint: Option<String>,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// A line of the file with a part of it underlined; positions in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    from: usize,
    width: usize,
}

/// Everything that was found, each list in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// What must be put right before anything is served.
    pub problems: Vec<Problem>,
    /// What works, though perhaps not as meant.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

impl Problem {
    fn write(&self, f: &mut fmt::Formatter<'_>, label: &str) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {label}")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; hint: {hint}")?;
        }
        let Some(excerpt) = &self.excerpt else { return Ok(()) };
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        write!(f, "\n {number} | {}\n {margin} | ", excerpt.line)?;
        write!(f, "{}{}", " ".repeat(excerpt.from), "^".repeat(excerpt.width))
    }
}

/// Problems, then warnings, then how many there are of each; nothing when there are none.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            problem.write(f, "")?;
            writeln!(f)?;
        }
        for warning in &self.warnings {
            warning.write(f, "warning: ")?;
            writeln!(f)?;
        }
        let counted = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let counts = [counted(self.problems.len(), "problem"), counted(self.warnings.len(), "warning")];
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if counts.is_empty() { Ok(()) } else { writeln!(f, "{}", counts.join(", ")) }
    }
}

impl std::error::Error for Report {}

/// A place in the file and the key it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Path of the key.
    pub(crate) key: String,
    /// Bytes of the file.
    pub(crate) span: Range<usize>,
    /// The text there could be a secret.
    pub(crate) private: bool,
}

/// The file and what was found in it so far.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    /// Where lines begin.
    lines: Vec<usize>,
    /// Where single values stand, in order; `None` when the file could not be parsed.
    values: Option<Vec<Range<usize>>>,
    problems: Vec<(usize, Problem)>,
    warnings: Vec<(usize, Problem)>,
}

impl<'a> Findings<'a> {
    /// Nothing found yet. Excerpts stay careful until [`Findings::know_values`] is called.
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(end, _)| end.saturating_add(1))).collect();
        Self { file, text, lines, values: None, problems: Vec::new(), warnings: Vec::new() }
    }

    /// Where the single values of the file stand.
    pub(crate) fn know_values(&mut self, mut values: Vec<Range<usize>>) {
        values.sort_unstable_by_key(|span| span.start);
        self.values = Some(values);
    }

    /// Something that must be put right.
    pub(crate) fn problem(&mut self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        let problem = self.describe(place, message.into(), hint);
        self.problems.push((place.span.start, problem));
    }

    /// Something that works, though perhaps not as meant.
    pub(crate) fn warning(&mut self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        let warning = self.describe(place, message.into(), hint);
        self.warnings.push((place.span.start, warning));
    }

    /// The same of an environment variable that the file does not name.
    pub(crate) fn about_variable(&mut self, name: &str, message: String) {
        let file = ENVIRONMENT.to_owned();
        let key = name.to_owned();
        let warning = Problem { file, line: 0, column: 0, key, message, hint: None, excerpt: None };
        self.warnings.push((0, warning));
    }

    /// All of it, in the order of the file.
    pub(crate) fn report(self) -> Report {
        let ordered = |mut found: Vec<(usize, Problem)>| {
            found.sort_by_key(|(offset, _)| *offset);
            found.into_iter().map(|(_, problem)| problem).collect()
        };
        Report { problems: ordered(self.problems), warnings: ordered(self.warnings) }
    }

    /// The line, from 1, in which this byte stands.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    fn describe(&self, place: &Place, message: String, hint: Option<String>) -> Problem {
        let line = self.line_of(place.span.start);
        let line_start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(line_start..place.span.start).unwrap_or_default();
        let column = before.chars().count().saturating_add(1);
        let excerpt = self.excerpt(place, line_start);
        Problem { file: self.file.to_owned(), line, column, key: place.key.clone(), message, hint, excerpt }
    }

    fn excerpt(&self, place: &Place, line_start: usize) -> Option<Excerpt> {
        let rest = self.text.get(line_start..)?;
        let line_end = line_start.saturating_add(rest.find('\n').unwrap_or(rest.len()));
        let line = line_start..line_end;
        let values = match &self.values {
            Some(values) => values.as_slice(),
            // Without a parse nobody knows what is a value: only a heading is shown.
            None if !is_heading(self.text.get(line.clone())?) => return None,
            None => &[],
        };
        let mut drawing = Drawing { text: self.text, span: &place.span, out: String::new(), marks: None };
        let mut at = line.start;
        let first = values.partition_point(|value| value.end <= line.start);
        let here = values.iter().skip(first).take_while(|value| value.start < line.end);
        for value in here {
            if !drawing.plain(at..value.start.max(at)) {
                return drawing.finish();
            }
            at = value.end.min(line.end);
            drawing.value(value, !place.private && *value == place.span && value.end <= line.end);
        }
        drawing.plain(at..line.end);
        drawing.finish()
    }
}

/// A line that can only be the heading of a table.
fn is_heading(line: &str) -> bool {
    line.starts_with('[') && !line.contains(['"', '\'', '=', ','])
}

/// An excerpt being drawn from left to right.
struct Drawing<'a> {
    text: &'a str,
    span: &'a Range<usize>,
    out: String,
    /// First and last character to underline.
    marks: Option<(usize, usize)>,
}

impl Drawing<'_> {
    /// Draws what is no value, up to a comment; `false` when there was one.
    fn plain(&mut self, range: Range<usize>) -> bool {
        let mut offset = range.start;
        for c in self.text.get(range).unwrap_or_default().chars() {
            if c == '#' {
                return false;
            }
            let next = offset.saturating_add(c.len_utf8());
            let c = if c.is_control() { ' ' } else { c };
            self.put(c.encode_utf8(&mut [0; 4]), offset..next);
            offset = next;
        }
        true
    }

    fn value(&mut self, span: &Range<usize>, reveal: bool) {
        let shown = if reveal { self.text.get(span.clone()) } else { None };
        self.put(shown.unwrap_or(HIDDEN), span.clone());
    }

    /// Draws what stands for these bytes of the file.
    fn put(&mut self, shown: &str, stands_for: Range<usize>) {
        let from = self.out.chars().count();
        self.out.push_str(shown);
        if stands_for.start < self.span.end && self.span.start < stands_for.end {
            let to = self.out.chars().count();
            self.marks = Some((self.marks.map_or(from, |(first, _)| first), to));
        }
    }

    fn finish(self) -> Option<Excerpt> {
        let line = self.out.trim_end().to_owned();
        let length = line.chars().count();
        let (from, to) = self.marks.unwrap_or((length, length));
        let width = to.min(length).saturating_sub(from).max(1);
        (1..=LONGEST_EXCERPT).contains(&length).then_some(Excerpt { line, from, width })
    }
}

/// `did you mean …?` with the nearest of these names, if one is near.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(name, candidates, 1);
    near.first().map(|near| format!("did you mean `{near}`?"))
}

/// A name or value of the file as it may stand in a message: one line, no control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    let escaped: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(80).is_some() { "…" } else { "" };
    format!("`{escaped}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders one problem about the first `needle` of `text`.
    fn check(text: &str, needle: &str, private: bool, parsed: bool, expected: &str) {
        let mut findings = Findings::new("f.toml", text);
        if parsed {
            let quotes: Vec<_> = text.match_indices('"').map(|(at, _)| at).collect();
            findings.know_values(quotes.chunks(2).map(|pair| pair[0]..pair[1] + 1).collect());
        }
        let start = text.find(needle).unwrap();
        let place = Place { key: "k".into(), span: start..start + needle.len(), private };
        findings.problem(&place, "no", Some("yes".into()));
        assert_eq!(findings.report().problems[0].to_string(), expected, "{text}");
    }

    #[test]
    fn excerpts_show_what_is_wrong_and_nothing_else() {
        let table = [
            ("a = 1\nbc = 2", "bc", false, true, "f.toml:2:1: k: no; hint: yes\n 2 | bc = 2\n   | ^^"),
            (
                "x = [\"one\", \"two\"]",
                "\"two\"",
                false,
                true,
                "f.toml:1:13: k: no; hint: yes\n 1 | x = […, \"two\"]\n   |         ^^^^^",
            ),
            (
                "x = \"sk-1\" # sk-2",
                "\"sk-1\"",
                true,
                true,
                "f.toml:1:5: k: no; hint: yes\n 1 | x = …\n   |     ^",
            ),
            (
                "x = { y = \"sk-1\", zz = 1 }",
                "zz",
                false,
                true,
                "f.toml:1:19: k: no; hint: yes\n 1 | x = { y = …, zz = 1 }\n   |              ^^",
            ),
            ("é\t= 1", "1", false, true, "f.toml:1:5: k: no; hint: yes\n 1 | é = 1\n   |     ^"),
            ("x = \"sk-1", "\"", false, false, "f.toml:1:5: k: no; hint: yes"),
            ("[a\n", "a", false, false, "f.toml:1:2: k: no; hint: yes\n 1 | [a\n   |  ^"),
        ];
        for (text, needle, private, parsed, expected) in table {
            check(text, needle, private, parsed, expected);
        }
    }

    #[test]
    fn endless_lines_are_not_shown() {
        let text = format!("{} = 1", "a".repeat(500));
        check(&text, "aa", false, true, "f.toml:1:1: k: no; hint: yes");
    }

    #[test]
    fn a_report_is_ordered_and_counted() {
        let mut findings = Findings::new("f.toml", "a\nb\nc");
        findings.know_values(Vec::new());
        let place = |at: usize| Place { key: String::new(), span: at..at + 1, private: false };
        findings.warning(&place(2), "three", None);
        findings.problem(&place(4), "two", None);
        findings.problem(&place(0), "one", None);
        assert_eq!(
            findings.report().to_string(),
            "f.toml:1:1: one\n 1 | a\n   | ^\nf.toml:3:1: two\n 3 | c\n   | ^\n\
             f.toml:2:1: warning: three\n 2 | b\n   | ^\n2 problems, 1 warning\n"
        );
        assert_eq!(Report::default().to_string(), "");
    }

    #[test]
    fn values_are_shown_on_one_line() {
        assert_eq!(shown("a\nb\u{1b}"), "`a\\nb\\u{1b}`");
        assert_eq!(shown(&"x".repeat(100)), format!("`{}…`", "x".repeat(80)));
    }
}
