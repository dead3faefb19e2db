//! `unfail check`: what the configuration says, every problem in it, and the chains it makes.

use serde_json::{Value, json};
use std::fmt::Write;
use std::process::ExitCode;
use unfail_config::{Config, Route, template};

use crate::args::Check;
use crate::settings::Settings;
use crate::{Error, keys, output, settings};

pub(crate) fn run(args: &Check) -> Result<ExitCode, Error> {
    if args.template {
        output::result(&template());
        return Ok(ExitCode::SUCCESS);
    }
    let settings = settings::read(args.source.config.as_deref())?;
    let engine = settings.config.clone().map(|config| {
        unfail_engine::Engine::new(config, unfail_engine::observe::Log::none())
            .err()
            .map(|error| error.to_string())
    });
    let unusable = engine.flatten();
    let good = settings.config.is_some() && unusable.is_none();
    if args.json {
        output::result(&as_json(&settings, unusable.as_deref()).to_string());
    } else {
        output::result(as_text(&settings, unusable.as_deref()).trim_end());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(settings: &Settings, unusable: Option<&str>) -> Value {
    let routes = |config: &Config| -> Value {
        let route = |route: &Route| {
            let chain: Vec<String> = route.chain.iter().map(ToString::to_string).collect();
            json!({"chain": chain, "deadline_ms": route.rules.deadline.as_millis() as u64, "schema": route.schema.is_some()})
        };
        config
            .routes
            .iter()
            .map(|(name, r)| (name.clone(), route(r)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "file": settings.file,
        "ok": settings.config.is_some() && unusable.is_none(),
        "problems": settings.report.problems,
        "warnings": settings.report.warnings,
        "unusable": unusable,
        "routes": settings.config.as_ref().map(routes),
        "without_key": settings.config.as_ref().map(|config| {
            let rows = keys::without(config).map(|row| json!({"id": row.id, "variables": row.key_env}));
            rows.collect::<Vec<_>>()
        }),
        "providers": settings.config.as_ref().map(|config| {
            config.providers.iter().map(|provider| json!({
                "id": provider.id,
                "wire": provider.wire,
                "base_url": provider.base_url,
                "keys": provider.keys.iter().map(|key| &key.name).collect::<Vec<_>>(),
            })).collect::<Vec<_>>()
        }),
    })
}

fn as_text(settings: &Settings, unusable: Option<&str>) -> String {
    let mut text = String::new();
    if !settings.report.problems.is_empty() || !settings.report.warnings.is_empty() {
        let _ = writeln!(text, "{}", settings.report);
    }
    if let Some(unusable) = unusable {
        let _ = writeln!(text, "problem: {unusable}");
    }
    let source =
        settings.file.as_ref().map_or("the environment".to_owned(), |file| file.display().to_string());
    let Some(config) = &settings.config else {
        let count = settings.report.problems.len();
        let _ = writeln!(text, "{source}: {count} problem{}", if count == 1 { "" } else { "s" });
        return text;
    };
    let _ = writeln!(text, "{source}: {}", if unusable.is_some() { "cannot be used" } else { "ok" });
    let _ = writeln!(text, "\nproviders");
    for provider in &config.providers {
        let keys: Vec<&str> = provider.keys.iter().map(|key| key.name.as_str()).collect();
        let keys = if keys.is_empty() { "no key needed".to_owned() } else { keys.join(", ") };
        let _ = writeln!(text, "  {:<14} {:<12} {}  ({keys})", provider.id, provider.wire, provider.base_url);
    }
    let _ = writeln!(text, "\nroutes");
    for (name, route) in &config.routes {
        let chain: Vec<String> = route.chain.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  {:<14} {}", name, chain.join(" → "));
    }
    let keyless: Vec<String> =
        keys::without(config).map(|row| format!("{} ({})", row.id, row.key_env.join(" or "))).collect();
    if !keyless.is_empty() {
        let _ = writeln!(text, "\nnot used, because their variable holds no key\n  {}", keyless.join(", "));
    }
    if config.providers.is_empty() {
        let _ = writeln!(text, "\nno provider can be used yet: set one of these keys, or try `unfail demo`");
    }
    text
}
