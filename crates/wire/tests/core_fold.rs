//! Streams folded into answers and answers told as streams, with the law that joins both.

#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};
use unfail_wire::chat::{
    ChatResponse, Choice, Finish, Media, Part, Seal, Source, Thinking, ToolCall, ToolResult, Usage,
};
use unfail_wire::event::{Delta, Event};
use unfail_wire::fold::{collect, normal, replay};
use unfail_wire::laws::Laws;

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn seal(data: &str, redacted: bool) -> Seal {
    Seal { wire: "test", redacted, data: data.into() }
}

fn thinking(text: &str, seal: Option<Seal>) -> Part {
    Part::Thinking(Thinking { text: text.into(), seal })
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: arguments.into(), seal: None })
}

fn answer(parts: Vec<Part>) -> ChatResponse {
    ChatResponse { choices: vec![choice(parts)], ..ChatResponse::default() }
}

fn choice(parts: Vec<Part>) -> Choice {
    Choice { parts, finish: Finish::Stop, logprobs: None }
}

/// The stream of one choice, from its deltas.
fn stream(deltas: Vec<Delta>) -> Vec<Event> {
    let start = Event::Start { id: String::new(), model: String::new() };
    let deltas = deltas.into_iter().map(|delta| Event::Delta { choice: 0, delta });
    let end = [Event::Finish { choice: 0, finish: Finish::Stop }, Event::End];
    std::iter::once(start).chain(deltas).chain(end).collect()
}

fn begin(call: u32, id: &str) -> Delta {
    Delta::ToolCall { call, id: id.into(), name: "f".into(), seal: None }
}

fn arguments(call: u32, json: &str) -> Delta {
    Delta::Arguments { call, json: json.into() }
}

#[test]
fn deltas_become_parts() {
    use Delta::{Refusal, Text, Thinking as Think, ThinkingSeal as Close};
    let cases: Vec<(Vec<Delta>, Vec<Part>)> = vec![
        (vec![], vec![]),
        (vec![Text("Hel".into()), Text(String::new()), Text("lo".into())], vec![text("Hello")]),
        (vec![Refusal("I ".into()), Refusal("won't".into())], vec![Part::Refusal("I won't".into())]),
        (
            vec![
                Think("a".into()),
                Think("b".into()),
                Close(seal("s", false)),
                Think("c".into()),
                Text("d".into()),
            ],
            vec![thinking("ab", Some(seal("s", false))), thinking("c", None), text("d")],
        ),
        (vec![Close(seal("s", false))], vec![thinking("", Some(seal("s", false)))]),
        (
            vec![Think("a".into()), Close(seal("r", true)), Think("b".into())],
            vec![thinking("a", None), thinking("", Some(seal("r", true))), thinking("b", None)],
        ),
        (
            vec![
                Text("x".into()),
                begin(0, "one"),
                begin(1, "two"),
                arguments(1, "{\"b\""),
                arguments(0, "{}"),
                arguments(1, ":2}"),
                Text("y".into()),
            ],
            vec![text("x"), call("one", "{}"), call("two", "{\"b\":2}"), text("y")],
        ),
    ];
    for (deltas, parts) in cases {
        let events = stream(deltas);
        assert_eq!(collect(events.clone()), Some(answer(parts)), "{events:?}");
    }
}

#[test]
fn several_choices_stand_in_order() {
    let says = |choice, said: &str| Event::Delta { choice, delta: Delta::Text(said.into()) };
    let ends = |choice, finish| Event::Finish { choice, finish };
    let events = vec![
        Event::Start { id: "id".into(), model: "m".into() },
        says(1, "b"),
        says(0, "a"),
        says(1, "B"),
        ends(1, Finish::Length),
        ends(0, Finish::Stop),
        Event::Usage(Usage { output: 1, ..Usage::default() }),
        Event::Usage(Usage { input: 2, output: 3, ..Usage::default() }),
        Event::End,
    ];
    let expect = ChatResponse {
        id: "id".into(),
        model: "m".into(),
        created: None,
        choices: vec![choice(vec![text("a")]), Choice { finish: Finish::Length, ..choice(vec![text("bB")]) }],
        usage: Some(Usage { input: 2, output: 3, ..Usage::default() }),
    };
    assert_eq!(collect(events), Some(expect));
}

#[test]
fn logprobs_are_joined() {
    let told = |logprobs: &[Value]| {
        let deltas = logprobs.iter().cloned().map(Delta::Logprobs).collect();
        collect(stream(deltas)).and_then(|answer| answer.choices.into_iter().next()?.logprobs)
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&[json!({"content": [1]})]), Some(json!({"content": [1]})));
    assert_eq!(
        told(&[json!({"content": [1], "refusal": null}), json!({"content": [2, 3], "refusal": null})]),
        Some(json!({"content": [1, 2, 3], "refusal": null})),
    );
    assert_eq!(
        told(&[json!({"content": [1]}), json!({"content": null, "refusal": [2]})]),
        Some(json!({"content": [1], "refusal": [2]})),
    );
    assert_eq!(told(&[json!(null), json!({"content": [1]})]), Some(json!({"content": [1]})));
}

