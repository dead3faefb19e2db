//! Gateways that lead to each other: a request goes round once and no further, and an endpoint in front of another is
//! no circle.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use unfail_sim::{Provider, Script, Speaks};
use unfail_testkit::eventually;

use crate::stage::{Kept, PATIENCE, Plot};
use crate::way::Way;

/// A way to an endpoint that is not there yet.
struct Tunnel {
    entry: SocketAddr,
    exit: Arc<OnceLock<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Tunnel {
    async fn dig() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (entry, exit) = (listener.local_addr().unwrap(), Arc::new(OnceLock::new()));
        let mut tasks = JoinSet::new();
        let end = Arc::clone(&exit);
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((mut inward, _)) = listener.accept().await {
                let mut outward = TcpStream::connect(*end.get().unwrap()).await.unwrap();
                ways.spawn(async move { drop(copy_bidirectional(&mut inward, &mut outward).await) });
            }
        });
        Self { entry, exit, _tasks: tasks }
    }
}

/// An endpoint whose one provider is an endpoint, which takes the name of the provider's model for a route.
fn leading_to(next: SocketAddr, log: &Kept) -> Plot {
    let same = "[routes.alder-large]\nchain = [\"alder/alder-large\"]";
    Plot::default().guest(Speaks::OpenAiChat, next).more(same).log(log)
}

#[tokio::test]
async fn an_endpoint_that_leads_to_itself_says_so_at_once() {
    for stream in [false, true] {
        let (tunnel, log) = (Tunnel::dig().await, Kept::default());
        let stage = leading_to(tunnel.entry, &log).open().await;
        tunnel.exit.set(stage.address).unwrap();
        let told = stage.ask(Way::OpenAi, stream).await;
        assert!(told.is_error(502) && told.raw.contains("has passed this gateway before"), "{told:?}");
        assert_eq!(told.trail(), "alder:transient");
        eventually(PATIENCE, || log.text().lines().count() >= 2).await.unwrap();
        let records = log.records();
        assert_eq!(records.len(), 2, "{records:?}");
        assert!(log.text().contains("HTTP 508 loop_detected"), "{records:?}");
    }
}

#[tokio::test]
async fn endpoints_that_lead_to_each_other_say_so_as_well() {
    let (tunnel, logs) = (Tunnel::dig().await, [Kept::default(), Kept::default()]);
    let second = leading_to(tunnel.entry, &logs[1]).open().await;
    let first = leading_to(second.address, &logs[0]).open().await;
    tunnel.exit.set(first.address).unwrap();
    let told = first.ask(Way::OpenAi, false).await;
    assert!(told.is_error(502) && told.raw.contains("has passed this gateway before"), "{told:?}");
    eventually(PATIENCE, || logs[1].text().contains("HTTP 508 loop_detected")).await.unwrap();
    // The first asked the second, twice at most, and turned away what came back.
    assert!(logs[0].text().lines().count() <= 3, "{}", logs[0].text());
}

/// The provider at the end learns of both, and of nothing the caller said.
#[tokio::test]
async fn an_endpoint_in_front_of_another_is_no_circle() {
    let provider = Provider::start(Speaks::OpenAiChat, Script::default()).unwrap();
    let second = leading_to(provider.address(), &Kept::default()).open().await;
    let first = leading_to(second.address, &Kept::default()).open().await;
    let body = Way::OpenAi.body("main", "hello", false);
    let told = first.send(Way::OpenAi, &[("via", "1.1 the-caller")], &body).await;
    assert!(told.is_complete(), "{told:?}");
    let calls = provider.calls();
    let via: Vec<&str> = calls[0].header("via").unwrap().split(", ").collect();
    assert!(via.len() == 2 && via[0] != via[1], "{via:?}");
    assert!(via.iter().all(|passed| passed.starts_with("1.1 unfail-")), "{via:?}");
}
