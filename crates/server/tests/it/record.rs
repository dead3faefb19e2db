//! The request log: one line for each request, however it ended, with the truth in it and no secret.

use serde_json::Value;
use std::time::Duration;
use unfail_sim::Speaks;
use unfail_testkit::canned::event_stream;
use unfail_testkit::{After, Canned, Raw, eventually};

use crate::stage::{Kept, PATIENCE, Plot, Stage, always, key_of, target};
use crate::way::Way;

/// Words of the caller that no line may repeat.
const PROMPT: &str = "a-private-question";

fn plot(act: &str, kept: &Kept) -> Plot {
    let keys = "[keys.web]\nsecret = \"env:WEB\"\n\
                [models.\"birch/birch-large\"]\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 2000\n";
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always(act)).more(keys).log(kept);
    plot.secret("WEB", "uf-secret-of-web").patient_unless_needed(act).route("breaker = { consecutive = 50 }")
}

/// Asks with a key and a user; the id of the request.
async fn ask(stage: &Stage, way: Way, stream: bool) -> String {
    let headers = [("authorization", "Bearer uf-secret-of-web"), ("x-unfail-user", "ada")];
    let told = stage.send(way, &headers, &way.body("main", PROMPT, stream)).await;
    told.header("x-unfail-request-id").to_owned()
}

