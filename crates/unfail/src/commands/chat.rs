//! `unfail chat`: one question, the answer as it arrives.

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use unfail::Trail;
use unfail::chat::{ChatRequest, Message, Part, Role};
use unfail::event::{Delta, Event};
use unfail_config::Resolution;
use unfail_engine::call::{Ask, Call, Errand};
use unfail_engine::observe::Log;
use unfail_engine::world::request_id;
use unfail_engine::{AnswerStream, Content, Engine};

use crate::args::Chat;
use crate::{Error, keys, output, settings};

pub(crate) fn run(args: &Chat) -> Result<ExitCode, Error> {
    let settings = settings::read(args.source.config.as_deref())?;
    let Some(config) = settings.config else { return Err(settings.report.to_string().into()) };
    if config.providers.is_empty() && matches!(config.resolve(&args.model), Resolution::NotFound { .. }) {
        return Err(keys::none_found().into());
    }
    let prompt = if args.prompt == "-" { standard_input()? } else { args.prompt.clone() };
    let engine = Engine::new(config, Log::none())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask(&engine, args, prompt))
}

fn standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

async fn ask(engine: &Engine, args: &Chat, prompt: String) -> Result<ExitCode, Error> {
    let say = |role, text: String| Message { role, parts: vec![Part::Text(text)], name: None };
    let mut messages: Vec<Message> = args.system.iter().map(|text| say(Role::System, text.clone())).collect();
    messages.push(say(Role::User, prompt));
    let request = ChatRequest { messages, stream: true, ..ChatRequest::default() };
    let world = engine.world();
    let caller = Arc::new(unfail_engine::identify::Caller { name: "command line".into(), routes: None });
    let errand = Errand {
        id: request_id(&mut world.random()).into(),
        caller: caller.clone(),
        user: None,
        agent: None,
        priority: None,
        dialect: "library",
        started: world.now(),
        deadline: None,
        via: None,
    };
    let chain = engine.route::<&str>(&caller, &args.model, &[])?;
    let call = Call { errand, chain, ask: Ask::Hub { request: &request, demand: None } };
    let answer = match engine.answer(call).await {
        Ok(answer) => answer,
        Err(failure) => {
            tell(&failure.trail);
            return Err(failure);
        }
    };
    if args.verbose {
        output::note(&format!("answered by {} ({})", answer.head.target, answer.head.trail.compact()));
    }
    if let Content::Stream(stream) = answer.content {
        print(*stream).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of each target, in words.
fn tell(trail: &Trail) {
    for attempt in &trail.attempts {
        let result = match attempt.result {
            "pre_send" => "not reached".to_owned(),
            "mid_stream" => "broke off".to_owned(),
            class => class.replace('_', " "),
        };
        output::note(format!("  {}: {result} {}", attempt.target, attempt.reason).trim_end());
    }
}

async fn print(mut stream: AnswerStream) -> Result<(), Error> {
    let mut events = Vec::new();
    let mut spoke = false;
    while let Some(read) = stream.next(&mut events).await {
        if let Err(failure) = read {
            if spoke {
                output::piece("\n");
            }
            tell(&failure.trail);
            return Err(failure);
        }
        for event in events.drain(..) {
            if let Event::Delta { delta: Delta::Text(text) | Delta::Refusal(text), .. } = event {
                output::piece(&text);
                spoke = true;
            }
        }
    }
    output::piece("\n");
    Ok(())
}
