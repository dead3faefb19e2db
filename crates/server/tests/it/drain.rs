//! Stopping: requests in flight finish, nobody new is let in, and the end comes in time.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use unfail_sim::Speaks;
use unfail_sim::clock::Clock;
use unfail_testkit::{Client, Raw, eventually};

use crate::stage::{Kept, PATIENCE, Plot, Stage, always};
use crate::way::{Told, Way};

async fn stage(act: &str, drain: &str) -> Stage {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Gemini), always(act));
    plot.server(&format!("drain = \"{drain}\"")).open().await
}

async fn refuses(stage: &Stage) {
    let address = stage.address;
    let clock = Clock::start();
    while clock.now() < PATIENCE {
        match TcpStream::connect(address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    panic!("connections are still accepted");
}

#[tokio::test]
async fn streams_and_answers_in_flight_finish() {
    for way in Way::ALL {
        let mut stage = stage("answer:300:30", "20s").await;
        let whole = {
            let (client, url, body) =
                (Client::new(), stage.url(way.path()), way.body("main", "hello", false));
            let mut task = tokio::task::JoinSet::new();
            task.spawn(async move { client.post(&url, &[], &body).await.unwrap() });
            task
        };
        let body = way.body("main", "hello", true);
        let mut stream = stage.client.stream(&stage.url(way.path()), &[], &body).await.unwrap();
        let (_, first) = stream.next().await.unwrap().expect("the stream begins");
        // An idle connection has nothing to finish.
        let mut idle = Raw::connect(stage.address).await.unwrap();
        idle.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        idle.read_response(PATIENCE).await.unwrap();

        stage.stop();
        refuses(&stage).await;
        assert!(stage.providers[0].in_flight() > 0, "the stream is still under way");
        let mut told = Told { status: stream.status.as_u16(), ..Told::default() };
        way.hear(&first, &mut told);
        let (events, fault) = stream.rest().await;
        events.iter().for_each(|(_, event)| way.hear(event, &mut told));
        assert!(fault.is_none() && told.is_complete(), "{way:?}: {fault:?} {told:?}");
        let answers = whole.join_all().await;
        assert!(way.read(answers[0].clone()).is_complete(), "{way:?}");
        stage.ended().await.unwrap();
        assert_eq!(stage.providers[0].cancelled(), 0, "{way:?}");
    }
}

/// What has not ended when the drain does ends in an error, and the log says who ended it.
#[tokio::test]
async fn what_is_longer_than_the_drain_ends_in_an_error() {
    for way in Way::ALL {
        let kept = Kept::default();
        let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Gemini), always("stall-after:3"));
        let mut stage = plot.server("drain = \"400ms\"").log(&kept).open().await;
        let body = way.body("main", "hello", true);
        let mut stream = stage.client.stream(&stage.url(way.path()), &[], &body).await.unwrap();
        let (_, first) = stream.next().await.unwrap().expect("the stream begins");
        // And one that has no answer yet.
        stage.providers[0].set_script(always("hang-before-headers"));
        let (client, url, whole) = (Client::new(), stage.url(way.path()), way.body("main", "hello", false));
        let mut waiting = tokio::task::JoinSet::new();
        waiting.spawn(async move { client.post(&url, &[], &whole).await.unwrap() });
        eventually(PATIENCE, || stage.providers[0].in_flight() == 2).await.unwrap();

        let clock = Clock::start();
        stage.stop();
        stage.ended().await.unwrap();
        let took = clock.now().as_millis();
        assert!((400..1_500).contains(&took), "{took} ms");
        let mut told = Told { status: stream.status.as_u16(), ..Told::default() };
        way.hear(&first, &mut told);
        let (events, fault) = stream.rest().await;
        events.iter().for_each(|(_, event)| way.hear(event, &mut told));
        assert!(fault.is_none() && !told.done && !told.is_complete(), "{way:?}: {fault:?} {told:?}");
        let error = told.error.expect("the stream ends in an error");
        assert!(error.to_string().contains("server_stopping"), "{error}");
        let answer = way.read(waiting.join_next().await.unwrap().unwrap());
        assert!(answer.is_error(503), "{way:?}: {answer:?}");
        assert_eq!(answer.header("x-should-retry"), "", "another may answer it");
        let gone = || stage.providers[0].cancelled() == 2;
        eventually(Duration::from_secs(1), gone).await.expect("the provider is told");
        eventually(PATIENCE, || kept.records().len() == 2).await.unwrap();
        for line in kept.records() {
            assert_eq!(line["outcome"], "stopped", "{line}");
        }
    }
}

#[tokio::test]
async fn without_requests_the_end_comes_at_once() {
    let mut stage = stage("answer", "20s").await;
    assert!(stage.ask(Way::Chat, false).await.is_complete());
    // Connections that never sent anything, or not all of a request, do not hold the end up.
    let _silent = Raw::connect(stage.address).await.unwrap();
    let clock = Clock::start();
    stage.stop();
    stage.ended().await.unwrap();
    assert!(clock.now().as_millis() < 2_000, "{:?}", clock.now());
    refuses(&stage).await;
}
