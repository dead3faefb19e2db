//! What several targets share: requests and answers made from bytes, and the laws every stream obeys.

use bytes::Bytes;
use unfail_wire::driver::{Driver, StreamFault};
use unfail_wire::event::Event;
use unfail_wire::fold;
use unfail_wire::format::{Dialect, EncoderSetup, Flaw, Inbound, Summary, Wire};
use unfail_wire::laws::{Laws, check_response};
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::target::{
    ErrorQuirk, JsonMode, MaxTokens, Quirks, ReasoningControl, ReasoningHistory, StreamUsage, Target,
    ToolIds, Traits,
};
use unfail_wire::wires::{DIALECTS, wire};

/// A host that differs in everything it can.
pub const CROOKED: Quirks = Quirks {
    max_tokens: MaxTokens::MaxTokens,
    max_tokens_always: true,
    stream_usage: StreamUsage::Always,
    reasoning_history: ReasoningHistory::ReasoningContentRequired,
    developer_role: false,
    json_schema: JsonMode::Object,
    flat_text: true,
    tool_ids: ToolIds::Nine,
    seed: None,
    stop_list: true,
    no_strict_tools: true,
    no_names: true,
    refused: &["n", "user", "logit_bias"],
    errors: ErrorQuirk::None,
};

/// Gives `body` to `check` as it came, and with the model and the wish to stream that some formats put in the path.
pub fn inbound(body: &[u8], check: impl Fn(Inbound<'_>)) {
    check(Inbound { body, path_model: None, path_stream: false });
    check(Inbound { body, path_model: Some("models/m"), path_stream: true });
}

/// Shows `check` a plain target and a crooked one.
pub fn targets(check: impl Fn(&Target<'_>)) {
    let plain = Traits { sampling: Some(true), ..Traits::default() };
    let narrow = Traits {
        max_output: Some(100),
        sampling: Some(false),
        forced_tool: Some(false),
        prefill: Some(false),
        reasoning: ReasoningControl::Budget { min: 128, max: 2_048, can_disable: true },
        tools_without_reasoning: true,
        ..Traits::default()
    };
    for (quirks, traits) in [(&Quirks::NONE, &plain), (&CROOKED, &narrow)] {
        check(&Target { model: "m/1", quirks, traits, default_max_tokens: 4_096 });
    }
}

/// The whole answer and the stream that `data` may be for a provider of `name`: neither panics, what they say obeys
/// the laws, whichever way the stream is cut, and what a caller then gets never claims more than was said.
pub fn answers(name: &str, data: &[u8]) {
    let wire = wire(name).expect("a wire");
    whole(wire, data);
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let (events, end) = stream(wire, &[data]);
    let pieces: Vec<&[u8]> = data.chunks(usize::from(*first % 32) + 1).collect();
    assert_eq!((&events, &end), (&stream(wire, &pieces).0, &stream(wire, &pieces).1), "cut into pieces");
    bounded(&events, data.len());
    obeys(&events, end.is_ok());
    for dialect in DIALECTS {
        relayed(*dialect, &events, end.is_ok());
    }
    // Half of a stream is never all of it, unless it said so by then.
    let (half, ended) = stream(wire, &[rest.get(..rest.len() / 2).unwrap_or_default()]);
    obeys(&half, ended.is_ok());
}

/// Reads a stream that arrives in these pieces: what it says, and how it ends.
fn stream(wire: &dyn Wire, pieces: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut driver = Driver::new(wire.decoder());
    let mut events = Vec::new();
    let mut fault = None;
    for piece in pieces {
        driver.push(Bytes::copy_from_slice(piece));
        while let Some(read) = driver.next(&mut events) {
            fault = fault.or(read.err());
        }
    }
    let end = driver.finish(&mut events).map(|_| ());
    (events, fault.map_or(end, Err))
}

fn obeys(events: &[Event], whole: bool) {
    let mut laws = Laws::default();
    for event in events {
        assert_eq!(laws.check(event), Ok(()), "{event:?} in {events:?}");
    }
    assert!(laws.is_over() || !whole, "a whole stream without its end: {events:?}");
    if whole {
        assert!(fold::collect(events.iter().cloned()).is_some(), "{events:?}");
    }
}

/// Events may not be many more, nor say much more, than the bytes they were read from.
fn bounded(events: &[Event], bytes: usize) {
    let said: usize = events.iter().map(|event| format!("{event:?}").len()).sum();
    assert!(said <= 64 * bytes + 1_024, "{said} bytes said by {bytes}");
}

fn setup() -> EncoderSetup {
    EncoderSetup { id: "a".into(), model: "m".into(), open: false, created: 1, usage: true }
}

/// What a caller gets: a whole answer is whole for them, any other is none.
fn relayed(dialect: &dyn Dialect, events: &[Event], whole: bool) {
    let mut encoder = dialect.encoder(setup());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    if !whole {
        encoder.problem(&problem(), &mut out);
    }
    let Some(wire) = dialect.same_wire().and_then(wire) else { return };
    let (again, end) = stream(wire, &[&out]);
    let text = String::from_utf8_lossy(&out);
    assert!(whole || end.is_err(), "{} tells a broken stream as a whole one: {text}", dialect.name());
    let finished = events.iter().any(|event| matches!(event, Event::Finish { choice: 0, .. }));
    if whole && finished {
        assert_eq!(end, Ok(()), "{} breaks a whole stream: {text}", dialect.name());
        obeys(&again, true);
    }
}

fn problem() -> Problem {
    Problem {
        kind: ProblemKind::Upstream,
        status: 502,
        message: "cut".into(),
        code: None,
        param: None,
        retry_after: None,
        request_id: "r".into(),
        trail: None,
    }
}

/// A whole answer reads without panic; what it says can be told in every dialect.
fn whole(wire: &dyn Wire, body: &[u8]) {
    let parsed = wire.parse(body);
    let expected = parsed.as_ref().map(Summary::of);
    assert_eq!(format!("{:?}", wire.summary(body).as_ref()), format!("{:?}", expected.as_ref()), "summed up");
    let response = match parsed {
        Ok(response) => response,
        Err(Flaw::Failed(error)) => return assert!(error.message.len() <= 2_048),
        Err(Flaw::Malformed(_) | Flaw::Empty | Flaw::Refused(_)) => return,
    };
    assert_eq!(check_response(&response), Ok(()));
    for dialect in DIALECTS {
        let told = dialect.render(&response);
        let value: Result<serde_json::Value, _> = serde_json::from_slice(&told);
        assert!(value.is_ok(), "{} writes no JSON: {}", dialect.name(), String::from_utf8_lossy(&told));
    }
    obeys(&fold::replay(response), true);
}

/// An HTTP answer as the seeds spell it: status, headers, a blank line, the body.
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Any bytes are an answer.
    pub fn read(data: &'a [u8]) -> Self {
        let blank = data.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = data.split_at(blank.unwrap_or(data.len()));
        let mut lines = std::str::from_utf8(head).unwrap_or_default().lines();
        let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
        let headers = lines.filter_map(|line| line.split_once(": ")).collect();
        Self { status, headers, body: body.get(2..).unwrap_or_default() }
    }
}
