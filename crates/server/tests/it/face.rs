//! What stands on responses and on requests to providers: headers, ids, keys, deadlines, names.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use unfail_sim::{Act, Script, Speaks};

use crate::stage::{CAST, PATIENCE, Plot, Stage, always, each, key_of, target};
use crate::way::{Told, Way};

fn answered_by(told: &Told, name: &str) -> bool {
    told.is_complete() && told.text.contains(&format!("{name} heard"))
}

#[tokio::test]
async fn developer_headers_tell_how_an_answer_was_found() {
    let prices = "[models.\"birch/birch-large\"]\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 2000\n";
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("server-error")).more(prices);
    let stage = plot.open().await;
    let mut ids = BTreeSet::new();
    for way in Way::ALL {
        for stream in [false, true] {
            let told = stage.ask(way, stream).await;
            assert!(answered_by(&told, "birch"), "{told:?}");
            assert_eq!(told.header("x-unfail-target"), target("birch"));
            assert_eq!(told.header("x-unfail-route"), "main");
            assert!(told.trail().starts_with("alder:") && told.trail().ends_with(",birch:ok"), "{told:?}");
            let calls = if told.trail().contains("resting") { "1" } else { "2" };
            assert_eq!(told.header("x-unfail-attempts"), calls, "{told:?}");
            // The prompt is two tokens and the answer seven; what a stream costs is known after its headers.
            let cost = if stream { "" } else { "0.01600000" };
            assert_eq!(told.header("x-unfail-cost-usd"), cost, "{told:?}");
            let id = told.header("x-unfail-request-id").to_owned();
            assert!(id.starts_with("req_") && id.len() == 26, "{id}");
            assert!(ids.insert(id), "ids differ");
        }
    }
}

#[tokio::test]
async fn product_headers_tell_nothing_but_the_id() {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("server-error"));
    let stage = plot.server("mode = \"product\"").open().await;
    for way in Way::ALL {
        for stream in [false, true] {
            let told = stage.ask(way, stream).await;
            assert!(answered_by(&told, "birch"), "{told:?}");
            let ours = told.headers.keys().filter(|name| name.as_str().starts_with("x-unfail"));
            assert_eq!(ours.collect::<Vec<_>>(), ["x-unfail-request-id"]);
            assert!(told.raw.contains("\"model\":\"main\""), "the model as the caller named it: {told:?}");
            assert!(!told.raw.contains("-large"), "{told:?}");
        }
    }
}

/// A provider gets its own key and what its wire needs, and nothing else: nothing of the caller's, nothing of
/// another provider's.
#[tokio::test]
async fn providers_get_their_own_headers_only() {
    let cast = |plot: Plot, wire| plot.cast(wire, always("server-error"));
    let plot = Speaks::ALL.into_iter().fold(Plot::default(), cast);
    let plot =
        plot.more("[keys.caller]\nsecret = \"env:CALLER\"").secret("CALLER", "uf-secret-of-the-caller");
    let stage = plot.open().await;
    let headers = [
        ("authorization", "Bearer uf-secret-of-the-caller"),
        ("cookie", "session=1"),
        ("openai-organization", "org-of-the-caller"),
        ("anthropic-version", "1999-01-01"),
        ("x-unfail-user", "somebody"),
        ("x-unfail-deadline-ms", "60000"),
        ("x-forwarded-for", "10.1.2.3"),
        ("user-agent", "the-caller/1"),
        ("x-stainless-lang", "python"),
        ("x-custom", "1"),
        ("via", "1.1 the-caller (of mine)"),
    ];
    let body = Way::OpenAi.body("main", "hello", false);
    assert!(stage.send(Way::OpenAi, &headers, &body).await.is_error(502));
    for (provider, name) in stage.providers.iter().zip(CAST) {
        let mut allowed = BTreeSet::from(["host", "content-type", "content-length", "user-agent", "via"]);
        allowed.insert(match provider.wire() {
            Speaks::OpenAiChat => "authorization",
            Speaks::Anthropic => "x-api-key",
            Speaks::Gemini => "x-goog-api-key",
        });
        if provider.wire() == Speaks::Anthropic {
            allowed.insert("anthropic-version");
        }
        for call in provider.calls() {
            let got: BTreeSet<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(got, allowed, "{name}");
            let keys = ["authorization", "x-api-key", "x-goog-api-key"].map(|name| call.header(name));
            let key = keys.into_iter().flatten().next().unwrap().trim_start_matches("Bearer ");
            assert_eq!(key, key_of(name));
            assert!(call.header("user-agent").unwrap().starts_with("unfail/"), "{name}");
            let mark = call.header("via").unwrap().strip_prefix("1.1 unfail-").unwrap();
            assert!(mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()), "{mark}");
            assert_ne!(call.header("anthropic-version"), Some("1999-01-01"));
            assert!(call.query.is_empty() || call.query == "alt=sse", "{name}: {}", call.query);
        }
    }
}

