//! The conformance grid: every kind of question in every dialect before every wire, and answers the other way.
//!
//! A snapshot shows each input beside all that becomes of it; `questions`, `answers` and `streams` sum up what is
//! said, what gets lost on the way, and what is refused and why. Questions stand in `fixtures/grid/requests`, one file per
//! kind, one member per dialect; a text in place of a body declares that the dialect cannot ask this.

#![cfg(test)]

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use unfail_wire::chat::{
    Amount, ChatRequest, ChatResponse, Effort, Format, Message, Part, Role, Source, Tool, ToolChoice, Usage,
};
use unfail_wire::driver::Driver;
use unfail_wire::event::Event;
use unfail_wire::fold;
use unfail_wire::format::{Dialect, EncoderSetup, Inbound, Refusal, Wire};
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::target::{Quirks, ReasoningControl, Target, Traits};
use unfail_wire::wires::{DIALECTS, WIRES, wire};

// === pages and tables ===

/// What a snapshot shows.
#[derive(Default)]
struct Page(String);

impl Page {
    fn section(&mut self, title: &str, text: &str) {
        writeln!(self.0, "--- {title}\n{}", text.trim_end()).unwrap();
    }

    fn json(&mut self, title: &str, body: &[u8]) {
        let value: Value = serde_json::from_slice(body).unwrap();
        self.section(title, &serde_json::to_string_pretty(&value).unwrap());
    }

    fn check(self, name: &str) {
        insta::with_settings!({ snapshot_path => "grid", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, self.0);
        });
    }
}

/// Rows of cells, printed in columns.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self(vec![head.into_iter().map(str::to_owned).collect()])
    }

    fn check(self, name: &str) {
        let width = |column: usize| {
            self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let mut page = Page::default();
        for row in &self.0 {
            let cells =
                row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column).unwrap()));
            writeln!(page.0, "{}", cells.collect::<Vec<_>>().join(" | ").trim_end()).unwrap();
        }
        page.check(name);
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn dialect_of(wire: &dyn Wire) -> &'static dyn Dialect {
    *DIALECTS.iter().find(|dialect| dialect.same_wire() == Some(wire.name())).unwrap()
}

