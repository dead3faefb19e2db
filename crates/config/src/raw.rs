//! What was written: tables of typed values with their places. Every key is looked up in the one list of keys;
//! what is not there, or does not look as it must, is a problem. What values mean together is decided in `check`.

use crate::keys::{self, Key, Kind};
use crate::report::{Findings, Place, did_you_mean, shown};
use crate::secrets::Reference;
use crate::units;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A value that looks as its key demands.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Count(u64),
    Number(f64),
    Flag(bool),
    Duration(Duration),
    Address(SocketAddr),
    Reference(Reference),
    List(Vec<At<Value>>),
}

impl At<Value> {
    fn text(&self) -> Option<At<&str>> {
        match &self.value {
            Value::Text(text) => Some(At { value: text, place: self.place.clone() }),
            _ => None,
        }
    }

    fn reference(&self) -> Option<At<&Reference>> {
        match &self.value {
            Value::Reference(reference) => Some(At { value: reference, place: self.place.clone() }),
            _ => None,
        }
    }
}

/// A table: its values, defaults filled in, and the tables in it.
#[derive(Debug)]
pub(crate) struct Section {
    /// Pattern of its keys in the list of keys.
    pattern: String,
    /// The name the operator chose, or the last part of its path.
    pub(crate) name: String,
    /// Where it is named.
    pub(crate) place: Place,
    values: BTreeMap<String, At<Value>>,
    tables: BTreeMap<String, Section>,
    /// Keys whose value, or an item of it, was wrong.
    wrong: BTreeSet<String>,
}

/// What is wrong with a value: what it must be.
type Wrong = String;

/// Reads a whole file. Problems go to `findings`; what is left is usable all the same, so that checks can go on.
pub(crate) fn read(text: &str, findings: &mut Findings<'_>) -> Section {
    let (document, errors) = DeTable::parse_recoverable(text);
    let whole = Place::default();
    if !errors.is_empty() {
        let mut lines = BTreeSet::new();
        let headings = headings(text);
        let below = |line: usize| headings.partition_point(|heading| *heading <= line).checked_sub(1);
        let mut twice: Option<usize> = None;
        for error in errors {
            let span = error.span().unwrap_or(text.len()..text.len());
            // What follows on the same line is mostly the echo of the first error, and so is what stands in a table
            // that is there twice.
            let line = findings.line_of(span.start);
            let heading = below(line).and_then(|at| headings.get(at)).copied();
            let echo = error.message() == DUPLICATE && heading.is_some() && twice == heading;
            if error.message() == DUPLICATE && heading == Some(line) {
                twice = heading;
            }
            if !echo && lines.insert(line) {
                findings.problem(&Place { span, ..whole.clone() }, error.message(), None);
            }
        }
        return Section::empty("", "", whole);
    }
    let mut values = Vec::new();
    for value in document.get_ref().values() {
        collect_values(value, &mut values);
    }
    findings.know_values(values);
    let mut section = Section::empty("", "", whole);
    section.fill(document.get_ref(), findings);
    section
}

/// What the parser says of a name that was there before.
const DUPLICATE: &str = "duplicate key";

/// The lines, from 1, that hold the headings of tables.
fn headings(text: &str) -> Vec<usize> {
    let lines = (1..).zip(text.split('\n'));
    lines.filter(|(_, line)| line.trim_start().starts_with('[')).map(|(number, _)| number).collect()
}

/// Where the single values below `value` stand.
fn collect_values(value: &Spanned<DeValue<'_>>, out: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(|item| collect_values(item, out)),
        DeValue::Table(table) => table.values().for_each(|value| collect_values(value, out)),
        _ => out.push(value.span()),
    }
}

// === what the checks ask ===