/// Waits for so many lines and gives them.
async fn lines(kept: &Kept, count: usize) -> Vec<Value> {
    eventually(PATIENCE, || kept.records().len() >= count).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    let lines = kept.records();
    assert_eq!(lines.len(), count, "{}", kept.text());
    let text = kept.text();
    for secret in [PROMPT, "uf-secret", "secret-of", "heard"].into_iter().chain([key_of("alder").as_str()]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    lines
}

#[tokio::test]
async fn every_ending_is_one_line() {
    for (act, stream, outcome, class) in [
        ("answer", false, "answered", None),
        ("answer", true, "answered", None),
        ("server-error", true, "answered", None),
        ("no-done", true, "answered", None),
        ("cut-after:10", true, "cut", Some("mid_stream")),
        ("stall-after:3", true, "cut", Some("mid_stream")),
    ] {
        let kept = Kept::default();
        let stage = plot(act, &kept).open().await;
        for way in Way::ALL {
            let id = ask(&stage, way, stream).await;
            let count = Way::ALL.iter().position(|known| *known == way).unwrap() + 1;
            let line = lines(&kept, count).await.pop().unwrap();
            let request = &line["request"];
            assert_eq!(request["id"], id, "{act}: {line}");
            assert_eq!(
                (&request["caller"], &request["user"]),
                (&"web".into(), &"ada".into()),
                "{act}: {line}"
            );
            assert_eq!(
                (&request["route"], &request["stream"]),
                (&"main".into(), &stream.into()),
                "{act}: {line}"
            );
            if outcome == "cut" {
                assert_eq!(line["path"]["attempts"][0]["result"], "mid_stream", "{act}: {line}");
            }
            assert_eq!(line["outcome"], outcome, "{act}: {line}");
            assert_eq!(line["error_class"].as_str(), class, "{act}: {line}");
            let (path, second) = (&line["path"], act == "server-error");
            assert_eq!(path["primary"], target("alder"), "{act}: {line}");
            assert_eq!(path["final"], target(if second { "birch" } else { "alder" }), "{act}: {line}");
            assert_eq!(path["fallback_used"], second, "{act}: {line}");
            assert_eq!(path["calls"], if second { 2 } else { 1 }, "{act}: {line}");
            assert!(
                line["timing"]["latency_ms"].as_f64() >= line["timing"]["first_token_ms"].as_f64(),
                "{line}"
            );
            if second {
                assert_eq!(path["attempts"][0]["result"], "transient", "{line}");
                assert_eq!(path["attempts"][0]["status"], 500, "{line}");
                assert!(line["cost_usd"].as_f64().unwrap() > 0.0, "{line}");
            }
            if outcome == "answered" {
                assert!(line["tokens"]["output"].as_u64().unwrap() > 1, "{act}: {line}");
            }
        }
    }
}

/// A wire that counts as it goes has counted when it breaks off.
#[tokio::test]
async fn tokens_of_a_cut_stream_are_told_where_they_were_counted() {
    for act in ["cut-after:10", "stall-after:3"] {
        let kept = Kept::default();
        let plot = Plot::pair((Speaks::Anthropic, Speaks::OpenAiChat), always(act));
        let stage = plot.log(&kept).patient_unless_needed(act).open().await;
        stage.send(Way::Chat, &[], &Way::Chat.body("main", PROMPT, true)).await;
        let line = lines(&kept, 1).await.pop().unwrap();
        assert_eq!(line["outcome"], "cut", "{act}: {line}");
        assert!(line["tokens"]["input"].as_u64().unwrap() > 0, "{act}: {line}");
    }
}

#[tokio::test]
async fn failures_and_callers_who_leave_are_lines_too() {
    let kept = Kept::default();
    let stage = plot("server-error", &kept).open().await;
    stage.providers[1].set_script(always("unauthorized"));
    let id = ask(&stage, Way::Chat, true).await;
    let line = lines(&kept, 1).await.pop().unwrap();
    assert_eq!((&line["request"]["id"], &line["outcome"]), (&id.into(), &"failed".into()), "{line}");
    assert_eq!(line["path"]["final"], Value::Null, "{line}");
    assert_eq!(
        line["path"]["attempts"].as_array().unwrap().len(),
        line["path"]["calls"].as_u64().unwrap() as usize
    );

    for (count, act) in [(2, "hang-before-headers"), (3, "answer:0:100")] {
        stage.providers[0].set_script(always(act));
        let before = stage.calls()[0];
        let mut caller = Raw::connect(stage.address).await.unwrap();
        let body = Way::OpenAi.body("main", PROMPT, true).to_string();
        let key = ("authorization", "Bearer uf-secret-of-web");
        caller.post(Way::OpenAi.path(), &[key], &body).await.unwrap();
        eventually(PATIENCE, || stage.calls()[0] > before).await.unwrap();
        if count == 3 {
            caller.read_until("alde", PATIENCE).await.unwrap();
        }
        drop(caller);
        let line = lines(&kept, count).await.pop().unwrap();
        assert_eq!(
            (&line["outcome"], &line["error_class"]),
            (&"cancelled".into(), &"cancelled".into()),
            "{line}"
        );
        let (answered, result) =
            if count == 3 { (Value::from(target("alder")), "ok") } else { (Value::Null, "cancelled") };
        assert_eq!(line["path"]["final"], answered, "{line}");
        // What was sent for it is told as well.
        assert_eq!(
            (&line["path"]["calls"], &line["path"]["attempts"][0]["result"]),
            (&1.into(), &result.into())
        );
    }
}

/// What kept every target from being asked is told although nothing failed this time.
#[tokio::test]
async fn a_request_that_nobody_was_asked_has_a_class() {
    for (act, class, rests) in [
        ("retry-after-seconds:600", "rate_limited", "limited"),
        ("unauthorized", "auth", "credential"),
        ("payment-required", "quota", "quota"),
    ] {
        let kept = Kept::default();
        let stage = plot(act, &kept).open().await;
        stage.providers[1].set_script(always(act));
        for count in [1, 2] {
            ask(&stage, Way::Chat, false).await;
            let line = lines(&kept, count).await.pop().unwrap();
            assert_eq!((&line["outcome"], &line["error_class"]), (&"failed".into(), &class.into()), "{line}");
            let first = &line["path"]["attempts"][0];
            let result = if count == 1 { class } else { "resting" };
            assert_eq!(first["result"], result, "{line}");
            assert_eq!(first["rests"].as_str(), (count == 2).then_some(rests), "{line}");
        }
    }
}

/// A request that never reached a target is one line as well.
#[tokio::test]
async fn what_is_turned_away_is_one_line() {
    let kept = Kept::default();
    let stage = plot("answer", &kept).open().await;
    let way = Way::OpenAi;
    let good = ("authorization", "Bearer uf-secret-of-web");
    let broken = Value::from("not a request");
    let cases = [
        (
            ("authorization", "Bearer uf-secret-of-nobody"),
            way.body("main", PROMPT, false),
            "unknown",
            "authentication",
        ),
        (good, way.body("mian", PROMPT, false), "web", "not_found"),
        (good, broken, "web", "invalid"),
    ];
    for (count, (header, body, caller, why)) in cases.into_iter().enumerate() {
        let told = stage.send(way, &[header], &body).await;
        let line = lines(&kept, count + 1).await.pop().unwrap();
        assert_eq!(line["request"]["id"], told.header("x-unfail-request-id"), "{line}");
        assert_eq!((&line["outcome"], &line["error_class"]), (&"rejected".into(), &why.into()), "{line}");
        assert_eq!(line["request"]["caller"], caller, "{line}");
        assert_eq!(line["path"]["calls"], 0, "{line}");
    }
}

/// What no target is considered for is one line too; probes of health are none.
#[tokio::test]
async fn what_needs_no_target_is_one_line() {
    let kept = Kept::default();
    let stage = plot("answer", &kept).open().await;
    let good = ("authorization", "Bearer uf-secret-of-web");
    let bad = ("authorization", "Bearer uf-secret-of-nobody");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(stage.get(path, &[good]).await.status, 200);
    }
    for (count, (path, header, caller, why)) in [
        ("/v1/models", good, "web", None),
        ("/v1/models/main", good, "web", None),
        ("/v1/models", bad, "unknown", Some("authentication")),
        ("/v1/models/nothing", good, "web", Some("not_found")),
        ("/v1/nothing", good, "web", Some("not_found")),
        ("/nothing", bad, "unknown", Some("not_found")),
        ("/chat", good, "web", Some("invalid")),
        ("/run", bad, "unknown", Some("invalid")),
    ]
    .into_iter()
    .enumerate()
    {
        let told = stage.get(path, &[header]).await;
        let line = lines(&kept, count + 1).await.pop().unwrap();
        assert_eq!(line["request"]["id"], told.header("x-unfail-request-id"), "{path}: {line}");
        let outcome = if why.is_some() { "rejected" } else { "answered" };
        assert_eq!(
            (line["outcome"].as_str(), line["error_class"].as_str()),
            (Some(outcome), why),
            "{path}: {line}"
        );
        assert_eq!(line["request"]["caller"], caller, "{path}: {line}");
        assert_eq!(line["path"]["calls"], 0, "{path}: {line}");
        assert!(line["timing"]["latency_ms"].as_f64().is_some(), "{path}: {line}");
    }
    // A probe by a method that is none is no probe.
    stage.client.post(&stage.url("/healthz"), &[], &Value::Null).await.unwrap();
    let line = lines(&kept, 9).await.pop().unwrap();
    assert_eq!((&line["outcome"], &line["error_class"]), (&"rejected".into(), &"invalid".into()), "{line}");
}

