//! Probes of a target that rests, on a clock that only waits move: what takes minutes is over in milliseconds.

#![cfg(test)]

use std::time::Duration;
use unfail_engine::answer::AnswerStream;
use unfail_engine::world::World;
use unfail_engine::{Cascade, CascadeError};
use unfail_policy::attempt::Rules;
use unfail_policy::time::Time;
use unfail_sim::{Act, Break, Provider, Refusal, Script, Speaks};
use unfail_wire::chat::{ChatRequest, Message, Part, Role};

const SECOND: Duration = Duration::from_secs(1);

/// A target whose breaker has just opened, for five seconds and a fifth more or less; from then on its provider
/// follows `act`.
async fn resting(act: Act) -> (Provider, Cascade) {
    let provider = Provider::start(Speaks::OpenAiChat, Script::always(Refusal::ServerError)).unwrap();
    let cascade = Cascade::builder()
        .target("openai", "gpt-5.6-terra")
        .base_url("openai", format!("{}/v1", provider.base_url()))
        .key("openai", "sk-test-0123456789")
        .rules(Rules { max_per_target: 1, ..Rules::default() })
        .build()
        .unwrap();
    for _ in 0..5 {
        cascade.text("Hello").await.unwrap_err();
    }
    provider.set_script(Script::always(act));
    (provider, cascade)
}

/// A normal answer that begins after this time.
fn late(after: Duration) -> Act {
    Act::Delay(after, Box::default())
}

async fn stream(cascade: &Cascade) -> Result<AnswerStream, CascadeError> {
    let message = Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None };
    let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
    cascade.stream(&request).await.map(|(_, stream)| stream)
}

/// Two answers of 40 s each end the probing, although others ask all the time; then traffic flows again.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_no_lost_probe() {
    for streams in [false, true] {
        let (provider, cascade) = resting(late(SECOND * 40)).await;
        let ask = async || match streams {
            false => drop(cascade.text("Hello").await.unwrap()),
            true => drop(stream(&cascade).await.unwrap()),
        };
        let began = World::start();
        tokio::join!(ask(), ask());
        let took = began.now().since(Time::ZERO);
        assert!((SECOND * 84..SECOND * 90).contains(&took), "streams: {streams}, {took:?}");
        let began = World::start();
        tokio::join!(ask(), ask());
        let took = began.now().since(Time::ZERO);
        assert!(took < SECOND * 45, "streams: {streams}, {took:?}");
        assert_eq!(provider.count(), 5 + 4, "streams: {streams}");
    }
}

/// A probe that hangs keeps its place for as long as its call may take, and no longer.
#[tokio::test(start_paused = true)]
async fn a_hung_probe_makes_room_at_its_limit() {
    for (streams, limit) in [(false, 590), (true, 60)] {
        let (provider, cascade) = resting(Break::HangBeforeHeaders.into()).await;
        let probe = async {
            match streams {
                false => drop(cascade.text("Hello").await.unwrap_err()),
                true => drop(stream(&cascade).await.unwrap_err()),
            }
            assert_eq!(provider.count(), 6, "streams: {streams}: another went while it was out");
            provider.set_script(Script::default());
        };
        let others = async {
            tokio::time::sleep(SECOND * 10).await;
            drop(cascade.text("Hello").await);
        };
        let began = World::start();
        tokio::join!(probe, others);
        let took = began.now().since(Time::ZERO);
        assert!(took > SECOND * limit, "streams: {streams}, {took:?}");
        let began = World::start();
        cascade.text("Hello").await.unwrap();
        let took = began.now().since(Time::ZERO);
        assert!(took < SECOND * 13, "streams: {streams}, {took:?}");
    }
}
