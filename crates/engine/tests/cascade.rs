//! The cascade as a library, against simulated providers over real sockets.

#![cfg(test)]

use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use unfail_engine::failure::FailureKind;
use unfail_engine::{Cascade, CascadeBuilder, CascadeError};
use unfail_policy::attempt::Rules;
use unfail_sim::{Act, Break, Fault, Hint, Odd, Provider, Refusal, Script, Speaks};
use unfail_testkit::eventually;
use unfail_wire::chat::{ChatRequest, Message, Part, Role};
use unfail_wire::event::{Delta, Event};

const KEY: &str = "sk-library-test-0123456789abcdef";

/// Two simulated providers of different wires, and a cascade over them.
struct Pair {
    first: Provider,
    second: Provider,
    cascade: Cascade,
}

fn pair(first: impl Into<Act>) -> Pair {
    pair_of(Script::first([first.into()]), Script::default())
}

fn pair_of(first: Script, second: Script) -> Pair {
    let first = Provider::start(Speaks::Anthropic, first).unwrap();
    let second = Provider::start(Speaks::Gemini, second).unwrap();
    let cascade = builder(&first, &second).build().unwrap();
    Pair { first, second, cascade }
}

fn builder(first: &Provider, second: &Provider) -> CascadeBuilder {
    Cascade::builder()
        .target("anthropic", "claude-haiku-4-5")
        .target("gemini", "gemini-2.5-flash")
        .base_url("anthropic", first.base_url())
        .base_url("gemini", second.base_url())
        .key("anthropic", KEY)
        .key("gemini", KEY)
        .rules(Rules {
            first_token: Duration::from_millis(400),
            deadline: Duration::from_secs(5),
            ..Rules::default()
        })
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
struct City {
    name: String,
    inhabitants: u32,
    rivers: Vec<String>,
}

#[tokio::test]
async fn the_first_target_answers() {
    let pair = pair_of(Script::default(), Script::default());
    let reply = pair.cascade.text("Hello").await.unwrap();
    assert_eq!(reply.target.as_ref(), "anthropic/claude-haiku-4-5");
    assert!(reply.value.contains("Hello"), "{}", reply.value);
    assert!(reply.usage.unwrap().output > 0);
    assert!(reply.cost_usd.unwrap() > 0.0);
    assert_eq!(reply.trail.compact(), "anthropic:ok");
    assert_eq!((pair.first.count(), pair.second.count()), (1, 0));
}

#[tokio::test]
async fn provider_faults_cascade_and_the_trail_tells() {
    let cases: Vec<(Act, &str)> = vec![
        (Hint::RetryAfterSeconds(30).into(), "anthropic:rate_limited,gemini:ok"),
        (Hint::Nothing.into(), "anthropic:rate_limited,gemini:ok"),
        (Refusal::Overloaded.into(), "anthropic:overloaded,gemini:ok"),
        (Refusal::ServerError.into(), "anthropic:transient,gemini:ok"),
        (Refusal::HtmlBadGateway.into(), "anthropic:transient,gemini:ok"),
        (Refusal::Unauthorized.into(), "anthropic:auth,gemini:ok"),
        (Refusal::PaymentRequired.into(), "anthropic:quota,gemini:ok"),
        (Refusal::ModelNotFound.into(), "anthropic:config,gemini:ok"),
        (Break::ResetBeforeHeaders.into(), "anthropic:transient,gemini:ok"),
        (Odd::ErrorUnder200.into(), "anthropic:transient,gemini:ok"),
        (Odd::InvalidJson.into(), "anthropic:malformed,gemini:ok"),
    ];
    for (act, trail) in cases {
        let name = act.to_string();
        let pair = pair(act);
        let reply = pair.cascade.text("Hello").await.unwrap();
        let told = reply.trail.compact();
        let (class, expected) = (told.split(',').next(), trail.split(',').next());
        assert_eq!((class, reply.target.split('/').next()), (expected, Some("gemini")), "{name}: {told}");
        assert_eq!((pair.first.count(), pair.second.count()), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn a_fault_of_the_caller_does_not_cascade() {
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages: roles must alternate"}}"#;
    let pair = pair(Act::Status { status: 400, headers: Vec::new(), body: refusal.to_owned() });
    let error = pair.cascade.text("Hello").await.unwrap_err();
    let CascadeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.kind, FailureKind::ClientFault);
    assert!(failure.message.contains("roles must alternate"), "{}", failure.message);
    assert_eq!((pair.first.count(), pair.second.count()), (1, 0));
}

#[tokio::test]
async fn when_all_fail_the_last_error_comes_back_with_the_trail() {
    let pair = pair_of(Script::always(Hint::RetryAfterSeconds(60)), Script::always(Refusal::ServerError));
    let error = pair.cascade.text("Hello").await.unwrap_err();
    let trail = error.trail().unwrap().compact();
    assert!(trail.starts_with("anthropic:rate_limited,gemini:transient"), "{trail}");
    let CascadeError::Failed(failure) = error else { panic!("{error:?}") };
    assert!(failure.retry_after.unwrap() <= Duration::from_secs(60));
    assert!(!format!("{failure:?}").contains(KEY));
}

#[tokio::test]
async fn json_is_json_and_words_are_not() {
    let pair = pair(Act::Say("I would rather not.".to_owned(), Box::default()));
    let reply = pair.cascade.json("Name a city as JSON").await.unwrap();
    assert!(reply.value.is_object(), "{}", reply.value);
    assert_eq!(reply.trail.compact().split(',').next(), Some("anthropic:malformed"));
}

#[tokio::test]
async fn a_typed_answer_matches_its_schema_or_the_next_target_is_asked() {
    for wrong in
        ["{\"name\": \"Bern\"}", "{\"name\":\"Bern\",\"inhabitants\":-1,\"rivers\":[]}", "[]", "Bern"]
    {
        let pair = pair(Act::Say(wrong.to_owned(), Box::default()));
        let reply = pair.cascade.typed::<City>("Name a city").await.unwrap();
        assert_eq!(reply.target.as_ref(), "gemini/gemini-2.5-flash", "{wrong}");
        assert!(!reply.value.name.is_empty(), "{wrong}: {:?}", reply.value);
    }
    let fenced =
        "Here it is:\n```json\n{\"name\":\"Bern\",\"inhabitants\":134000,\"rivers\":[\"Aare\"]}\n```";
    let pair = pair(Act::Say(fenced.to_owned(), Box::default()));
    let reply = pair.cascade.typed::<City>("Name a city").await.unwrap();
    let bern = City { name: "Bern".into(), inhabitants: 134_000, rivers: vec!["Aare".into()] };
    assert_eq!((reply.value, pair.second.count()), (bern, 0));
}

#[tokio::test]
async fn a_stream_falls_through_before_its_first_token_and_breaks_honestly_after_it() {
    let request = ChatRequest {
        messages: vec![Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None }],
        ..ChatRequest::default()
    };
    let unseen = pair(Fault::CutBeforeFirst);
    let (head, mut stream) = unseen.cascade.stream(&request).await.unwrap();
    assert_eq!(head.target.as_ref(), "gemini/gemini-2.5-flash");
    let mut events = Vec::new();
    while let Some(read) = stream.next(&mut events).await {
        read.unwrap();
    }
    let text: String = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta: Delta::Text(text), .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(text.contains("Hello"), "{text}");
    assert_eq!(events.last(), Some(&Event::End));

    let seen = pair(Fault::CutAfter(3));
    let (_, mut stream) = seen.cascade.stream(&request).await.unwrap();
    let mut events = Vec::new();
    let cut = loop {
        match stream.next(&mut events).await {
            Some(Ok(_)) => {}
            Some(Err(failure)) => break failure,
            None => panic!("a cut stream ended as if it were complete: {events:?}"),
        }
    };
    assert_eq!(cut.code.as_deref(), Some("stream_interrupted"));
    assert_eq!(cut.trail.compact(), "anthropic:mid_stream", "it did not answer after all");
    assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. } | Event::End)), "{events:?}");
    assert!(stream.next(&mut events).await.is_none());
    assert_eq!((seen.first.count(), seen.second.count()), (1, 0));
}

