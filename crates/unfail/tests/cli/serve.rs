//! `unfail serve`: starts or says why not, answers, logs one line per request, keeps secrets, drains.

use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;
use unfail_sim::{Act, Break, Fault, Hint, Pace, Refusal, Script};
use unfail_testkit::{Answer, Client, Raw};

use crate::program::{Output, Running, alone, run, unfail};
use crate::world::{SECRETS, TARGETS, World};

/// A server under way.
struct Served {
    running: Running,
    client: Client,
    url: String,
}

impl Served {
    fn start(world: &World) -> Self {
        let mut running = Running::start(&mut world.command(&["serve"]));
        let url = format!("{}/v1/chat/completions", running.address());
        running.line("try: curl");
        Self { running, client: Client::new(), url }
    }

    async fn ask(&self, words: &str, headers: &[(&str, &str)]) -> Answer {
        let body = json!({"model": "auto", "user": "u-1", "messages": [{"role": "user", "content": words}]});
        self.client.post(&self.url, headers, &body).await.unwrap()
    }

    /// Stops it; it must end well, and its log is read.
    fn stop(self) -> (Output, Vec<Value>) {
        self.running.signal("TERM");
        let output = self.running.end();
        assert_eq!(output.code, Some(0), "{}", output.err);
        let lines = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (output, lines)
    }
}

fn streamed(words: &str) -> Value {
    json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": words}]})
}

// === it has few descriptors ===

