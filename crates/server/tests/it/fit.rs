//! Targets that cannot do what a request needs, keys that are spare, and answers that are not text.

use serde_json::{Value, json};
use unfail_sim::{Script, Speaks};
use unfail_testkit::canned::json as canned_json;
use unfail_testkit::{After, Canned};

use crate::stage::{PATIENCE, Plot, Stage, always, key_of, target};
use crate::way::Way;

async fn ask(stage: &Stage, members: Value, stream: bool) -> crate::way::Told {
    let mut body = Way::OpenAi.body("main", "hello", stream);
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    stage.send(Way::OpenAi, &[], &body).await
}

fn tools() -> Value {
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"tools": [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]})
}

fn picture() -> Value {
    let pixel = "data:image/png;base64,iVBORw0KGgo=";
    let parts =
        json!([{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": pixel}}]);
    json!({"messages": [{"role": "user", "content": parts}]})
}

#[tokio::test]
async fn a_target_that_cannot_is_skipped_uncalled() {
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    for (fact, needs) in [
        ("tools = false", tools()),
        ("images = false", picture()),
        ("context = 10", json!({"messages": [{"role": "user", "content": "hello ".repeat(100)}]})),
        ("json_schema = false", json!({"response_format": schema})),
    ] {
        for wire in [Speaks::Anthropic, Speaks::Gemini] {
            let facts = |name: &str| format!("[models.\"{}\"]\n{fact}\n", target(name));
            let plot = Plot::pair((wire, Speaks::OpenAiChat), always("answer"));
            let stage = plot.clone().more(&facts("alder")).open().await;
            let told = ask(&stage, needs.clone(), false).await;
            assert_eq!(
                (told.status, told.trail()),
                (200, "alder:skipped,birch:ok"),
                "{fact} at {wire}: {told:?}"
            );
            assert_eq!(stage.calls(), [0, 1], "{fact} at {wire}");

            let stage = plot.more(&facts("alder")).more(&facts("birch")).open().await;
            let told = ask(&stage, needs.clone(), true).await;
            assert!(told.is_error(400), "{fact} at {wire}: {told:?}");
            assert_eq!(told.trail(), "alder:skipped,birch:skipped", "{fact} at {wire}");
            assert_eq!(stage.calls(), [0, 0], "{fact} at {wire}");
        }
    }
}

/// A window nobody knows is not said to be too short.
#[tokio::test]
async fn a_prompt_too_long_for_one_is_not_too_long_for_all() {
    let unknown = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("context-too-long"));
    let known = |name: &str| format!("[models.\"{}\"]\ncontext = 9000\n", target(name));
    let alike = unknown.clone().more(&known("alder")).more(&known("birch"));
    for (plot, words) in [
        (unknown, "how much the others take is unknown"),
        (alike, "longer than any target of this route takes"),
    ] {
        let stage = plot.open().await;
        let told = ask(&stage, json!({}), false).await;
        assert!(told.is_error(400), "{told:?}");
        let message = told.error.as_ref().unwrap()["message"].as_str().unwrap();
        assert!(message.contains(words), "{words}: {message}");
        assert_eq!((told.trail(), stage.calls()), ("alder:too_long,birch:skipped", vec![1, 0]));
    }
}

/// Of a model nobody knows nothing is known that it would refuse: what is said of its reasoning reaches it.
#[tokio::test]
async fn reasoning_reaches_a_model_nobody_knows() {
    for (wire, place) in [
        (Speaks::OpenAiChat, "/reasoning_effort"),
        (Speaks::Anthropic, "/output_config/effort"),
        (Speaks::Gemini, "/generationConfig/thinkingConfig/thinkingLevel"),
    ] {
        let stage = Plot::default().cast(wire, Script::default()).open().await;
        let told = ask(&stage, json!({"reasoning_effort": "high"}), false).await;
        assert!(told.is_complete(), "{wire}: {told:?}");
        let body = stage.providers[0].calls().pop().unwrap().body;
        let said = body.pointer(place).and_then(Value::as_str).unwrap_or_default();
        assert!(said.eq_ignore_ascii_case("high"), "{wire}: {body}");
    }
}

/// What a wire has no words for goes to the next that has.
#[tokio::test]
async fn what_a_wire_cannot_say_goes_to_the_next() {
    let stage = Plot::pair((Speaks::Anthropic, Speaks::OpenAiChat), always("answer")).open().await;
    for stream in [false, true] {
        let told = ask(&stage, json!({"n": 2}), stream).await;
        assert_eq!((told.status, told.trail()), (200, "alder:skipped,birch:ok"), "{told:?}");
        assert!(told.raw.contains("\"index\":1"), "{told:?}");
    }
    assert_eq!(stage.calls(), [0, 2]);
    let stage = Plot::default().cast(Speaks::Anthropic, always("answer")).open().await;
    let told = ask(&stage, json!({"n": 2}), false).await;
    assert!(told.is_error(400), "{told:?}");
    assert_eq!(stage.calls(), [0]);
}

/// Functions are called across wires, and a call that breaks off is no call.
#[tokio::test]
async fn calls_of_functions_fall_through_and_break_off_like_text() {
    for first in Speaks::ALL {
        for second in Speaks::ALL {
            for stream in [false, true] {
                let stage = Plot::pair((first, second), always("server-error")).open().await;
                let told = ask(&stage, tools(), stream).await;
                assert_eq!(told.trail(), "alder:transient,birch:ok", "{second}: {told:?}");
                assert_eq!(told.finish.as_deref(), Some("tool_calls"), "{second}: {told:?}");
                assert!(told.done && told.raw.contains("\"name\":\"weather\""), "{second}: {told:?}");
            }
        }
        for act in ["cut-after:1", "end-after:1", "error-after:1"] {
            let stage = Plot::pair((first, first), always(act)).open().await;
            let told = ask(&stage, tools(), true).await;
            assert!(told.is_cut(), "{act} at {first}: {told:?}");
            assert_eq!(stage.calls(), [1, 0], "{act} at {first}");
        }
    }
}

/// A provider with two keys: the second is used when the first is refused or limited, before any other provider.
#[tokio::test]
async fn a_spare_key_comes_before_the_next_provider() {
    for wire in Speaks::ALL {
        let plot = Plot::pair((wire, wire), Script::default().accepting(["the-spare-key"]));
        let stage = plot.spare_key("the-spare-key").open().await;
        let told = stage.ask(Way::OpenAi, true).await;
        assert!(told.is_complete(), "{wire}: {told:?}");
        assert_eq!(told.trail(), "alder:auth,alder:ok", "{wire}");
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!(told.trail(), "alder:resting,alder:ok", "{wire}: {told:?}");
        assert_eq!(stage.calls(), [3, 0], "{wire}");

        let plot = Plot::pair(
            (wire, wire),
            Script::first(["retry-after-ms:30000".parse::<unfail_sim::Act>().unwrap()]),
        );
        let stage = plot.spare_key("the-spare-key").open().await;
        let told = stage.ask(Way::OpenAi, true).await;
        assert_eq!(told.trail(), "alder:rate_limited,alder:ok", "{wire}: {told:?}");
        let keys = |call: &unfail_sim::Call| format!("{:?}", call.headers).contains(&key_of("alder"));
        let own: Vec<bool> = stage.providers[0].calls().iter().map(keys).collect();
        assert_eq!(own, [true, false], "{wire}: the first key, then the spare one");
    }
}

/// An answer that is larger than any answer is none.
#[tokio::test]
async fn an_answer_without_end_falls_through() {
    let answer = |text: &str| {
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
        .to_string()
    };
    let large = Canned::start(canned_json(200, &answer(&"x".repeat(33 << 20))), After::Keep).await.unwrap();
    let right = Canned::start(canned_json(200, &answer("birch heard: hello")), After::Keep).await.unwrap();
    let plot = Plot::default().guest(Speaks::OpenAiChat, large.address());
    let stage = plot.guest(Speaks::OpenAiChat, right.address()).open().await;
    for stream in [false, true] {
        let told = stage.ask(Way::OpenAi, stream).await;
        assert!(told.is_complete(), "{:?}", told.error);
        assert_eq!((told.trail(), told.text.as_str()), ("alder:malformed,birch:ok", "birch heard: hello"));
    }
}

/// An answer that was withheld goes to the next target where the route says so, although its bytes could be passed on.
#[tokio::test]
async fn a_withheld_answer_falls_through_where_the_route_says_so() {
    let answer = |text: &str, finish: &str| {
        let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]});
        canned_json(200, &body.to_string())
    };
    for (on_refusal, trail) in [("stop", "alder:ok"), ("next", "alder:refused,birch:ok")] {
        let withheld = Canned::start(answer("", "content_filter"), After::Keep).await.unwrap();
        let right = Canned::start(answer("birch heard", "stop"), After::Keep).await.unwrap();
        let plot = Plot::default().guest(Speaks::OpenAiChat, withheld.address());
        let plot = plot.guest(Speaks::OpenAiChat, right.address());
        let stage = plot.route(&format!("on_refusal = \"{on_refusal}\"")).open().await;
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!((told.status, told.trail()), (200, trail), "{told:?}");
    }
}