#[tokio::test]
async fn a_hang_costs_the_first_token_limit_and_no_more() {
    let pair = pair(Break::HangBeforeHeaders);
    let request = ChatRequest {
        messages: vec![Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None }],
        ..ChatRequest::default()
    };
    let (head, _stream) = pair.cascade.stream(&request).await.unwrap();
    assert_eq!(head.trail.compact(), "anthropic:timeout,gemini:ok");
}

#[tokio::test]
async fn leaving_closes_the_connection_to_the_provider() {
    let pair = pair_of(Script::always(Break::HangBeforeHeaders), Script::default());
    let asking = tokio::time::timeout(Duration::from_millis(150), pair.cascade.text("Hello"));
    assert!(asking.await.is_err());
    eventually(Duration::from_secs(1), || pair.first.cancelled() == 1).await.unwrap();
    assert_eq!(pair.first.in_flight(), 0);
}

#[tokio::test]
async fn a_provider_of_ones_own_has_a_wire_and_a_base_url() {
    let own = Provider::start(Speaks::OpenAiChat, Script::default().accepting([KEY])).unwrap();
    let free = Provider::start(Speaks::Gemini, Script::default()).unwrap();
    let builder = Cascade::builder()
        .target("in-house", "qwen3-32b")
        .wire("in-house", "openai-chat")
        .base_url("in-house", format!("{}/v1", own.base_url()))
        .key("in-house", KEY);
    let reply = builder.build().unwrap().text("Hello").await.unwrap();
    assert_eq!((reply.target.as_ref(), own.count()), ("in-house/qwen3-32b", 1));
    let builder = Cascade::builder().target("spare", "m").wire("spare", "gemini").key("spare", KEY);
    let reply = builder.base_url("spare", free.base_url()).build().unwrap().text("Hello").await.unwrap();
    assert_eq!((reply.target.as_ref(), free.count()), ("spare/m", 1));
}

