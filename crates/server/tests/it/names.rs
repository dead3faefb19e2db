//! What a caller may write as `model`, and chains made in the body.

use serde_json::{Value, json};
use unfail_sim::Speaks;

use crate::stage::{Plot, Stage, always, key_of};
use crate::way::{Told, Way};

/// Route `main` over three wires; the catalog knows the models of the first two, and `twin` at both.
async fn stage(first: &str) -> Stage {
    let known = "[models.\"alder/alder-large\"]\ncontext = 100000\n\
                 [models.\"birch/birch-large\"]\ncontext = 100000\n\
                 [models.\"alder/twin\"]\ncontext = 100000\n\
                 [models.\"birch/twin\"]\ncontext = 100000\n\
                 [models.\"alder/family/member\"]\ncontext = 100000\n";
    let plot = Plot::default().cast(Speaks::OpenAiChat, always(first));
    let plot = plot.cast(Speaks::Anthropic, always("answer")).cast(Speaks::Gemini, always("answer"));
    plot.more(known).open().await
}

async fn ask(stage: &Stage, body: &Value) -> Told {
    let mut body = body.clone();
    body["messages"] = json!([{"role": "user", "content": "hello"}]);
    stage.send(Way::OpenAi, &[], &body).await
}

/// Model of the last call a provider saw: in its body, or in its path.
fn asked_model(stage: &Stage, provider: usize) -> String {
    let call = stage.providers[provider].calls().pop().unwrap();
    call.body["model"].as_str().map_or(call.path, str::to_owned)
}

#[tokio::test]
async fn every_kind_of_name() {
    let stage = stage("answer").await;
    for (name, provider, model, route) in [
        ("main", 0, "alder-large", "main"),
        ("alder/alder-large", 0, "alder-large", "alder/alder-large"),
        ("birch/birch-large", 1, "birch-large", "birch/birch-large"),
        ("alder-large", 0, "alder-large", "alder-large"),
        ("twin", 0, "twin", "twin"),
        ("birch/twin", 1, "twin", "birch/twin"),
        ("alder/family/member", 0, "family/member", "alder/family/member"),
        ("family/member", 0, "family/member", "family/member"),
        // The catalog does not know it; the provider may.
        ("alder/something-new", 0, "something-new", "direct"),
        ("cedar/cedar-large", 2, "/v1beta/models/cedar-large:generateContent", "direct"),
    ] {
        let before = stage.calls();
        let told = ask(&stage, &json!({"model": name})).await;
        assert!(told.is_complete(), "{name}: {told:?}");
        let after = stage.calls();
        assert_eq!(after[provider], before[provider] + 1, "{name}");
        assert_eq!(after.iter().sum::<u64>(), before.iter().sum::<u64>() + 1, "{name}");
        assert_eq!(asked_model(&stage, provider), model, "{name}");
        let said = told.header("x-unfail-route");
        assert!(said == route || (route == "direct" && said == name), "{name}: {said}");
    }
}

/// A bare model that several providers serve falls through all of them.
#[tokio::test]
async fn a_bare_model_is_a_chain() {
    let stage = stage("server-error").await;
    let told = ask(&stage, &json!({"model": "twin"})).await;
    assert!(told.is_complete() && told.text.contains("birch heard"), "{told:?}");
    assert_eq!(told.trail(), "alder:transient,birch:ok");
    assert_eq!(asked_model(&stage, 1), "twin");
}

#[tokio::test]
async fn a_chain_in_the_body() {
    for key in ["models", "fallbacks"] {
        let stage = stage("server-error").await;
        let chain = ["cedar/cedar-large", "birch/birch-large"];
        let told = ask(&stage, &json!({"model": "alder/alder-large", key: chain})).await;
        assert!(told.is_complete() && told.text.contains("cedar heard"), "{key}: {told:?}");
        assert_eq!(told.trail(), "alder:transient,cedar:ok", "{key}");
        // What is ours stays here.
        let sent = stage.providers[0].calls()[0].body.clone();
        assert!(sent.get(key).is_none(), "{key}: {sent}");

        let told = stage
            .send(Way::Chat, &[], &json!({"model": "alder/alder-large", key: chain, "prompt": "hello"}))
            .await;
        assert!(told.is_complete() && told.text.contains("cedar heard"), "{key}: {told:?}");

        // A route among them stands for its chain, and no target is asked twice.
        let told = ask(&stage, &json!({"model": "alder/alder-large", key: ["main"]})).await;
        assert_eq!(told.trail().matches("alder").count(), 1, "{key}: {told:?}");
        assert!(told.is_complete() && told.text.contains("birch heard"), "{key}: {told:?}");
    }
}