/// Callers that hold connections and say nothing leave enough descriptors for those who ask.
#[tokio::test]
async fn idle_callers_leave_descriptors_for_calls() {
    // Every call needs a connection of its own.
    let world = World::new(Script::always(Break::CloseWhenIdle(Duration::ZERO)), Script::default());
    let mut running = Running::start(&mut world.limited("ulimit -n 64", &["serve"]));
    let address = running.address();
    running.line("try: curl");
    let address = address.trim_start_matches("http://").parse().unwrap();
    let mut early = Raw::connect(address).await.unwrap();
    let mut idle = Vec::new();
    for round in 1..=3 {
        early.post("/v1/chat/completions", &[], &streamed("hello").to_string()).await.unwrap();
        early.read_until("[DONE]", Duration::from_secs(20)).await.unwrap();
        assert_eq!((world.first.count(), world.second.count()), (round, 0));
        while idle.len() < 80 {
            idle.push(Raw::connect(address).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A want of descriptors is the gateway's own: it says so, blames nobody for it, and goes on when it is over.
#[tokio::test]
async fn a_want_of_descriptors_is_told_as_such() {
    let closing = || Script::always(Break::CloseWhenIdle(Duration::ZERO));
    let world = World::new(closing(), closing());
    world.configure("breaker = { consecutive = 1 }\n");
    let mut running = Running::start(&mut world.command(&["serve"]));
    let address = running.address();
    running.line("try: curl");
    let mut caller = Raw::connect(address.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    for (free, expected) in [(true, "[DONE]"), (false, "no file descriptors left"), (true, "[DONE]")] {
        // The provider's last connection is gone by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        running.descriptors(free);
        caller.post("/v1/chat/completions", &[], &streamed("hello").to_string()).await.unwrap();
        let told = caller.read_until(expected, Duration::from_secs(20)).await.unwrap();
        assert_eq!(told.contains("HTTP/1.1 503"), !free, "{told}");
    }
    running.line("no provider is to blame");
    assert_eq!((world.first.count(), world.second.count()), (2, 0));
}

// === it starts, or says why not ===

#[test]
fn without_any_key_it_says_what_to_do() {
    let output = alone(&["serve"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    for part in ["ANTHROPIC_API_KEY", "GROQ_API_KEY", "GEMINI_API_KEY", "check --template", "unfail demo"] {
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
}

#[test]
fn it_is_not_open_to_others_without_caller_keys() {
    let open = "[server]\nlisten = \"0.0.0.0:0\"\n";
    let table = [
        ("", &["serve", "--listen", "0.0.0.0:0"][..], "not loopback"),
        (open, &["serve"], "can be reached from outside"),
    ];
    for (text, arguments, part) in table {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("unfail.toml"), text).unwrap();
        let output = run(unfail(folder.path(), arguments).env("ANTHROPIC_API_KEY", SECRETS[0]));
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(output.err.contains(part) && output.err.contains("[keys.NAME]"), "{}", output.err);
    }
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let table = [
        ("", vec!["serve", "--listen", &address], "cannot listen on"),
        ("[routes.a]\nchain = [\"nobody/x\"]\n", vec!["serve"], "nobody"),
        ("", vec!["serve", "--config", "none.toml"], "none.toml"),
    ];
    for (text, arguments, part) in table {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("unfail.toml"), text).unwrap();
        let output = run(unfail(folder.path(), &arguments).env("ANTHROPIC_API_KEY", SECRETS[0]));
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
}

// === it answers, and tells of it ===

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_one_line_with_everything_in_it() {
    let limited = Script::first([Act::default(), Hint::RetryAfterSeconds(600).into()]);
    let world = World::new(limited, Script::default());
    let served = Served::start(&world);
    let whole = served.ask("Hello", &[]).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let fallen = served.ask("Hello again", &[("x-unfail-user", "u-2")]).await;
    assert_eq!(fallen.header("x-unfail-trail"), "anthropic:rate_limited,groq:ok");
    let mut stream = served.client.stream(&served.url, &[], &streamed("Once more")).await.unwrap();
    let (_, fault) = stream.rest().await;
    assert!(fault.is_none(), "{fault:?}");

    let (_, log) = served.stop();
    assert_eq!(log.len(), 3, "{log:?}");
    let [first, second, third] = &log[..] else { panic!() };
    for (line, answer) in [(first, &whole), (second, &fallen)] {
        assert_eq!(line["request"]["id"], answer.header("x-unfail-request-id"));
    }
    for line in &log {
        assert_eq!(line["outcome"], "answered");
        assert_eq!(line["request"]["route"], "auto");
        assert_eq!(line["request"]["caller"], "anonymous");
        assert_eq!(line["path"]["primary"], TARGETS[0]);
        assert_eq!(line["path"]["retries"], 0);
        assert!(
            line["timing"]["latency_ms"].as_f64().unwrap()
                >= line["timing"]["first_token_ms"].as_f64().unwrap()
        );
        assert!(
            line["tokens"]["input"].as_u64().unwrap() > 0 && line["tokens"]["output"].as_u64().unwrap() > 0
        );
        assert!(line["cost_usd"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["at_ms"].as_u64().unwrap() > 0);
        assert_eq!(line.get("error_class"), None);
    }
    let paths = |line: &Value| (line["path"]["final"].clone(), line["path"]["fallback_used"].clone());
    assert_eq!(paths(first), (json!(TARGETS[0]), json!(false)));
    assert_eq!(paths(second), (json!(TARGETS[1]), json!(true)));
    assert_eq!(paths(third), (json!(TARGETS[1]), json!(true)));
    assert_eq!((&first["request"]["user"], &second["request"]["user"]), (&json!("u-1"), &json!("u-2")));
    assert_eq!((&first["request"]["stream"], &third["request"]["stream"]), (&json!(false), &json!(true)));
    let results = |line: &Value| -> Vec<String> {
        let attempts = line["path"]["attempts"].as_array().unwrap();
        attempts.iter().map(|attempt| format!("{}", attempt["result"])).collect()
    };
    assert_eq!(results(second), ["\"rate_limited\"", "\"ok\""]);
    assert_eq!(second["path"]["attempts"][0]["status"], 429);
    assert!(!second["path"]["attempts"][0]["reason"].as_str().unwrap().is_empty());
    assert_eq!(results(third), ["\"resting\"", "\"ok\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_or_told_whatever_goes_wrong() {
    let parrot = |key: &str| Act::Status {
        status: 401,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: json!({"error": {"message": format!("Incorrect API key provided: {key}"), "type": "x"}})
            .to_string(),
    };
    let world = World::new(Script::always(parrot(SECRETS[0])), Script::always(parrot(SECRETS[1])));
    let served = Served::start(&world);
    let answer = served.ask("Hello", &[]).await;
    assert!(answer.status.is_server_error(), "the caller's key is not at fault: {}", answer.status);
    let (output, log) = served.stop();
    assert_eq!(log.len(), 1);
    assert_eq!((&log[0]["outcome"], &log[0]["error_class"]), (&json!("failed"), &json!("auth")));
    assert_eq!(world.first.count() + world.second.count(), 2, "both keys were turned down");
    for secret in SECRETS {
        for text in [&output.out, &output.err, &answer.text(), &format!("{:?}", answer.headers)] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_cut_streams_are_lines_too() {
    let first = Script::first::<Act>([Refusal::ContextTooLong.into(), Fault::CutAfter(4).into()]);
    let world = World::new(first, Script::always(Refusal::Overloaded));
    let served = Served::start(&world);
    let refused = served.ask("far too long", &[]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let mut stream = served.client.stream(&served.url, &[], &streamed("Hello")).await.unwrap();
    let (events, fault) = stream.rest().await;
    assert!(fault.is_none(), "{fault:?}");
    assert!(events.last().unwrap().1.data.contains("\"error\""), "{events:?}");

    // Each core writes its own lines; only their times say which request came first.
    let (_, mut log) = served.stop();
    log.sort_by_key(|line| line["at_ms"].as_u64());
    let told: Vec<_> = log.iter().map(|line| (&line["outcome"], &line["error_class"])).collect();
    assert_eq!(told, [(&json!("failed"), &json!("too_long")), (&json!("cut"), &json!("mid_stream"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_needs_its_key_where_keys_are_configured() {
    let world = World::new(Script::default(), Script::default());
    world.configure("[keys.web]\nsecret = \"env:SECOND_KEY\"\n");
    let served = Served::start(&world);
    assert_eq!(served.ask("Hello", &[]).await.status, 401);
    assert_eq!(served.ask("Hello", &[("authorization", "Bearer wrong")]).await.status, 401);
    let bearer = format!("Bearer {}", SECRETS[1]);
    assert_eq!(served.ask("Hello", &[("authorization", &bearer)]).await.status, 200);
    let (output, log) = served.stop();
    assert!(log.iter().any(|line| line["request"]["caller"] == "web"), "{}", output.out);
    assert!(!output.out.contains(SECRETS[1]) && !output.err.contains(SECRETS[1]));
    assert!(output.err.contains("authorization: Bearer KEY"), "the line to try shows where the key goes");
}

// === it stops ===

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_stream_in_flight_finish() {
    let words = "one two three four five six seven eight nine ten eleven twelve thirteen";
    let slow = Pace { first: Duration::ZERO, each: Duration::from_millis(60) };
    let script = Script::always(Act::Say(words.to_owned(), Box::new(slow.into())));
    let world = World::new(script, Script::default());
    let served = Served::start(&world);
    let mut stream = served.client.stream(&served.url, &[], &streamed("Count")).await.unwrap();
    let begun = stream.next().await.unwrap().unwrap();
    served.running.signal("TERM");
    let (rest, fault) = stream.rest().await;
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(rest.last().unwrap().1.data, "[DONE]", "it finished");
    let said: String = std::iter::once(&begun)
        .chain(&rest)
        .filter_map(|(_, event)| serde_json::from_str::<Value>(&event.data).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, words);

    let output = served.running.end();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(output.out.lines().count(), 1, "{}", output.out);
    assert!(output.out.contains("\"outcome\":\"answered\""), "{}", output.out);
    assert!(served.client.get(&served.url, &[]).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_turned_off() {
    let world = World::new(Script::default(), Script::default());
    let mut running = Running::start(&mut world.command(&["serve", "--no-log"]));
    let url = format!("{}/v1/chat/completions", running.address());
    let body = json!({"messages": [{"role": "user", "content": "Hello"}], "model": "auto"});
    assert_eq!(Client::new().post(&url, &[], &body).await.unwrap().status, 200);
    running.signal("INT");
    let output = running.end();
    assert_eq!((output.code, output.out.as_str()), (Some(0), ""), "{}", output.err);
}

/// A pace at which an answer takes a minute.
fn endless() -> Script {
    let slow = Pace { first: Duration::ZERO, each: Duration::from_millis(500) };
    Script::always(Act::Say("word ".repeat(120), Box::new(slow.into())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_drain() {
    let world = World::new(endless(), Script::default());
    let mut served = Served::start(&world);
    let mut stream = served.client.stream(&served.url, &[], &streamed("Count")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    served.running.signal("TERM");
    served.running.line("draining, 1 request under way");
    served.running.signal("INT");
    let (events, fault) = stream.rest().await;
    assert!(fault.is_none(), "{fault:?}");
    assert!(events.last().unwrap().1.data.contains("server_stopping"), "{events:?}");
    let output = served.running.end();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.out.contains("\"outcome\":\"stopped\""), "{}", output.out);
}

// === it reads its configuration again ===

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_configuration_again() {
    let world = World::new(endless(), Script::default());
    let mut served = Served::start(&world);
    let mut under_way = served.client.stream(&served.url, &[], &streamed("Count")).await.unwrap();
    under_way.next().await.unwrap().unwrap();
    let body = json!({"model": "more", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(served.client.post(&served.url, &[], &body).await.unwrap().status, 404);

    // What is wrong changes nothing.
    world.configure("[routes.more]\nchain = [\"nobody/x\"]\n");
    served.running.signal("HUP");
    let line = served.running.line("configuration not changed, the old one stays in use");
    assert!(!line.contains("panicked"), "{line}");
    served.running.line("nobody");
    assert_eq!(served.client.post(&served.url, &[], &body).await.unwrap().status, 404);

    world.configure(&format!("[routes.more]\nchain = [\"{}\"]\n", TARGETS[1]));
    let path = world.folder().join("unfail.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("127.0.0.1:0", "127.0.0.1:1")).unwrap();
    served.running.signal("HUP");
    served.running.line("server.listen");
    served.running.line("in use for new requests");
    let answer = served.client.post(&served.url, &[], &body).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("x-unfail-trail")), (200, "groq:ok"));
    let (_, next) = under_way.next().await.unwrap().expect("the stream goes on");
    assert!(!next.data.contains("error"), "{}", next.data);

    // A file that is gone is no reason to end either.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    served.running.signal("HUP");
    served.running.line("configuration not changed");
    assert_eq!(served.client.post(&served.url, &[], &body).await.unwrap().status, 200);
    // Nor to serve what the environment would allow: the file may have kept strangers out.
    std::fs::remove_dir(&path).unwrap();
    served.running.signal("HUP");
    served.running.line("not there any more");
    assert_eq!(served.client.post(&served.url, &[], &body).await.unwrap().status, 200);
    drop(under_way);
    served.stop();
}

// === nobody has to read what it says ===

/// Warnings that nobody reads hold no request up, and no stop. The kernel keeps 64 KiB of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pipe_of_words_holds_nothing_up() {
    let world = World::new(Script::default(), Script::default());
    let mut command = world.command(&["serve"]);
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let mut child = command.args(["--listen", &address.to_string()]).spawn().unwrap();
    // Taken and never read.
    let (_unread, _out) = (child.stderr.take().unwrap(), child.stdout.take().unwrap());
    let url = format!("http://{address}/v1/chat/completions");
    let client = Client::new();
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let mut up = false;
    for _ in 0..200 {
        up = client.get(&format!("http://{address}/healthz"), &[]).await.is_ok();
        if up {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(up);
    // Every failing reload is a line, and this one a long one.
    let names: String = (0..400).map(|n| format!("[routes.r{n}]\nchain = [\"nobody/x\"]\n")).collect();
    world.configure(&names);
    for _ in 0..5 {
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let asked = tokio::time::timeout(Duration::from_secs(10), client.post(&url, &[], &body)).await;
        assert_eq!(asked.expect("an answer in time").unwrap().status, 200);
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut ended = None;
    for _ in 0..200 {
        ended = child.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(child.kill());
    assert!(ended.is_some_and(|status| status.success()), "it ends although nobody reads: {ended:?}");
}