/// What two things are told apart by, each with a name.
type Facets = Vec<(&'static str, String)>;

/// `yes`, and what is not the same in both: said otherwise, or lost.
fn verdict(before: Facets, after: Facets) -> String {
    let differ = before.into_iter().zip(after).filter(|(before, after)| before != after);
    let names: Vec<_> = differ.map(|((name, _), _)| name).collect();
    if names.is_empty() { "yes".to_owned() } else { format!("yes, changed: {}", names.join(", ")) }
}

fn shown(facets: &mut Facets, name: &'static str, value: impl Debug) {
    facets.push((name, format!("{value:?}")));
}

// === questions ===

/// A model of the usual kind for a wire.
fn traits(wire: &dyn Wire) -> Traits {
    let reasoning = match wire.name() {
        "openai-chat" => ReasoningControl::Effort { least: Effort::None, most: Effort::High },
        _ => ReasoningControl::Budget { min: 1_024, max: 24_576, can_disable: true },
    };
    Traits { max_output: Some(64_000), sampling: Some(true), reasoning, ..Traits::default() }
}

/// How one question fares at one wire: what is sent, and the cell of the table.
fn ask(dialect: &dyn Dialect, inbound: Inbound<'_>, wire: &dyn Wire) -> (Option<Vec<u8>>, String) {
    let (quirks, traits) = (Quirks::NONE, traits(wire));
    let target = Target { model: "m-1", quirks: &quirks, traits: &traits, default_max_tokens: 4_096 };
    if dialect.same_wire() == Some(wire.name()) {
        let outline = dialect.outline(inbound).unwrap();
        let adapted = wire.adapt(inbound, &outline, &target).unwrap().to_vec();
        let renamed =
            String::from_utf8_lossy(inbound.body).replace("\"model\": \"route\"", "\"model\": \"m-1\"");
        let cell = if renamed.as_bytes() == adapted { "as it came" } else { "as it came, adapted" };
        return (Some(adapted), cell.to_owned());
    }
    let request = match dialect.parse(inbound) {
        Ok(request) => request,
        Err(Refusal::Unspeakable(reason)) => return (None, format!("no: {}", reason.what)),
        Err(Refusal::Invalid(invalid)) => panic!("{invalid}"),
    };
    match wire.render(&request, &target) {
        Err(reason) => (None, format!("no: {}", reason.what)),
        Ok(body) => {
            let read = Inbound { body: &body, path_model: Some("m-1"), path_stream: request.stream };
            dialect_of(wire).outline(read).unwrap();
            let mut again = dialect_of(wire).parse(read).unwrap();
            // A limit nobody asked for is none that got lost.
            again.output.max_tokens = again.output.max_tokens.filter(|_| request.output.max_tokens.is_some());
            (Some(body.clone()), verdict(asked(&request), asked(&again)))
        }
    }
}

/// What a question asks, without what only the way of saying it differs in.
fn asked(request: &ChatRequest) -> Facets {
    let mut facets = said(&request.messages);
    let tools = &request.tools;
    let schema = |tool: &Tool| tool.parameters.clone().filter(|schema| schema.get("required").is_some());
    let offered = tools.tools.iter().map(|tool| (tool.name.clone(), tool.description.clone(), schema(tool)));
    shown(&mut facets, "tools", offered.collect::<Vec<_>>());
    shown(&mut facets, "strict tools", tools.tools.iter().any(|tool| tool.strict == Some(true)));
    shown(&mut facets, "tool choice", tools.choice.clone().unwrap_or(ToolChoice::Auto));
    shown(&mut facets, "one call at a time", tools.parallel == Some(false));
    let format = match &request.output.format {
        Format::JsonSchema(wanted) => wanted.schema.to_string(),
        other => format!("{other:?}"),
    };
    shown(&mut facets, "format", format);
    shown(&mut facets, "limit", request.output.max_tokens);
    shown(&mut facets, "several answers", request.output.choices.unwrap_or(1));
    shown(&mut facets, "log probabilities", request.output.logprobs);
    let sampling = &request.sampling;
    shown(&mut facets, "temperature", sampling.temperature);
    shown(&mut facets, "top_p", sampling.top_p);
    shown(&mut facets, "top_k", sampling.top_k);
    shown(&mut facets, "penalties", (sampling.frequency_penalty, sampling.presence_penalty));
    shown(&mut facets, "seed", sampling.seed);
    shown(&mut facets, "stop texts", &sampling.stop);
    let off = |amount| matches!(amount, Amount::Effort(Effort::None) | Amount::Tokens(0));
    shown(&mut facets, "reasoning", request.reasoning.map(|wanted| off(wanted.amount)));
    shown(&mut facets, "shown reasoning", request.reasoning.is_some_and(|wanted| wanted.visible));
    shown(&mut facets, "streaming", request.stream);
    shown(&mut facets, "user", &request.user);
    facets
}

/// What a conversation says, by kind.
fn said(messages: &[Message]) -> Facets {
    let mut facets = Facets::new();
    let parts = || messages.iter().flat_map(|message| message.parts.iter().map(|part| (message.role, part)));
    let of = |role: Role| {
        let texts = parts().filter_map(move |(speaker, part)| match part {
            Part::Text(text) if speaker == role => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    };
    shown(&mut facets, "instructions", of(Role::System));
    shown(&mut facets, "words", (of(Role::User), of(Role::Assistant)));
    let instructed = messages.iter().rposition(|message| message.role == Role::System);
    shown(&mut facets, "place of instructions", instructed.is_some_and(|place| place > 0));
    let media = parts().filter_map(|(_, part)| match part {
        Part::Image(media) | Part::Audio(media) => Some(&media.source),
        Part::File(document) => Some(&document.media.source),
        _ => None,
    });
    shown(&mut facets, "media", media.collect::<Vec<&Source>>());
    let detail = |(_, part): (Role, &Part)| matches!(part, Part::Image(media) if media.detail.is_some());
    shown(&mut facets, "detail of pictures", parts().any(detail));
    shown(&mut facets, "calls", calls(parts().map(|(_, part)| part)));
    let results = || {
        parts().filter_map(|(_, part)| if let Part::ToolResult(result) = part { Some(result) } else { None })
    };
    let told = |part: &Part| if let Part::Text(text) = part { text.clone() } else { "media".to_owned() };
    let contents =
        |(content, error): (&[Part], bool)| (content.iter().map(told).collect::<Vec<_>>().join("\n"), error);
    let pictures = results().flat_map(|result| &result.content).any(|part| matches!(part, Part::Image(_)));
    shown(&mut facets, "pictures in results", pictures);
    let mut results: Vec<_> = results().map(|result| contents((&result.content, result.is_error))).collect();
    results.sort();
    shown(&mut facets, "results", results);
    let seals = parts().filter_map(|(_, part)| {
        if let Part::Thinking(thinking) = part { Some(thinking.seal.is_some()) } else { None }
    });
    shown(&mut facets, "thoughts", seals.collect::<Vec<_>>());
    shown(&mut facets, "refusals", parts().filter(|(_, part)| matches!(part, Part::Refusal(_))).count());
    facets
}

fn calls<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<(String, Value)> {
    let calls = parts.filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
    let arguments = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({}));
    calls.map(|call| (call.name.clone(), arguments(&call.arguments))).collect()
}

#[test]
fn questions() {
    let wires = WIRES.iter().map(|wire| wire.name());
    let mut table = Table::new(["question", "dialect"].into_iter().chain(wires));
    let mut files: Vec<_> = std::fs::read_dir(fixtures().join("grid/requests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let kind = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let bodies: BTreeMap<&str, &RawValue> = serde_json::from_str(&text).unwrap();
        assert_eq!(bodies.len(), DIALECTS.len(), "{kind} leaves a dialect out or makes one up");
        for dialect in DIALECTS {
            let body = bodies[dialect.name()].get();
            let mut row = vec![kind.to_owned(), dialect.name().to_owned()];
            if body.starts_with('"') {
                row.push(format!("cannot ask: {}", body.trim_matches('"')));
            } else {
                let path_stream = kind == "streaming" && dialect.name() == "gemini";
                let inbound = Inbound { body: body.as_bytes(), path_model: Some("route"), path_stream };
                let mut page = Page::default();
                page.json(&format!("{} asks", dialect.name()), body.as_bytes());
                for wire in WIRES {
                    let (sent, cell) = ask(*dialect, inbound, *wire);
                    let title = format!("{}: {cell}", wire.name());
                    match sent {
                        Some(sent) => page.json(&title, &sent),
                        None => page.section(&title, ""),
                    }
                    row.push(cell);
                }
                page.check(&format!("ask_{kind}__{}", dialect.name()));
            }
            table.0.push(row);
        }
    }
    assert!(table.0.len() > 100, "kinds of questions are missing");
    table.check("questions");
}

// === answers ===

/// Whole answers, by wire and folder.
const ANSWERS: [(&str, &str, &[&str]); 3] = [
    (
        "openai-chat",
        "openai_chat/answers",
        &[
            "openai_text",
            "openai_parallel_calls",
            "openai_refusal",
            "openai_filtered",
            "openai_length_without_content",
            "openai_several_choices_with_logprobs",
            "groq_reasoning",
        ],
    ),
    ("anthropic", "anthropic/responses", &["full", "refusal", "silent", "stop_sequence"]),
    (
        "gemini",
        "gemini/answers",
        &["text", "calls_without_ids", "length_on_thoughts", "logprobs", "picture", "two_candidates"],
    ),
];

/// Streams, by wire and folder; some of them fail.
const STREAMS: [(&str, &str, &[&str]); 3] = [
    (
        "openai-chat",
        "openai_chat/streams",
        &[
            "openai_text",
            "openai_parallel_calls",
            "openai_several_choices_with_logprobs",
            "groq_reasoning_and_usage",
            "openai_error_frame",
            "no_done_and_unfinished",
        ],
    ),
    ("anthropic", "anthropic/streams", &["full", "newer", "overloaded", "refused"]),
    (
        "gemini",
        "gemini/streams",
        &[
            "text",
            "calls_and_a_finish_on_every_frame",
            "two_candidates",
            "blocked_prompt",
            "error_in_the_middle",
            "cut",
        ],
    ),
];

/// Shows every case to `tell`, which fills its page and row.
fn each(
    cases: [(&str, &str, &[&str]); 3],
    name: &str,
    tell: impl Fn(&str, &dyn Wire, &dyn Dialect, &mut Page) -> String,
) {
    let dialects = DIALECTS.iter().map(|dialect| dialect.name());
    let mut table = Table::new(["wire", name].into_iter().chain(dialects));
    for (wire_name, folder, names) in cases {
        let wire = wire(wire_name).unwrap();
        for case in names {
            let extension = if folder.ends_with("streams") { "sse" } else { "json" };
            let input = std::fs::read_to_string(fixtures().join(folder).join(case).with_extension(extension))
                .unwrap();
            let mut page = Page::default();
            page.section(&format!("{wire_name} says"), &input);
            let mut row = vec![wire_name.to_owned(), (*case).to_owned()];
            row.extend(DIALECTS.iter().map(|dialect| tell(&input, wire, *dialect, &mut page)));
            table.0.push(row);
            page.check(&format!("{name}_{wire_name}__{case}"));
        }
    }
    table.check(&format!("{name}s"));
}

/// What an answer says, without what only the way of saying it differs in.
fn answered(response: &ChatResponse) -> Facets {
    let mut facets = Facets::new();
    let parts = || response.choices.iter().flat_map(|choice| &choice.parts);
    let text = |of: fn(&Part) -> Option<&str>| {
        response
            .choices
            .iter()
            .map(|choice| choice.parts.iter().filter_map(of).collect::<String>())
            .collect::<Vec<_>>()
    };
    shown(&mut facets, "several answers", response.choices.len());
    shown(
        &mut facets,
        "words",
        text(|part| if let Part::Text(text) = part { Some(text) } else { None }).first().cloned(),
    );
    shown(
        &mut facets,
        "refusals",
        text(|part| if let Part::Refusal(text) = part { Some(text) } else { None }).concat(),
    );
    shown(
        &mut facets,
        "thoughts",
        text(|part| if let Part::Thinking(thinking) = part { Some(&thinking.text) } else { None })
            .first()
            .cloned(),
    );
    let sealed = |part: &Part| matches!(part, Part::Thinking(thinking) if thinking.seal.is_some());
    let sealed = |part: &&Part| sealed(part) || matches!(part, Part::ToolCall(call) if call.seal.is_some());
    shown(&mut facets, "seals", parts().filter(sealed).count());
    shown(&mut facets, "calls", calls(parts()));
    shown(
        &mut facets,
        "media",
        parts().filter(|part| matches!(part, Part::Image(_) | Part::Audio(_) | Part::File(_))).count(),
    );
    shown(&mut facets, "reason to end", response.choices.first().map(|choice| &choice.finish));
    shown(&mut facets, "log probabilities", response.choices.iter().any(|choice| choice.logprobs.is_some()));
    let Usage { input, cache_read, cache_write, output, reasoning } = response.usage.unwrap_or_default();
    shown(&mut facets, "tokens", (input, output));
    shown(&mut facets, "details of tokens", (cache_read, cache_write, reasoning));
    facets
}

#[test]
fn answers() {
    each(ANSWERS, "answer", |input, wire, dialect, page| {
        let response = wire.parse(input.as_bytes()).unwrap();
        let told = dialect.render(&response);
        let again = dialect.same_wire().and_then(unfail_wire::wires::wire).map(|wire| wire.parse(&told));
        let cell = match again {
            None => "the text".to_owned(),
            Some(Ok(again)) => verdict(answered(&response), answered(&again)),
            Some(Err(flaw)) => format!("{flaw:?}"),
        };
        page.json(&format!("{}: {cell}", dialect.name()), &told);
        cell
    });
}

/// Reads a whole stream: what it says, and the answer that makes, if it is complete.
fn heard(wire: &dyn Wire, stream: &[u8]) -> (Vec<Event>, Option<ChatResponse>) {
    let mut driver = Driver::new(wire.decoder());
    driver.push(Bytes::copy_from_slice(stream));
    let mut events = Vec::new();
    while driver.next(&mut events).is_some() {}
    let whole = driver.finish(&mut events).is_ok();
    let response = fold::collect(events.iter().cloned()).filter(|_| whole);
    (events, response)
}

#[test]
fn streams() {
    let problem = Problem {
        kind: ProblemKind::Upstream,
        status: 502,
        message: "the answer broke off".to_owned(),
        code: None,
        param: None,
        retry_after: None,
        request_id: "req-1".to_owned(),
        trail: None,
    };
    each(STREAMS, "stream", |input, wire, dialect, page| {
        let (events, response) = heard(wire, input.as_bytes());
        let (id, model) = ("own-id".to_owned(), "route".to_owned());
        let mut encoder =
            dialect.encoder(EncoderSetup { id, model, open: false, created: 1_763_700_000, usage: true });
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        if response.is_none() {
            encoder.problem(&problem, &mut out);
        }
        let again = dialect.same_wire().and_then(unfail_wire::wires::wire).map(|wire| heard(wire, &out).1);
        let cell = match (&response, again) {
            (None, Some(Some(_))) => panic!("{} tells a broken stream as a whole one", dialect.name()),
            (Some(_), Some(None)) => panic!("{} breaks a whole stream", dialect.name()),
            (None, _) => "an error".to_owned(),
            (Some(_), None) => "the text".to_owned(),
            (Some(response), Some(Some(again))) => verdict(answered(response), answered(&again)),
        };
        page.section(&format!("{}: {cell}", dialect.name()), std::str::from_utf8(&out).unwrap());
        cell
    });
}