/// A caller may name more models than a route has, and gets no more calls than the route allows.
#[tokio::test]
async fn a_longer_chain_is_no_more_calls() {
    for (limit, calls) in [("max_calls = 1", 1), ("max_calls = 2", 2)] {
        let down = || always("server-error");
        let plot = Plot::default().cast(Speaks::OpenAiChat, down()).cast(Speaks::OpenAiChat, down());
        let stage = plot.cast(Speaks::OpenAiChat, down()).route(limit).route("retries = 0").open().await;
        let more = json!(["alder/x", "birch/y", "cedar/z", "alder/v", "birch/w"]);
        ask(&stage, &json!({"model": "main", "models": more})).await;
        assert_eq!(stage.calls().iter().sum::<u64>(), calls, "{limit}");
        ask(&stage, &json!({"model": "alder/u", "models": ["birch/u", "main", "cedar/u"]})).await;
        assert_eq!(stage.calls().iter().sum::<u64>(), 2 * calls, "{limit}, the route among them");
        // Who names no route is called once by each.
        let before = stage.calls();
        ask(&stage, &json!({"model": "alder/n", "models": ["birch/n", "cedar/n"]})).await;
        assert!(stage.calls().iter().zip(before).all(|(now, before)| *now > before), "{:?}", stage.calls());
    }
}

#[tokio::test]
async fn names_that_are_none() {
    let stage = stage("answer").await;
    for (name, near) in [
        ("mian", "`main`"),
        ("alder-larg", "`alder-large`"),
        ("birhc/birch-large", "`birch/birch-large`"),
        ("twins", "`twin`"),
        ("", "`auto`"),
        ("something completely different", ""),
    ] {
        for way in Way::ALL {
            // Only one dialect lets the name be empty.
            if name.is_empty() && way != Way::Chat {
                assert!(stage.send(way, &[], &way.body(name, "hello", false)).await.is_error(400));
                continue;
            }
            let told = stage.send(way, &[], &way.body(name, "hello", false)).await;
            assert!(told.is_error(404), "{name}: {told:?}");
            assert!(told.raw.contains(near), "{name}: {told:?}");
            let error = told.error.as_ref().unwrap();
            assert_eq!(
                (error["code"].as_str(), error["param"].as_str()),
                (Some("model_not_found"), Some("model"))
            );
        }
    }
    for fallbacks in [json!(["mian"]), json!(["birch/birch-large", "mian"])] {
        let told = ask(&stage, &json!({"model": "main", "fallbacks": fallbacks})).await;
        assert!(told.is_error(404) && told.raw.contains("`main`"), "{told:?}");
    }
    for wrong in [json!("mian"), json!([1]), json!({"a": 1}), json!([["main"]])] {
        let told = ask(&stage, &json!({"model": "main", "models": wrong})).await;
        assert!(told.is_error(400), "{wrong}: {told:?}");
    }
    assert_eq!(stage.calls(), [0, 0, 0]);
}

/// Why a known model cannot be used is the developer's to read, and which routes there are as well.
#[tokio::test]
async fn what_is_not_set_up_is_said() {
    let stage = stage("answer").await;
    for (name, parts) in [
        ("groq/openai/gpt-oss-120b", &["provider `groq` has no key: set GROQ_API_KEY"][..]),
        ("claude-haiku-5-5", &["provider `anthropic` has no key: set ANTHROPIC_API_KEY"]),
        ("ollama/llama", &["provider `ollama` is not set up", "`[providers.ollama]`"]),
        ("something completely-different", &["; routes: ", "`main`"]),
        ("something-completely-different", &["there is no route or model", "; routes: ", "`main`"]),
    ] {
        for way in Way::ALL {
            let told = stage.send(way, &[], &way.body(name, "hello", false)).await;
            assert!(told.is_error(404), "{name}: {told:?}");
            let error = told.error.as_ref().unwrap();
            assert_eq!(error["code"], "model_not_found", "{name}: {told:?}");
            for part in parts {
                assert!(error["message"].as_str().unwrap().contains(part), "{part}: {told:?}");
            }
        }
    }
    let product =
        Plot::default().cast(Speaks::OpenAiChat, always("answer")).server("mode = \"product\"").open().await;
    for name in ["groq/openai/gpt-oss-120b", "claude-haiku-5-5", "something-completely-different"] {
        let told = product.send(Way::OpenAi, &[], &Way::OpenAi.body(name, "hello", false)).await;
        assert!(told.is_error(404), "{name}: {told:?}");
        let message = told.error.as_ref().unwrap()["message"].as_str().unwrap();
        assert_eq!(message, format!("there is no route or model `{name}`"));
    }
    assert_eq!(stage.calls(), [0, 0, 0]);
}

