//! Targets that several routes share: what is remembered belongs to the target, terms to the request, and a reload
//! changes the terms without forgetting anything.

#![cfg(test)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use unfail_config::{Config, Secrets, load};
use unfail_engine::call::{Ask, Call, Errand};
use unfail_engine::identify::Caller;
use unfail_engine::observe::Log;
use unfail_engine::{Engine, Failure};
use unfail_sim::{Hint, Provider, Refusal, Script, Speaks};
use unfail_wire::chat::{ChatRequest, Message, Part, Role};

/// One secret, whatever it is called.
struct One(&'static str);

const SECRET: &str = "sk-test-0123456789";

impl Secrets for One {
    fn env(&self, _: &str) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn config(provider: &Provider, routes: &str) -> Config {
    config_with(SECRET, provider, routes)
}

fn config_with(secret: &'static str, provider: &Provider, routes: &str) -> Config {
    let url = provider.base_url();
    let text = format!(
        "[providers.own]\nwire = \"openai-chat\"\nbase_url = \"{url}/v1\"\nkeys = [\"env:OWN\"]\n{routes}"
    );
    let (config, report) = load("unfail.toml", text.as_bytes(), &One(secret));
    config.unwrap_or_else(|| panic!("{report}"))
}

fn stage(script: Script, routes: &str) -> (Provider, Engine) {
    let provider = Provider::start(Speaks::OpenAiChat, script).unwrap();
    let engine = Engine::new(config(&provider, routes), Log::none()).unwrap();
    (provider, engine)
}

/// Asks by way of `model`, and of `fallbacks` after it; the compact trail.
async fn ask(engine: &Engine, model: &str, fallbacks: &[&str]) -> String {
    let caller = Arc::new(Caller { name: "test".into(), routes: None });
    let message = Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None };
    let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
    let errand = Errand {
        id: "req_test".into(),
        caller: caller.clone(),
        user: None,
        agent: None,
        priority: None,
        dialect: "test",
        started: engine.world().now(),
        deadline: None,
        via: None,
    };
    let chain = engine.route(&caller, model, fallbacks).unwrap();
    let call = Call { errand, chain, ask: Ask::Hub { request: &request, demand: None } };
    match engine.answer(call).await {
        Ok(answer) => answer.head.trail.compact(),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> String {
    failure.trail.compact()
}

/// One call for each request, and no time to wait for anything.
const ONCE: &str = "max_calls = 1\ndeadline = \"400ms\"\nfirst_token = \"400ms\"\n";

#[tokio::test]
async fn the_pause_after_a_limit_is_that_of_the_route_that_met_it() {
    let chain = format!("chain = [\"own/m\"]\n{ONCE}");
    let routes = format!("[routes.a]\n{chain}cooldown = \"60s\"\n[routes.b]\n{chain}cooldown = \"500ms\"\n");
    for (met, pause) in [("b", Duration::from_millis(500)), ("a", Duration::from_secs(60))] {
        let (provider, engine) = stage(Script::first([Hint::Nothing]), &routes);
        assert_eq!(ask(&engine, met, &[]).await, "own:rate_limited", "{met}");
        let waits_for = engine.world().now() + Duration::from_millis(600);
        assert_eq!(ask(&engine, "a", &[]).await, "own:resting(limited)", "{met}");
        engine.world().sleep_until(waits_for).await;
        let (told, calls) =
            if pause < Duration::from_secs(1) { ("own:ok", 3) } else { ("own:resting(limited)", 1) };
        for route in ["a", "b"] {
            assert_eq!(ask(&engine, route, &[]).await, told, "met by {met}, asked by {route}");
        }
        assert_eq!(provider.count(), calls, "{met}");
    }
}

/// The one who asks by several names has the terms of the first.
#[tokio::test]
async fn joined_routes_have_the_pauses_of_the_first() {
    // Each allows a call of the other's target as well.
    let terms = ONCE.replace("max_calls = 1", "max_calls = 2");
    let one = |name: &str, cooldown: &str| {
        format!("[routes.{name}]\nchain = [\"own/{name}\"]\n{terms}cooldown = \"{cooldown}\"\n")
    };
    let routes = format!("{}{}", one("slow", "60s"), one("quick", "500ms"));
    let (_provider, engine) = stage(Script::first([Hint::Nothing, Hint::Nothing]), &routes);
    ask(&engine, "quick", &["slow"]).await;
    engine.world().sleep_until(engine.world().now() + Duration::from_millis(600)).await;
    assert_eq!(ask(&engine, "quick", &[]).await, "own:ok");
    assert_eq!(ask(&engine, "slow", &[]).await, "own:ok");
}

#[tokio::test]
async fn a_reload_changes_breakers_and_forgets_nothing() {
    let routes = |breaker: &str| format!("[routes.main]\nchain = [\"own/m\"]\n{ONCE}{breaker}\n");
    let (provider, engine) =
        stage(Script::always(Refusal::ServerError), &routes("breaker = { consecutive = 100 }"));
    for _ in 0..7 {
        assert_eq!(ask(&engine, "main", &[]).await, "own:transient");
    }
    engine.reload(config(&provider, &routes("breaker = { consecutive = 8, open = \"100s\" }"))).unwrap();
    assert_eq!(ask(&engine, "main", &[]).await, "own:transient", "the eighth in a row");
    assert_eq!(ask(&engine, "main", &[]).await, "own:resting(breaker)");

    // Where it stands remains as well, and what no route speaks of any more has the defaults.
    provider.set_script(Script::default());
    engine.reload(config(&provider, "")).unwrap();
    assert_eq!(provider.count(), 8);
    engine.reload(config(&provider, &routes("breaker = { consecutive = 1 }"))).unwrap();
    assert_eq!(ask(&engine, "main", &[]).await, "own:resting(breaker)");
}

/// A route that is asked by name and one that is written down share a breaker; its settings are the written ones.
#[tokio::test]
async fn whoever_asks_meets_the_breaker_of_the_file() {
    let chain = format!("chain = [\"own/m\"]\n{ONCE}");
    let routes = format!("[routes.a]\n{chain}[routes.z]\n{chain}breaker = {{ consecutive = 2 }}\n");
    let (_provider, engine) = stage(Script::always(Refusal::ServerError), &routes);
    for _ in 0..2 {
        assert_eq!(ask(&engine, "a", &[]).await, "own:transient");
    }
    assert_eq!(ask(&engine, "a", &[]).await, "own:resting(breaker)");
}

/// Who asks by more names gets no more calls than the first of them allows.
#[tokio::test]
async fn further_names_widen_no_tight_limit() {
    let routes = "[routes.main]\nchain = [\"own/a\", \"own/b\"]\nmax_calls = 1\n";
    let (provider, engine) = stage(Script::always(Refusal::ServerError), routes);
    assert_eq!(ask(&engine, "main", &["own/c", "own/d"]).await, "own:transient");
    assert_eq!(provider.count(), 1);
}

/// Where nobody wrote a limit, there is room to call whatever the caller names as well.
#[tokio::test]
async fn further_names_are_called_where_no_limit_was_written() {
    let routes = "[routes.main]\nchain = [\"own/a\", \"own/b\", \"own/c\", \"own/d\"]\n";
    let (provider, engine) = stage(Script::first([Refusal::ServerError; 4]), routes);
    let told = ask(&engine, "main", &["own/e"]).await;
    assert!(told.ends_with("own:ok"), "{told}");
    assert_eq!(provider.count(), 5);
}

/// What is remembered of a key is remembered of that key: another one in its place begins anew.
#[tokio::test]
async fn a_key_that_was_replaced_is_used_at_once() {
    let routes = format!("[routes.main]\nchain = [\"own/m\"]\n{ONCE}");
    let (provider, engine) = stage(Script::first([Refusal::Unauthorized]), &routes);
    assert_eq!(ask(&engine, "main", &[]).await, "own:auth");
    engine.reload(config(&provider, &routes)).unwrap();
    assert_eq!(ask(&engine, "main", &[]).await, "own:resting(credential)");
    engine.reload(config_with("sk-another-9876543210", &provider, &routes)).unwrap();
    assert_eq!(ask(&engine, "main", &[]).await, "own:ok");
}