impl Section {
    /// A table nothing was written into: defaults only.
    pub(crate) fn empty(pattern: &str, name: &str, place: Place) -> Self {
        let mut section = Self {
            pattern: pattern.to_owned(),
            name: name.to_owned(),
            place,
            values: BTreeMap::new(),
            tables: BTreeMap::new(),
            wrong: BTreeSet::new(),
        };
        for name in keys::below(pattern).into_iter().filter(|name| *name != "*") {
            let path = keys::join(pattern, name);
            match keys::key(&path) {
                Some(key) => section.fill_default(name, key),
                None => {
                    let table = Self::empty(&path, name, section.place_of(name, section.place.span.clone()));
                    section.tables.insert(name.to_owned(), table);
                }
            }
        }
        section
    }

    /// The table `name`, written or not.
    pub(crate) fn table(&self, name: &str) -> Option<&Section> {
        self.tables.get(name)
    }

    /// The tables in it, by name.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Section> {
        self.tables.values()
    }

    /// Whether anything was written into it.
    pub(crate) fn is_written(&self) -> bool {
        self.values.values().any(|value| value.place.span != self.place.span)
    }

    /// Whether `name` was written, and rightly: no default stands in for it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| value.place.span != self.place.span)
    }

    /// Whether `name`, or an item of it, was written wrongly; that has been reported.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.contains(name)
    }

    /// Whether `name` is missing: neither written nor written wrongly, and without a default.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        self.value(name).is_none() && !self.is_wrong(name)
    }

    /// Where `name` stands, or would.
    pub(crate) fn place_at(&self, name: &str) -> Place {
        match self.values.get(name) {
            Some(value) => value.place.clone(),
            None => self.place_of(name, self.place.span.clone()),
        }
    }

    /// A text, choice or URL.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        if let Value::Text(text) = self.value(name)? { Some(text) } else { None }
    }

    /// A list of texts; `None` when it was not written.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<At<&str>>> {
        if let Value::List(items) = self.value(name)? {
            Some(items.iter().filter_map(At::text).collect())
        } else {
            None
        }
    }

    /// One or more references to secrets; `None` when none was written.
    pub(crate) fn references(&self, name: &str) -> Option<Vec<At<&Reference>>> {
        match self.value(name)? {
            Value::List(items) => Some(items.iter().filter_map(At::reference).collect()),
            _ => self.values.get(name).and_then(At::reference).map(|one| vec![one]),
        }
    }

    /// A count or size.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        if let Value::Count(count) = self.value(name)? { Some(*count) } else { None }
    }

    /// A count that is known to be small and to have a default.
    pub(crate) fn small(&self, name: &str) -> u32 {
        self.count(name).and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX)
    }

    /// A share or an amount.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        if let Value::Number(number) = self.value(name)? { Some(*number) } else { None }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        if let Value::Flag(flag) = self.value(name)? { Some(*flag) } else { None }
    }

    /// A duration; its key has a default.
    pub(crate) fn duration(&self, name: &str) -> Duration {
        if let Some(Value::Duration(duration)) = self.value(name) { *duration } else { Duration::ZERO }
    }

    /// An address.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        if let Value::Address(address) = self.value(name)? { Some(*address) } else { None }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let path = keys::join(&self.pattern, name);
        debug_assert!(keys::key(&path).is_some(), "`{path}` is not in the list of keys");
        self.values.get(name).map(|value| &value.value)
    }
}

// === reading ===

impl Section {
    fn place_of(&self, name: &str, span: Range<usize>) -> Place {
        let bare =
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') && !name.is_empty();
        let name = if bare { name.to_owned() } else { format!("\"{}\"", name.escape_debug()) };
        Place { key: keys::join(&self.place.key, &name), span, private: false }
    }

    fn fill_default(&mut self, name: &str, key: &Key) {
        let place = self.place_of(name, self.place.span.clone());
        let parsed = DeValue::parse(key.default).ok();
        if let Some(value) = parsed.and_then(|value| convert(key.kind, value.get_ref()).ok()) {
            self.values.insert(name.to_owned(), At { value, place });
        }
    }

