//! Good files and what they mean.

use crate::world::World;
use secrecy::ExposeSecret;
use std::time::Duration;
use unfail_catalog::Auth;
use unfail_config::{Config, Mode, Resolution, TargetRef};
use unfail_policy::attempt::OnRefusal;
use unfail_wire::target::{MaxTokens, Quirks};

/// The example of the design, word for word.
const DESIGN: &str = include_str!("design.toml");

fn design_world() -> World {
    World::with_env(&[
        ("GROQ_API_KEY", "gsk-1"),
        ("GROQ_API_KEY_2", "gsk-2"),
        ("ANTHROPIC_API_KEY", "ant-1"),
        ("OPENAI_API_KEY", "oai-1"),
        ("UNFAIL_WEB_APP_KEY", "web-1"),
    ])
    .and_files(&[("/run/secrets/in-house", "own-1\n"), ("schemas/reply.json", r#"{"type":"object"}"#)])
}

fn good(world: &World, text: &str) -> Config {
    let (config, report) = world.load(text);
    assert_eq!(report.problems, [], "{report}");
    config.unwrap()
}

fn ids(config: &Config) -> Vec<&str> {
    config.providers.iter().map(|provider| provider.id.as_str()).collect()
}

fn names(chain: &[TargetRef]) -> Vec<String> {
    chain.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_of_the_design_is_accepted() {
    let (config, report) = design_world().load(DESIGN);
    assert_eq!(report.problems, [], "{report}");
    assert!(report.warnings.iter().all(|warning| warning.message.contains("not enforced")), "{report}");
    assert_eq!(report.warnings.len(), 4, "{report}");

    let config = config.unwrap();
    assert_eq!(ids(&config), ["anthropic", "groq", "openai", "in-house"]);
    let keys = |id: &str| {
        let keys = &config.provider(id).unwrap().keys;
        keys.iter().map(|key| format!("{}={}", key.name, key.secret.expose_secret())).collect::<Vec<_>>()
    };
    assert_eq!(keys("groq"), ["env:GROQ_API_KEY=gsk-1", "env:GROQ_API_KEY_2=gsk-2"]);
    assert_eq!(keys("in-house"), ["file:/run/secrets/in-house=own-1"]);

    let route = &config.routes["support_reply"];
    assert_eq!(
        names(&route.chain),
        ["anthropic/claude-sonnet-5-5", "openai/gpt-5.6-terra", "in-house/qwen3-32b"]
    );
    let rules = &route.rules;
    assert_eq!((rules.retries, rules.max_per_target, rules.max_calls), (1, 2, 4));
    let times =
        [rules.connect, rules.first_token, rules.stall, rules.deadline, rules.cooldown, rules.patience];
    assert_eq!(times.map(|time| time.as_secs()), [2, 5, 15, 30, 5, 1]);
    assert_eq!(rules.answer.as_secs(), 120);
    assert_eq!(rules.on_refusal, OnRefusal::Stop);
    assert_eq!((route.breaker.consecutive, route.breaker.probes), (5, 2));
    assert_eq!(route.breaker.open_max, Duration::from_secs(120));
    assert_eq!(route.schema, Some(serde_json::json!({"type": "object"})));

    let own = config.catalog.find("in-house/qwen3-32b").unwrap();
    assert_eq!(own.traits.context, Some(32_768));
    assert_eq!(own.price.as_ref().map(|price| (price.input, price.output)), Some((100_000, 300_000)));
    assert_eq!(config.callers[0].routes, ["support_reply"]);
    assert_eq!(config.server.mode, Mode::Developer);
    assert_eq!(config.server.max_body, 20_000_000);
}

#[test]
fn zero_configuration_finds_what_has_a_key() {
    let all = [
        ("OPENROUTER_API_KEY", "k"),
        ("GOOGLE_API_KEY", "k"),
        ("CEREBRAS_API_KEY", "k"),
        ("GROQ_API_KEY", "k"),
        ("ANTHROPIC_API_KEY", "k"),
        ("XAI_API_KEY", "k"),
        ("OPENAI_API_KEY", "k"),
    ];
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 5] = [
        (&[], &[], &[]),
        (&[("GROQ_API_KEY", "  ")], &[], &[]),
        (
            &[("OPENAI_API_KEY", "k"), ("GROQ_API_KEY", "k")],
            &["groq", "openai"],
            &["groq/openai/gpt-oss-120b"],
        ),
        (
            &[("XAI_API_KEY", "k"), ("OPENAI_API_KEY", "k")],
            &["openai", "xai"],
            &["openai/gpt-6-luna", "xai/grok-4.3"],
        ),
        (
            &all,
            &["anthropic", "groq", "cerebras", "gemini", "openrouter", "openai", "xai"],
            &[
                "anthropic/claude-haiku-5-5",
                "groq/openai/gpt-oss-120b",
                "cerebras/gpt-oss-120b",
                "gemini/gemini-3.8-flash",
                "openrouter/openai/gpt-oss-120b",
            ],
        ),
    ];
    for (env, providers, chain) in table {
        let (config, report) = Config::from_env(&World::with_env(env));
        assert_eq!(report.to_string(), "");
        let config = config.unwrap();
        assert_eq!(ids(&config), providers);
        let auto = config.routes.get("auto").map(|route| names(&route.chain)).unwrap_or_default();
        assert_eq!(auto, chain);
        assert_eq!(config.routes.len(), usize::from(!chain.is_empty()));
    }
}

#[test]
fn every_target_of_a_chain_may_be_called() {
    let world = World::with_env(&[("GROQ_API_KEY", "k")]);
    let chain = |length: usize| (0..length).map(|n| format!("'groq/m{n}'")).collect::<Vec<_>>().join(", ");
    for (length, more, calls) in [(1, "", 4), (4, "", 4), (7, "", 7), (7, "max_calls = 2", 2)] {
        let config = good(&world, &format!("[routes.a]\nchain = [{}]\n{more}", chain(length)));
        assert_eq!(config.routes["a"].rules.max_calls, calls);
    }
    let config = good(&world, "");
    let direct = config.direct(config.routes["auto"].chain.clone());
    assert_eq!((direct.name.as_str(), direct.rules), ("direct", config.routes["auto"].rules));
}

#[test]
fn rows_of_ones_own() {
    let world = World::with_env(&[("KEY", "k"), ("OPENAI_API_KEY", "k")]);
    let table = [
        (
            "x",
            "wire = 'openai-chat'\nbase_url = 'http://x/v1/'",
            Auth::None,
            "http://x/v1",
            MaxTokens::MaxTokens,
        ),
        (
            "x",
            "wire = 'openai-chat'\nbase_url = 'http://x/v1'\nkeys = ['env:KEY']",
            Auth::Bearer,
            "http://x/v1",
            MaxTokens::MaxTokens,
        ),
        (
            "x",
            "wire = 'anthropic'\nbase_url = 'http://x'\nkeys = ['env:KEY']",
            Auth::Header("x-api-key"),
            "http://x",
            Quirks::NONE.max_tokens,
        ),
        ("ollama", "", Auth::None, "http://127.0.0.1:11434/v1", MaxTokens::MaxTokens),
        ("ollama", "keys = ['env:KEY']", Auth::Bearer, "http://127.0.0.1:11434/v1", MaxTokens::MaxTokens),
        (
            "openai",
            "base_url = 'http://127.0.0.1:1'",
            Auth::Bearer,
            "http://127.0.0.1:1",
            MaxTokens::MaxCompletionTokens,
        ),
        (
            "openai",
            "wire = 'gemini'\nbase_url = 'http://x'",
            Auth::Header("x-goog-api-key"),
            "http://x",
            Quirks::NONE.max_tokens,
        ),
    ];
    for (id, text, auth, base_url, max_tokens) in table {
        let config = good(&world, &format!("[providers.{id}]\n{text}"));
        let provider = config.provider(id).unwrap();
        assert_eq!(provider.auth, auth, "{text}");
        assert_eq!(provider.base_url, base_url, "{text}");
        assert_eq!(provider.quirks.max_tokens, max_tokens, "{text}");
        assert_eq!(provider.keys.is_empty(), auth == Auth::None, "{text}");
    }
}

#[test]
fn facts_about_models_lie_over_the_catalog() {
    let world = World::default();
    let text = "
[models.\"anthropic/claude-haiku-5-5\"]
context = 500_000
input_usd_per_mtok = 0.2
[models.\"groq/openai/gpt-oss-20b\"]
images = true
[models.\"groq/free\"]
input_usd_per_mtok = 0
output_usd_per_mtok = 0.0
";
    let config = good(&world, text);
    let haiku = config.catalog.find("anthropic/claude-haiku-5-5").unwrap();
    let price = haiku.price.as_ref().unwrap();
    assert_eq!(haiku.traits.context, Some(500_000));
    assert_eq!(haiku.traits.tools, Some(true));
    assert_eq!((price.input, price.output, price.cached), (200_000, 500_000, Some(10_000)));
    assert!(price.tiers.is_empty());
    let oss = config.catalog.find("groq/openai/gpt-oss-20b").unwrap();
    assert_eq!((oss.traits.images, oss.price.as_ref().unwrap().input), (Some(true), 75_000));
    let free = config.catalog.find("groq/free").unwrap();
    assert_eq!(free.price.as_ref().map(|price| price.output), Some(0));
}

#[test]
fn what_a_callers_model_means() {
    let world = World::with_env(&[("GROQ_API_KEY", "k"), ("TOGETHER_API_KEY", "k"), ("OPENAI_API_KEY", "k")]);
    let text = "
[routes.support]
chain = ['groq/*']
[providers.in-house]
wire = 'openai-chat'
base_url = 'http://x'
";
    let config = good(&world, text);
    type Row<'a> = (&'a str, Result<&'a [&'a str], &'a [&'a str]>);
    let table: [Row<'_>; 16] = [
        ("support", Ok(&["route support"])),
        ("auto", Ok(&["route auto"])),
        ("groq/*", Ok(&["groq/openai/gpt-oss-120b"])),
        ("groq/openai/gpt-oss-20b", Ok(&["groq/openai/gpt-oss-20b"])),
        ("groq/brand-new", Ok(&["groq/brand-new"])),
        ("openai/gpt-6-luna", Ok(&["openai/gpt-6-luna"])),
        ("openai/gpt-oss-120b", Ok(&["groq/openai/gpt-oss-120b", "together/openai/gpt-oss-120b"])),
        ("openai/gpt-new", Ok(&["openai/gpt-new"])),
        ("gpt-6-luna", Ok(&["openai/gpt-6-luna"])),
        ("in-house/a/b", Ok(&["in-house/a/b"])),
        ("in-house/*", Err(&[])),
        ("claude-haiku-5-5", Err(&["provider `anthropic` has no key: set ANTHROPIC_API_KEY"])),
        ("gemini/brand-new", Err(&["provider `gemini` has no key: set GEMINI_API_KEY or GOOGLE_API_KEY"])),
        (
            "ollama/brand-new",
            Err(&["provider `ollama` is not set up: it needs no key, but a table `[providers.ollama]`"]),
        ),
        ("suport", Err(&["support"])),
        ("groq/", Err(&["groq/qwen/qwen3.8-27b", "groq/openai/gpt-oss-20b", "groq/openai/gpt-oss-120b"])),
    ];
    for (model, expected) in table {
        let found = match config.resolve(model) {
            Resolution::Route(route) => Ok(vec![format!("route {}", route.name)]),
            Resolution::Direct(chain) => Ok(names(&chain)),
            Resolution::Unused { why } => Err(vec![why]),
            Resolution::NotFound { near } => Err(near),
        };
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(found, expected.map(owned).map_err(owned), "{model}");
    }
}

#[test]
fn an_unusable_variable_is_said_out_loud() {
    let (config, report) = Config::from_env(&World::with_env(&[("GROQ_API_KEY", "two words")]));
    assert_eq!(ids(&config.unwrap()), [""; 0]);
    let expected =
        "environment: warning: GROQ_API_KEY: `env:GROQ_API_KEY` holds characters no key has; it is not used";
    assert_eq!(report.to_string().lines().next(), Some(expected));
}

#[test]
fn secrets_do_not_show() {
    let (config, report) = design_world().load(DESIGN);
    let everything = format!("{config:?} {report:?} {report}");
    for secret in ["gsk-1", "gsk-2", "ant-1", "oai-1", "web-1", "own-1"] {
        assert!(!everything.contains(secret), "{secret} shows");
    }
}