#[tokio::test]
async fn agents_and_priorities_are_told() {
    let kept = Kept::default();
    let stage = plot("answer", &kept).open().await;
    let key = ("authorization", "Bearer uf-secret-of-web");
    let body = Way::OpenAi.body("main", PROMPT, false);
    let marked = [key, ("x-unfail-agent", "planner"), ("x-unfail-priority", "batch")];
    let wrong = [key, ("x-unfail-agent", "planner"), ("x-unfail-priority", "now")];
    for (count, (headers, agent, priority)) in [
        (marked.as_slice(), Value::from("planner"), Value::from("batch")),
        (&[key, ("x-unfail-agent", "")], Value::Null, Value::Null),
        (&[key], Value::Null, Value::Null),
        (&wrong, Value::Null, Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        stage.send(Way::OpenAi, headers, &body).await;
        let line = lines(&kept, count + 1).await.pop().unwrap();
        assert_eq!((&line["request"]["agent"], &line["request"]["priority"]), (&agent, &priority), "{line}");
    }
}

/// Who has the end of an answer has the answer, and may leave with it: also while its provider still holds the
/// connection.
#[tokio::test]
async fn who_leaves_with_the_end_has_been_answered() {
    let frames = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":\
        [{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[],\
        \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n\n\
        data: [DONE]\n\n";
    let canned = Canned::start(event_stream(frames, false), After::Hang).await.unwrap();
    let kept = Kept::default();
    let stage = Plot::default().guest(Speaks::OpenAiChat, canned.address()).log(&kept).open().await;
    for (count, (way, end)) in
        [(Way::OpenAi, "[DONE]"), (Way::Chat, "\"done\":true"), (Way::Run, "\"done\":true")]
            .into_iter()
            .enumerate()
    {
        let mut caller = Raw::connect(stage.address).await.unwrap();
        caller.post(way.path(), &[], &way.body("main", PROMPT, true).to_string()).await.unwrap();
        caller.read_until(end, PATIENCE).await.unwrap();
        drop(caller);
        let line = lines(&kept, count + 1).await.pop().unwrap();
        assert_eq!(
            (&line["outcome"], &line["error_class"]),
            (&"answered".into(), &Value::Null),
            "{way:?}: {line}"
        );
        assert_eq!(line["tokens"]["output"], 7, "{way:?}: {line}");
    }
}

/// Providers quote what they complain of; the log has their codes and not their words.
#[tokio::test]
async fn a_provider_that_quotes_the_prompt_is_not_quoted() {
    let kept = Kept::default();
    let stage = plot("answer", &kept).open().await;
    for status in [400, 500, 429] {
        let body = serde_json::json!({"error": {
            "message": format!("cannot do this with `{PROMPT}`"), "type": "strange_error", "code": "odd_one",
        }});
        let act = unfail_sim::Act::Status { status, headers: Vec::new(), body: body.to_string() };
        stage.providers[0].set_script(unfail_sim::Script::always(act));
        ask(&stage, Way::OpenAi, false).await;
    }
    let lines = lines(&kept, 3).await;
    for (line, status) in lines.iter().zip([400, 500, 429]) {
        let attempt = &line["path"]["attempts"][0];
        assert_eq!(attempt["status"], status, "{line}");
        assert!(attempt["reason"].as_str().unwrap().starts_with(&format!("HTTP {status}")), "{line}");
    }
}