    fn fill(&mut self, table: &DeTable<'_>, findings: &mut Findings<'_>) {
        let known = keys::below(&self.pattern);
        for (name, value) in table.iter() {
            let (span, name) = (name.span(), name.get_ref().as_ref());
            let place = self.place_of(name, span);
            let chosen = known.contains(&"*");
            if !chosen && !known.contains(&name) {
                let hint = did_you_mean(name, known.iter().copied())
                    .unwrap_or_else(|| format!("valid here: {}", known.join(", ")));
                findings.problem(&place, "unknown key", Some(hint));
                continue;
            }
            let pattern = keys::join(&self.pattern, if chosen { "*" } else { name });
            match keys::key(&pattern) {
                Some(key) => self.fill_value(name, key, value, findings),
                None => self.fill_table(name, Section::empty(&pattern, name, place), value, findings),
            }
        }
    }

    fn fill_table(
        &mut self,
        name: &str,
        mut section: Section,
        value: &Spanned<DeValue<'_>>,
        findings: &mut Findings<'_>,
    ) {
        match value.get_ref() {
            DeValue::Table(table) => section.fill(table, findings),
            other => {
                findings.problem(&section.place, format!("must be a table, but is {}", name_of(other)), None)
            }
        }
        self.tables.insert(name.to_owned(), section);
    }

    fn fill_value(
        &mut self,
        name: &str,
        key: &Key,
        value: &Spanned<DeValue<'_>>,
        findings: &mut Findings<'_>,
    ) {
        let private = key.kind.is_private();
        let place = Place { private, ..self.place_of(name, value.span()) };
        let converted = match (key.kind.element(), value.get_ref()) {
            (Some(kind), DeValue::Array(items)) => {
                let places = items.iter().map(|item| (item, Place { span: item.span(), ..place.clone() }));
                let valid = places.filter_map(|(item, place)| convert_at(kind, item, place, findings));
                let valid: Vec<_> = valid.collect();
                if valid.len() < items.len() {
                    self.wrong.insert(name.to_owned());
                }
                Some(At { value: Value::List(valid), place })
            }
            _ => convert_at(key.kind, value, place, findings),
        };
        match converted {
            Some(value) => drop(self.values.insert(name.to_owned(), value)),
            // The default stands in, so that other checks can go on.
            None => drop(self.wrong.insert(name.to_owned())),
        }
    }
}

/// Reads one value as `kind`, or reports what is wrong with it.
fn convert_at(
    kind: Kind,
    value: &Spanned<DeValue<'_>>,
    place: Place,
    findings: &mut Findings<'_>,
) -> Option<At<Value>> {
    match convert(kind, value.get_ref()) {
        Ok(value) => Some(At { value, place }),
        Err(wrong) => {
            findings.problem(&place, wrong, hint_for(kind, value.get_ref()));
            None
        }
    }
}