/// What no target can be told is named, and so is why.
#[tokio::test]
async fn what_no_wire_can_say_is_said() {
    let stage = Plot::default().cast(Speaks::Anthropic, always("answer")).open().await;
    let told = ask(&stage, &json!({"model": "main", "n": 2, "logprobs": true})).await;
    assert!(told.is_error(400), "{told:?}");
    let message = told.error.as_ref().unwrap()["message"].as_str().unwrap();
    for part in ["no target of this route can serve this request", "its wire has no words for several"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!((told.trail(), stage.calls()), ("alder:skipped", vec![0]));
}

/// A path that is none is not a model that is none.
#[tokio::test]
async fn paths_that_are_none() {
    let stage = stage("answer").await;
    for (path, part) in [
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/v1/messages", "is not served yet"),
        ("/nowhere-at-all", "there are /v1/chat/completions, /chat, /run, /v1/models"),
    ] {
        let answer = stage.client.post(&stage.url(path), &[], &json!({})).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        let body: Value = serde_json::from_str(&answer.text()).unwrap();
        let error = &body["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("unknown_url"), &Value::Null),
            "{path}: {body}"
        );
        assert!(error["message"].as_str().unwrap().contains(part), "{path}: {body}");
        if path == "/v1/messages" {
            assert_eq!(error["type"], "invalid_request_error", "{body}");
        }
    }
    assert_eq!(stage.calls(), [0, 0, 0]);
}

/// Without a model the route `auto` is meant, over the default models of the providers.
#[tokio::test]
async fn auto_is_over_default_models() {
    let auto = "[routes.auto]\nchain = [\"birch/birch-small\", \"alder/alder-small\"]";
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer")).more(auto);
    let stage = plot.open().await;
    for body in [json!({"prompt": "hello"}), json!({"model": "auto", "prompt": "hello"})] {
        let told = stage.send(Way::Chat, &[], &body).await;
        assert!(told.is_complete() && told.text.contains("birch heard"), "{body}: {told:?}");
        assert_eq!(asked_model(&stage, 1), "birch-small");
    }
    let told = ask(&stage, &json!({"model": "auto"})).await;
    assert!(told.is_complete() && told.text.contains("birch heard"), "{told:?}");
    for service in ["llm", "llm-auto"] {
        let told =
            stage.send(Way::Run, &[], &json!({"service": service, "input": {"prompt": "hello"}})).await;
        assert!(told.is_complete() && told.text.contains("birch heard"), "{service}: {told:?}");
    }
    let body = json!({"service": "llm-alder", "input": {"prompt": "hello", "model": "alder-small"}});
    let told = stage.send(Way::Run, &[], &body).await;
    assert!(told.is_complete() && told.text.contains("alder heard"), "{told:?}");
}

/// Lists and names have an end: each name that nobody knows would be remembered.
#[tokio::test]
async fn names_and_lists_without_end_are_refused() {
    let stage = stage("answer").await;
    let many: Vec<String> = (0..17).map(|number| format!("alder/made-up-{number}")).collect();
    let told = ask(&stage, &json!({"model": "main", "models": many})).await;
    assert_eq!((told.status, stage.calls()), (400, vec![0, 0, 0]), "{told:?}");
    for name in [format!("alder/{}", "x".repeat(300)), "alder/two words".to_owned(), "alder/a\tb".to_owned()]
    {
        let told = ask(&stage, &json!({"model": name})).await;
        assert_eq!((told.status, stage.calls()), (404, vec![0, 0, 0]), "{told:?}");
    }
}

/// Providers quote the model they do not have. What a caller calls a model must not close the key for everybody.
#[tokio::test]
async fn a_made_up_name_closes_no_key() {
    for name in ["alder/invalid-api-key", "alder/insufficient_quota", "alder/unauthorized"] {
        let quoted = name.trim_start_matches("alder/");
        let words = format!("The model `{quoted}` does not exist or you do not have access to it.");
        let body = json!({"error": {"message": words, "type": "invalid_request_error", "param": null, "code": null}});
        let refusal = unfail_sim::Act::Status { status: 404, headers: Vec::new(), body: body.to_string() };
        let stage = stage("answer").await;
        stage.providers[0].set_script(unfail_sim::Script::first([refusal]));
        let told = ask(&stage, &json!({"model": name})).await;
        assert!(!told.is_complete(), "{name}: {told:?}");
        let told = ask(&stage, &json!({"model": "alder/alder-large"})).await;
        assert!(told.is_complete(), "{name}: {told:?}");
    }
}

/// A key that a provider quotes is not spelled out by asking for models named after its letters.
#[tokio::test]
async fn a_made_up_name_uncovers_no_key() {
    let stage = Plot::default().cast(Speaks::OpenAiChat, always("answer")).open().await;
    let key = key_of("alder");
    let body =
        json!({"error": {"message": format!("`{key}` may not do this"), "type": "invalid_request_error"}});
    let act = unfail_sim::Act::Status { status: 422, headers: Vec::new(), body: body.to_string() };
    stage.providers[0].set_script(unfail_sim::Script::always(act));
    for name in key.chars().map(String::from).chain([key.clone(), key.split_at(3).1.to_owned()]) {
        let told =
            stage.send(Way::OpenAi, &[], &Way::OpenAi.body(&format!("alder/{name}"), "hello", false)).await;
        assert!(told.is_error(400), "{name}: {told:?}");
        let said = told.error.as_ref().unwrap()["message"].as_str().unwrap().replace("[model]", &name);
        assert!(!said.contains(&key), "{name}: {said}");
    }
}