/// Nothing of a provider's response head reaches the caller.
#[tokio::test]
async fn callers_get_our_headers_only() {
    let headers = [
        ("content-type", "application/json"),
        ("set-cookie", "provider=1"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-request-id", "req_of_the_provider"),
        ("server", "provider"),
        ("via", "1.1 provider"),
        ("x-should-retry", "true"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    let act = |status, body: &Value| Act::Status {
        status,
        headers: headers.map(owned).to_vec(),
        body: body.to_string(),
    };
    let script = Script::first([act(200, &answer), act(400, &json!({"error": {"message": "no"}}))]);
    let stage = Plot::default().cast(Speaks::OpenAiChat, script).open().await;
    for status in [200, 400] {
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!(told.status, status, "{told:?}");
        for (name, _) in headers.iter().skip(1) {
            let got = told.header(name);
            assert!(got.is_empty() || (*name == "x-should-retry" && got == "false"), "{name}: {got}");
        }
    }
}

#[tokio::test]
async fn a_callers_deadline_is_kept() {
    let acts = [("hang-before-headers", true), ("hang-after-headers", false), ("retry-after-ms:60000", true)];
    each(acts.into_iter().flat_map(|act| Way::ALL.map(|way| (act, way))), async |((act, stream), way)| {
        let cast = |plot: Plot, wire| plot.cast(wire, always(act));
        let stage = Speaks::ALL.into_iter().fold(Plot::default(), cast).open().await;
        let body = way.body("main", "hello", stream);
        let told = stage.send(way, &[("x-unfail-deadline-ms", "1500")], &body).await;
        let status = if act.starts_with("hang") { 504 } else { 429 };
        assert!(told.is_error(status), "{act} for {way:?}: {told:?}");
        assert!(told.took.as_millis() < 2_000, "{act} for {way:?}: {:?}", told.took);
    })
    .await;
    // A deadline that has passed before anything can be asked.
    let stage = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("answer")).open().await;
    let body = Way::Chat.body("main", "hello", false);
    let told = stage.send(Way::Chat, &[("x-unfail-deadline-ms", "1")], &body).await;
    assert!(told.is_error(504), "{told:?}");
    assert_eq!(stage.calls(), [0, 0]);
    for wrong in ["", "0", "-5", "soon", "1.5", "99999999999999999999"] {
        let told = stage.send(Way::Chat, &[("x-unfail-deadline-ms", wrong)], &body).await;
        assert!(told.is_error(400), "{wrong:?}: {told:?}");
        assert_eq!(told.error.as_ref().unwrap()["param"], "x-unfail-deadline-ms");
    }
}

/// A committed stream ends at the deadline as well, and not as an answer.
#[tokio::test]
async fn a_stream_ends_at_the_deadline() {
    each(Way::ALL, async |way| {
        let stage = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("answer:0:300")).open().await;
        let body = way.body("main", "hello", true);
        let told = stage.send(way, &[("x-unfail-deadline-ms", "1000")], &body).await;
        assert!(told.is_cut(), "{way:?}: {told:?}");
        assert!((900..2_000).contains(&told.took.as_millis()), "{way:?}: {:?}", told.took);
        stage.settled().await;
        assert_eq!(stage.providers[0].cancelled(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_route_may_be_named_in_a_header() {
    let other = format!("[routes.other]\nchain = [\"{}\"]", target("birch"));
    let stage = Plot::pair((Speaks::OpenAiChat, Speaks::Gemini), always("answer")).more(&other).open().await;
    for way in Way::ALL {
        for (model, header, name) in
            [("main", "other", "birch"), ("nonsense", "main", "alder"), ("other", "main", "alder")]
        {
            let told = stage.send(way, &[("x-unfail-route", header)], &way.body(model, "hello", false)).await;
            assert!(answered_by(&told, name), "{way:?} {model}: {told:?}");
            assert_eq!(told.header("x-unfail-route"), header);
        }
        let told = stage.send(way, &[("x-unfail-route", "mian")], &way.body("main", "hello", false)).await;
        assert!(told.is_error(404) && told.raw.contains("`main`"), "{told:?}");
    }
}

// === keys ===

fn guarded() -> Plot {
    let keys = "[routes.other]\nchain = [\"birch/birch-large\"]\n\
                [models.\"alder/alder-large\"]\ncontext = 100000\n\
                [keys.all]\nsecret = \"env:ALL\"\n\
                [keys.some]\nsecret = \"env:SOME\"\nroutes = [\"other\"]\n";
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer")).more(keys);
    plot.secret("ALL", "uf-key-of-all").secret("SOME", "uf-key-of-some")
}

async fn with_key(stage: &Stage, way: Way, header: (&str, &str), model: &str) -> Told {
    stage.send(way, &[header], &way.body(model, "hello", false)).await
}

#[tokio::test]
async fn a_key_is_needed_where_keys_are_configured() {
    let stage = guarded().open().await;
    let wrong = [
        ("x-nothing", ""),
        ("authorization", "Bearer"),
        ("authorization", "Bearer wrong"),
        ("authorization", "Bearer uf-key-of-al"),
        ("authorization", "Bearer uf-key-of-alll"),
        ("authorization", "Basic uf-key-of-all"),
        ("x-api-key", "UF-KEY-OF-ALL"),
        ("authorization", "Bearer secret-of-alder"),
    ];
    for way in Way::ALL {
        for header in wrong {
            let told = with_key(&stage, way, header, "main").await;
            assert!(told.is_error(401), "{header:?} for {way:?}: {told:?}");
            let kind = if way == Way::OpenAi { "invalid_api_key" } else { "authentication" };
            assert_eq!((told.kind(), told.header("x-should-retry")), (kind, "false"), "{told:?}");
            assert!(!told.raw.contains("uf-key"), "{told:?}");
        }
        let right = [("authorization", "Bearer uf-key-of-all"), ("x-api-key", "uf-key-of-all")];
        for header in right.into_iter().chain([("x-goog-api-key", "uf-key-of-all")]) {
            assert!(answered_by(&with_key(&stage, way, header, "main").await, "alder"), "{header:?}");
        }
    }
    assert_eq!(stage.calls(), [9, 0]);
    for path in ["/v1/models", "/v1/models/main"] {
        assert_eq!(stage.get(path, &[]).await.status, 401, "{path}");
        assert_eq!(stage.get(path, &[("authorization", "Bearer uf-key-of-all")]).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_may_be_kept_to_routes() {
    let stage = guarded().open().await;
    let key = ("authorization", "Bearer uf-key-of-some");
    for way in Way::ALL {
        assert!(answered_by(&with_key(&stage, way, key, "other").await, "birch"));
        for model in ["main", "auto", "alder/alder-large", "birch/birch-large", "alder-large", "nonsense"] {
            let told = with_key(&stage, way, key, model).await;
            assert!(told.is_error(403), "{model} for {way:?}: {told:?}");
            let kind = if way == Way::OpenAi { "permission_denied" } else { "permission" };
            assert_eq!(told.kind(), kind);
        }
        let headers = [key, ("x-unfail-route", "main")];
        assert!(stage.send(way, &headers, &way.body("other", "hello", false)).await.is_error(403));
    }
    let body = json!({"model": "other", "fallbacks": ["main"], "prompt": "hello"});
    assert!(stage.send(Way::Chat, &[key], &body).await.is_error(403), "a fallback is no way around");
    assert_eq!(stage.calls(), [0, 3]);
    let list = stage.get("/v1/models", &[key]).await.json();
    let names: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["other"]);
    assert_eq!(stage.get("/v1/models/main", &[key]).await.status, 404);
}

// === the rest of the surface ===

#[tokio::test]
async fn models_are_listed() {
    let stage = guarded().open().await;
    let key = [("authorization", "Bearer uf-key-of-all")];
    let list = stage.get("/v1/models", &key).await;
    assert_eq!(list.header("content-type"), "application/json");
    let list = list.json();
    assert_eq!(list["object"], "list");
    let entry = |id: &str, owner: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": owner});
    let expected = [entry("main", "unfail"), entry("other", "unfail"), entry("alder/alder-large", "alder")];
    assert_eq!(list["data"], json!(expected));
    for name in ["main", "alder/alder-large", "alder%2Falder-large"] {
        let one = stage.get(&format!("/v1/models/{name}"), &key).await;
        assert!(one.header("x-unfail-request-id").starts_with("req_"), "{name}");
        assert_eq!(one.json()["id"], name.replace("%2F", "/"), "{name}");
    }
    for name in ["nothing", "%FF"] {
        let none = stage.get(&format!("/v1/models/{name}"), &key).await;
        let error = &none.json()["error"];
        assert_eq!((none.status.as_u16(), error["code"].as_str()), (404, Some("model_not_found")), "{name}");
        assert_eq!(error["unfail"]["request_id"], none.header("x-unfail-request-id"), "{name}");
    }
}

/// What a header of ours cannot mean is refused by name; what it means is told to the log alone.
#[tokio::test]
async fn names_and_priorities_in_headers() {
    let stage = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("answer")).open().await;
    let (most, more) = ("a".repeat(128), "a".repeat(129));
    for way in Way::ALL {
        for (name, value, taken) in [
            ("x-unfail-agent", "planner", true),
            ("x-unfail-agent", most.as_str(), true),
            ("x-unfail-agent", more.as_str(), false),
            ("x-unfail-agent", "", true),
            ("x-unfail-user", most.as_str(), true),
            ("x-unfail-user", more.as_str(), false),
            ("x-unfail-priority", "interactive", true),
            ("x-unfail-priority", "default", true),
            ("x-unfail-priority", "batch", true),
            ("x-unfail-priority", "urgent", false),
            ("x-unfail-priority", "Batch", false),
            ("x-unfail-priority", "", false),
            ("idempotency-key", "k-1", true),
        ] {
            let told = stage.send(way, &[(name, value)], &way.body("main", "hello", false)).await;
            let case = format!("{name}: {value:?} for {way:?}: {told:?}");
            assert_eq!(told.is_complete(), taken, "{case}");
            if !taken {
                assert!(told.is_error(400), "{case}");
                assert!(told.error.as_ref().unwrap()["message"].as_str().unwrap().contains(name), "{case}");
            }
        }
    }
    let calls = stage.providers[0].calls();
    let ours = |name: &str| name.starts_with("x-unfail") || name == "idempotency-key";
    assert!(!calls.iter().flat_map(|call| call.headers.iter()).any(|(name, _)| ours(name.as_ref())));
}

#[tokio::test]
async fn health_needs_no_key() {
    let stage = guarded().open().await;
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let told = stage.get(path, &[]).await;
        assert_eq!((told.status.as_u16(), told.json()["status"].as_str()), (200, Some(status)), "{path}");
        assert!(told.header("x-unfail-request-id").starts_with("req_"), "{path}");
        assert_eq!(told.header("content-type"), "application/json", "{path}");
    }
    assert_eq!(stage.calls(), [0, 0]);
}

/// Ready means that a target is configured: a provider that is down does not make the endpoint unready.
#[tokio::test]
async fn a_provider_that_is_down_is_no_reason_to_be_unready() {
    let mut stage = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("answer")).open().await;
    stage.providers.clear();
    let told = tokio::time::timeout(PATIENCE, stage.ask(Way::OpenAi, false)).await.unwrap();
    assert!(told.is_error(502), "{told:?}");
    assert!(told.trail().starts_with("alder:pre_send,birch:pre_send"), "{told:?}");
    assert_eq!(stage.get("/readyz", &[]).await.status, 200);
}