#[test]
fn an_unfinished_stream_is_no_answer() {
    let whole = stream(vec![Delta::Text("x".into())]);
    assert!(collect(whole.clone()).is_some());
    for length in 0..whole.len() {
        assert_eq!(collect(whole[..length].to_vec()), None, "{length}");
    }
    let without_finish: Vec<_> =
        whole.into_iter().filter(|event| !matches!(event, Event::Finish { .. })).collect();
    assert_eq!(collect(without_finish), None);
}

#[test]
fn what_cannot_be_streamed_is_left_out() {
    let media = Media { mime: None, source: Source::Url("https://x".into()), detail: None };
    let result = ToolResult { id: "c".into(), content: vec![], is_error: false };
    let parts = vec![text("a"), Part::Image(media), Part::ToolResult(result), text(""), text("b")];
    let response = ChatResponse { created: Some(1), ..answer(parts) };
    assert_eq!(normal(response.clone()), answer(vec![text("ab")]));
    assert_eq!(collect(replay(response)), Some(answer(vec![text("ab")])));
}

fn part() -> impl Strategy<Value = Part> {
    let seal =
        || prop::option::of(("[a-z]{0,3}", any::<bool>()).prop_map(|(data, redacted)| seal(&data, redacted)));
    prop_oneof![
        3 => "[a-zé🙂]{0,4}".prop_map(Part::Text),
        1 => "[a-z]{0,3}".prop_map(Part::Refusal),
        3 => ("[a-z]{0,3}", seal()).prop_map(|(text, seal)| thinking(&text, seal)),
        3 => ("[a-z]{0,2}", "[{}a]{0,3}", seal()).prop_map(|(id, arguments, seal)| {
            Part::ToolCall(ToolCall { id, name: "f".into(), arguments, seal })
        }),
    ]
}

fn finish() -> impl Strategy<Value = Finish> {
    prop::sample::select(vec![
        Finish::Stop,
        Finish::StopSequence(None),
        Finish::StopSequence(Some("x".into())),
        Finish::Length,
        Finish::ToolCalls,
        Finish::ContentFilter,
    ])
}

fn response() -> impl Strategy<Value = ChatResponse> {
    let logprobs =
        prop::option::of(prop_oneof![Just(json!(null)), Just(json!({"content": [1], "refusal": null}))]);
    let choice = (prop::collection::vec(part(), 0..8), finish(), logprobs)
        .prop_map(|(parts, finish, logprobs)| Choice { parts, finish, logprobs });
    let usage = (0_u64..9, 0_u64..9).prop_map(|(input, output)| Usage { input, output, ..Usage::default() });
    let created = prop::option::of(any::<u64>());
    ("[a-z]{0,3}", "[a-z]{0,3}", created, prop::collection::vec(choice, 0..4), prop::option::of(usage))
        .prop_map(|(id, model, created, choices, usage)| ChatResponse { id, model, created, choices, usage })
}

/// Cuts every text of a stream into single characters.
fn shredded(events: Vec<Event>) -> Vec<Event> {
    let letters = |text: String| text.chars().map(String::from).collect::<Vec<_>>();
    let cut = |delta| -> Vec<Delta> {
        match delta {
            Delta::Text(text) => letters(text).into_iter().map(Delta::Text).collect(),
            Delta::Thinking(text) => letters(text).into_iter().map(Delta::Thinking).collect(),
            Delta::Refusal(text) => letters(text).into_iter().map(Delta::Refusal).collect(),
            Delta::Arguments { call, json } => {
                letters(json).into_iter().map(|json| Delta::Arguments { call, json }).collect()
            }
            whole => vec![whole],
        }
    };
    let expand = |event| match event {
        Event::Delta { choice, delta } => {
            cut(delta).into_iter().map(|delta| Event::Delta { choice, delta }).collect()
        }
        whole => vec![whole],
    };
    events.into_iter().flat_map(expand).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn folding_a_replay_gives_the_normal_form(response in response()) {
        let expect = Some(normal(response.clone()));
        let events = replay(response);
        let mut laws = Laws::default();
        for event in &events {
            prop_assert_eq!(laws.check(event), Ok(()));
        }
        prop_assert!(laws.is_over());
        prop_assert_eq!(&collect(events.clone()), &expect);
        prop_assert_eq!(&collect(shredded(events)), &expect);
    }

    #[test]
    fn the_normal_form_is_stable(response in response()) {
        let once = normal(response);
        prop_assert_eq!(normal(once.clone()), once);
    }
}