/// Reads one value as `kind`.
fn convert(kind: Kind, value: &DeValue<'_>) -> Result<Value, Wrong> {
    let must = || format!("must be {}", kind.describe());
    let mismatch = || format!("{}, but is {}", must(), name_of(value));
    let text = || value.as_str().ok_or_else(mismatch);
    match kind {
        Kind::Text => match text()? {
            "" => Err("must not be empty".to_owned()),
            text => Ok(Value::Text(text.to_owned())),
        },
        Kind::Choice(words) => match text()? {
            word if words.contains(&word) => Ok(Value::Text(word.to_owned())),
            other => Err(format!("{} is not {}", shown(other), kind.describe())),
        },
        Kind::Count(least, most) => {
            let count = value.as_integer().ok_or_else(mismatch)?;
            let count = u64::from_str_radix(count.as_str(), count.radix()).ok();
            count.filter(|count| (least..=most).contains(count)).map(Value::Count).ok_or_else(must)
        }
        Kind::Share => {
            let share = number(value).ok_or_else(mismatch)?;
            if share > 0.0 && share <= 1.0 { Ok(Value::Number(share)) } else { Err(must()) }
        }
        Kind::Usd => {
            let usd = number(value).ok_or_else(mismatch)?;
            unfail_catalog::price::pico_usd_per_token(usd).map(|_| Value::Number(usd)).ok_or_else(must)
        }
        Kind::Flag => value.as_bool().map(Value::Flag).ok_or_else(mismatch),
        Kind::Duration => match units::duration(text()?)? {
            Duration::ZERO => Err("must be longer than zero".to_owned()),
            duration => Ok(Value::Duration(duration)),
        },
        Kind::Pause => units::duration(text()?).map(Value::Duration),
        Kind::Size => units::size(text()?).map(Value::Count),
        Kind::Address => text()?.parse().map(Value::Address).map_err(|_| must()),
        Kind::Url => base_url(text()?).map(Value::Text).ok_or_else(must),
        Kind::File => match Reference::parse(text()?) {
            Some(file @ Reference::File(_)) => Ok(Value::Reference(file)),
            _ => Err(must()),
        },
        Kind::Secret => Reference::parse(text()?)
            .map(Value::Reference)
            .ok_or_else(|| "a secret must not stand in the file: only a reference to it".to_owned()),
        Kind::Texts | Kind::Secrets => Err(mismatch()),
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// Scheme, host, perhaps port and path, nothing else; without a slash at its end.
fn base_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let plain = |c: char| c.is_ascii_graphic() && !"@?#\\\"<>^`{|}".contains(c);
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse::<u16>().ok().filter(|port| *port > 0))
        }
        _ => (authority, Some(0)),
    };
    let valid = !host.is_empty() && port.is_some() && rest.chars().all(plain);
    valid.then(|| text.trim_end_matches('/').to_owned())
}

fn hint_for(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str();
    match kind {
        Kind::Choice(words) => did_you_mean(text?, words.iter().copied()),
        Kind::Secret => Some("write `\"env:NAME\"` or `\"file:PATH\"`, and the secret there".to_owned()),
        Kind::Secrets | Kind::Texts if text.is_some() => Some("put it in brackets: `[\"…\"]`".to_owned()),
        _ => None,
    }
}

/// The type of a value, with its article.
fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;

    #[test]
    fn every_default_and_example_is_valid() {
        for key in KEYS {
            for text in [key.default, key.example].into_iter().filter(|text| !text.is_empty()) {
                let path = key.path.replace('*', "x");
                let text = format!("{path} = {text}");
                let mut findings = Findings::new("f", &text);
                read(&text, &mut findings);
                assert_eq!(findings.report().to_string(), "", "{path}");
            }
        }
    }

    #[test]
    fn base_urls() {
        let table = [
            ("https://a.example/v1", Some("https://a.example/v1")),
            ("http://10.0.0.5:8000/v1/", Some("http://10.0.0.5:8000/v1")),
            ("http://[::1]:8000", Some("http://[::1]:8000")),
            ("http://[::1]", Some("http://[::1]")),
            ("https://user:key@a.example", None),
            ("https://a.example/v1?key=1", None),
            ("https://a.example/#x", None),
            ("https://a example", None),
            ("https://a.example:x", None),
            ("https://a.example:0", None),
            ("https://a.example:70000", None),
            ("https:///v1", None),
            ("https://:80", None),
            ("ftp://a.example", None),
            ("a.example", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(base_url(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn written_and_default_values_are_told_apart() {
        let text = "[routes.a]\nchain = ['x/y']\n[routes.b.breaker]\nprobes = 3";
        let mut findings = Findings::new("f", text);
        let root = read(text, &mut findings);
        let routes = root.table("routes").unwrap();
        let (a, b) = (routes.table("a").unwrap(), routes.table("b").unwrap());
        assert_eq!(a.duration("connect"), Duration::from_secs(5));
        assert_eq!(a.texts("chain").unwrap()[0].value, "x/y");
        assert!(!a.table("breaker").unwrap().is_written());
        assert!(b.table("breaker").unwrap().is_written());
        assert_eq!(b.table("breaker").unwrap().small("probes"), 3);
        assert_eq!(b.table("breaker").unwrap().small("consecutive"), 5);
        assert!(b.texts("chain").is_none());
    }
}