#[test]
fn an_authority_is_read_from_its_file() {
    let build = |file: &std::path::Path| {
        let builder = Cascade::builder().target("own", "m").wire("own", "openai-chat");
        builder.base_url("own", "https://127.0.0.1:9/v1").ca("own", file).build()
    };
    let folder = std::env::temp_dir().join(format!("unfail-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let missing = build(&folder.join("none.pem")).unwrap_err().to_string();
    assert!(missing.contains("no such file"), "{missing}");
    std::fs::write(folder.join("no.pem"), "words").unwrap();
    let empty = build(&folder.join("no.pem")).unwrap_err().to_string();
    assert!(empty.contains("holds no certificate"), "{empty}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A key that was refused is told by its provider, at once and also while nothing is sent any more.
#[tokio::test]
async fn what_a_target_rests_from_is_said() {
    let refused = || Script::always(Refusal::Unauthorized);
    let pair = pair_of(refused(), refused());
    assert!(pair.cascade.text("Hello").await.is_err());
    let CascadeError::Failed(second) = pair.cascade.text("Hello").await.unwrap_err() else { panic!() };
    assert_eq!(second.trail.calls, 0);
    assert_eq!(second.trail.compact(), "anthropic:resting(credential),gemini:resting(credential)");
    for part in ["the key of `anthropic` (`given`) was refused, next try in 9", "the key of `gemini`"] {
        assert!(second.message.contains(part), "{part}: {}", second.message);
    }
    assert!(!second.message.contains(KEY), "{}", second.message);
}

#[test]
fn what_cannot_be_built_says_why() {
    let unknown = Cascade::builder().target("antropic", "x").key("antropic", KEY).build().unwrap_err();
    assert!(unknown.to_string().contains("antropic"), "{unknown}");
    let keyless = Cascade::builder().target("deepseek", "x").build().unwrap_err();
    assert!(keyless.to_string().contains("set DEEPSEEK_API_KEY"), "{keyless}");
    assert!(Cascade::builder().build().is_err());
    let text = format!("{:?}", Cascade::builder().target("anthropic", "x").key("anthropic", KEY));
    assert!(!text.contains(KEY), "{text}");
}