/// A redirect is not followed: it is a base URL that is wrong, and the key stays here.
#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Canned::start(canned_json(200, "{}"), After::Keep).await.unwrap();
    let head = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\n";
    let redirect = format!("{head}location: http://{}/v1/chat/completions\r\n\r\n", elsewhere.address());
    let canned = Canned::start(redirect, After::Keep).await.unwrap();
    let stage = Plot::default().guest(Speaks::OpenAiChat, canned.address()).open().await;
    let told = stage.ask(Way::OpenAi, false).await;
    assert!(told.is_error(502), "{told:?}");
    assert_eq!((told.trail(), elsewhere.served()), ("alder:config", 0));
}

/// A provider may say a few times that it is still there (1xx), and not without end.
#[tokio::test]
async fn interim_responses_have_an_end() {
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices":
        [{"index": 0, "message": {"role": "assistant", "content": "alder heard"}, "finish_reason": "stop"}]});
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let fallen = "alder:transient,birch:ok";
    for (count, answers, trail) in
        [(0, true, "alder:ok"), (16, true, "alder:ok"), (17, false, fallen), (200_000, false, fallen)]
    {
        let answered = if answers { canned_json(200, &answer.to_string()) } else { Vec::new() };
        let response = [interim.repeat(count), answered].concat();
        let canned = Canned::start(response, After::Hang).await.unwrap();
        let good = Canned::start(canned_json(200, &answer.to_string()), After::Keep).await.unwrap();
        let plot = Plot::default().guest(Speaks::OpenAiChat, canned.address());
        let stage = plot.guest(Speaks::OpenAiChat, good.address()).route("retries = 0").open().await;
        let told = stage.ask(Way::OpenAi, false).await;
        assert!(told.is_complete(), "{count}: {told:?}");
        assert_eq!(told.trail(), trail, "{count}: {told:?}");
        assert!(told.took < PATIENCE / 4, "{count}: it is not waited for: {told:?}");
    }
}

/// Log probabilities are made anew for callers who may not see who answers.
#[tokio::test]
async fn nothing_but_tokens_stands_in_log_probabilities() {
    let token = json!({"token": "hi", "logprob": -0.5, "bytes": [104, 105], "engine": "alder-engine",
        "top_logprobs": [{"token": "ho", "logprob": -1.5, "host": "alder-host"}]});
    let logprobs = json!({"content": [token], "refusal": null, "served_by": "alder-node"});
    let choice = |words: &str| {
        json!({"index": 0, words: {"role": "assistant", "content": "hi"},
        "logprobs": logprobs, "finish_reason": "stop"})
    };
    let whole = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice("message")]});
    let chunk =
        json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice("delta")]});
    let frames = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let stream = unfail_testkit::canned::event_stream(&frames, true);
    for (response, streams) in [(canned_json(200, &whole.to_string()), false), (stream, true)] {
        let canned = Canned::start(response, After::Keep).await.unwrap();
        let plot = Plot::default().guest(Speaks::OpenAiChat, canned.address());
        let stage = plot.server("mode = \"product\"").open().await;
        let told = ask(&stage, json!({"logprobs": true, "top_logprobs": 1}), streams).await;
        assert!(told.is_complete(), "{told:?}");
        assert!(!told.raw.contains("alder"), "{}", told.raw);
        for part in ["-0.5", "-1.5", "104", "\"ho\""] {
            assert!(told.raw.contains(part), "{part}: {}", told.raw);
        }
    }
}
