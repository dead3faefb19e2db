//! Every target down: one clear error in the caller's dialect, in time, and nothing about providers in product mode.

use serde_json::{Value, json};
use unfail_sim::{Provider, Speaks};
use unfail_testkit::eventually;

use crate::stage::{CAST, PATIENCE, Plot, Stage, always, each};
use crate::way::{Told, Way};

/// What every provider does, the status the caller sees, the kind in the plain dialects and the code in the other,
/// and whether a wait is known.
type Row = (&'static str, u16, &'static str, &'static str, bool);

const DOWN: &[Row] = &[
    ("retry-after-seconds:30", 429, "rate_limited", "rate_limit_exceeded", true),
    ("retry-after-date:30", 429, "rate_limited", "rate_limit_exceeded", true),
    ("retry-after-ms:30000", 429, "rate_limited", "rate_limit_exceeded", true),
    ("reset-headers:30", 429, "rate_limited", "rate_limit_exceeded", true),
    ("limited-without-hint", 429, "rate_limited", "rate_limit_exceeded", true),
    ("status:529", 503, "overloaded", "server_is_overloaded", false),
    ("overloaded", 503, "overloaded", "server_is_overloaded", false),
    ("server-error", 502, "upstream", "upstream_error", false),
    ("status:503", 502, "upstream", "upstream_error", false),
    ("html-bad-gateway", 502, "upstream", "upstream_error", false),
    ("reset-before-headers", 502, "upstream", "upstream_error", false),
    ("cut-before-first", 502, "upstream", "upstream_error", false),
    ("empty-choices", 502, "upstream", "upstream_error", false),
    ("invalid-json", 502, "upstream", "upstream_error", false),
    ("malformed-after:0", 502, "upstream", "upstream_error", false),
    ("unauthorized", 502, "upstream", "upstream_error", false),
    ("model-not-found", 502, "upstream", "upstream_error", false),
    ("context-too-long", 400, "context_length", "context_length_exceeded", false),
    ("hang-before-headers", 504, "timeout", "timeout", false),
    ("hang-after-headers", 504, "timeout", "timeout", false),
];

/// Nothing a caller in product mode may read anywhere: names, models, keys, places, words of the providers and of
/// their limits, and headers of developer mode.
const NEVER: [&str; 26] = [
    "alder",
    "birch",
    "cedar",
    "-large",
    "secret",
    "127.0.0.1",
    "http:",
    "quota",
    "billing",
    "credit",
    "organization",
    "org-sim",
    "req_sim",
    "chatcmpl-sim",
    "msg_sim",
    "fp_sim",
    "anthropic",
    "gemini",
    "claude",
    "google",
    "per min",
    "rpm",
    "x-unfail-trail",
    "x-unfail-target",
    "x-unfail-route",
    "x-ratelimit",
];

/// Three providers, one of each wire, that all do the same. Nobody waits for any of them.
fn three(act: &str) -> Plot {
    let plot = Speaks::ALL.into_iter().fold(Plot::default(), |plot, wire| plot.cast(wire, always(act)));
    let deadline = if act.contains("hang") || act.contains("stall") { "3s" } else { "9s" };
    plot.patient_unless_needed(act).route(&format!("deadline = \"{deadline}\"")).route("cooldown = \"30s\"")
}

/// The error says when to come back, in whole seconds and in milliseconds, rounded up.
fn states_wait(told: &Told) -> bool {
    let read = |name: &str| told.header(name).parse::<u64>().unwrap_or(0);
    let (seconds, millis) = (read("retry-after"), read("retry-after-ms"));
    (25_000..=31_000).contains(&millis) && seconds == millis.div_ceil(1_000)
}

fn check(told: &Told, way: Way, (act, status, kind, code, waits): Row, case: &str) {
    assert!(told.is_error(status), "{act}, {case}: {told:?}");
    assert_eq!(told.kind(), if way == Way::OpenAi { code } else { kind }, "{act}, {case}: {told:?}");
    assert_eq!(told.header("content-type"), "application/json", "{act}, {case}");
    let states = ["retry-after", "retry-after-ms"].iter().any(|name| !told.header(name).is_empty());
    assert!(if waits { states_wait(told) } else { !states }, "{act}, {case}: {told:?}");
    // The deadline, and what a hundred callers at once take to be heard.
    let most = if act.contains("hang") { 4_500 } else { 9_500 };
    assert!(told.took.as_millis() < most, "{act}, {case}: {:?}", told.took);
    assert!(told.raw.contains(told.header("x-unfail-request-id")), "{act}, {case}: {told:?}");
}

async fn down(row: Row, way: Way, stream: bool) {
    let case = format!("{way:?}, stream: {stream}");
    let stage = three(row.0).open().await;
    let told = stage.ask(way, stream).await;
    check(&told, way, row, &case);
    assert_eq!(told.header("x-should-retry"), "false", "{}, {case}", row.0);
    let tried: Vec<&str> = told.trail().split(',').map(|part| part.split(':').next().unwrap()).collect();
    assert_eq!(tried.first(), Some(&"alder"), "{}, {case}: {told:?}", row.0);
    assert!(told.raw.contains(told.trail()), "{}, {case}: {told:?}", row.0);
    // A call that was given up may reach a busy provider after its caller was told.
    let sent = told.header("x-unfail-attempts").parse::<u64>().unwrap();
    let calls = || stage.providers.iter().map(Provider::reached).collect::<Vec<u64>>();
    let arrived = eventually(PATIENCE, || calls().iter().sum::<u64>() >= sent).await;
    let calls = calls();
    assert!(arrived.is_ok(), "{}, {case}: {sent} sent, {calls:?} arrived: {told:?}", row.0);
    assert_eq!(calls.iter().sum::<u64>(), sent, "{}, {case}: {calls:?} arrived: {told:?}", row.0);
    assert!(sent <= 4 && calls.iter().all(|calls| *calls <= 2), "{}, {case}: {told:?}", row.0);
    // A long prompt is sent on only where a window is known to be larger.
    if row.0 != "context-too-long" {
        assert!(calls.iter().all(|calls| *calls >= 1), "{}, {case}: {told:?}", row.0);
        assert_eq!(tried[..3], ["alder", "birch", "cedar"], "{}, {case}: {told:?}", row.0);
    }
}

#[tokio::test]
async fn one_error_in_the_callers_dialect() {
    let runs = DOWN.iter().flat_map(|row| Way::ALL.map(|way| (*row, way)));
    each(runs, async |(row, way)| {
        down(row, way, false).await;
        down(row, way, true).await;
    })
    .await;
}

/// Once every limit is known nothing is sent, and only then an SDK may come back by itself.
#[tokio::test]
async fn known_limits_answer_at_once() {
    for way in Way::ALL {
        let stage = three("retry-after-seconds:30").open().await;
        stage.ask(way, false).await;
        let told = stage.ask(way, true).await;
        check(&told, way, DOWN[0], "the second time");
        assert_eq!(told.header("x-should-retry"), "", "{told:?}");
        assert_eq!(
            (told.trail(), told.header("x-unfail-attempts")),
            ("alder:resting,birch:resting,cedar:resting", "0")
        );
        assert_eq!(stage.calls(), [1, 1, 1]);
    }
}

/// The error says what helps most: when one target is limited and the others are broken, when to come back.
#[tokio::test]
async fn the_most_telling_failure_is_told() {
    for (acts, status, waits) in [
        (["server-error", "retry-after-seconds:30", "unauthorized"], 429, true),
        (["unauthorized", "server-error", "overloaded"], 503, false),
        (["model-not-found", "html-bad-gateway", "payment-required"], 502, false),
        (["payment-required", "quota-exhausted", "payment-required"], 429, false),
    ] {
        let cast = |plot: Plot, (wire, act): (Speaks, &str)| plot.cast(wire, always(act));
        let stage = Speaks::ALL.into_iter().zip(acts).fold(Plot::default(), cast).open().await;
        let told = stage.ask(Way::Chat, false).await;
        assert!(told.is_error(status), "{acts:?}: {told:?}");
        assert!(!waits || states_wait(&told), "{acts:?}: {told:?}");
    }
}

/// A single target whose wait fits the deadline is waited for instead of failing.
#[tokio::test]
async fn a_wait_that_fits_the_deadline_is_waited() {
    for wire in Speaks::ALL {
        let script = crate::stage::once("retry-after-ms:400");
        let stage = Plot::default().cast(wire, script).route("deadline = \"10s\"").open().await;
        let told = stage.ask(Way::OpenAi, true).await;
        assert!(told.is_complete(), "{wire}: {told:?}");
        // This wire states waits in its body, and both of them as decimal seconds.
        assert_eq!(told.trail().split(',').next(), Some("alder:rate_limited"), "{wire}: {told:?}");
        assert!((400..3_000).contains(&told.took.as_millis()), "{wire}: {:?}", told.took);
        assert_eq!(stage.calls(), [2], "{wire}");
    }
}

// === product mode ===

fn shows_nothing(told: &Told, case: &str) {
    // The request's own id is random, and may hold any short word.
    let without_id = |text: &str| text.replace(told.header("x-unfail-request-id"), "").to_ascii_lowercase();
    let (headers, body) = (without_id(&format!("{:?}", told.headers)), without_id(&told.raw));
    // The model speaks under the provider's name; what it says is its own affair.
    let body = CAST.iter().fold(body, |body, name| body.replace(&format!("{name} heard"), "heard"));
    for word in NEVER {
        assert!(!headers.contains(word), "{case}: `{word}` in {headers}");
        assert!(!body.contains(word), "{case}: `{word}` in {body}");
    }
    let ours = |name: &&http::HeaderName| name.as_str().starts_with("x-unfail");
    let ours: Vec<&str> = told.headers.keys().filter(ours).map(http::HeaderName::as_str).collect();
    assert_eq!(ours, ["x-unfail-request-id"], "{case}");
    let plain = ["content-type", "content-length", "date", "transfer-encoding", "cache-control"];
    let waits = ["retry-after", "retry-after-ms", "x-should-retry", "x-unfail-request-id"];
    for name in told.headers.keys() {
        assert!(plain.contains(&name.as_str()) || waits.contains(&name.as_str()), "{case}: {name}");
    }
}

async fn hidden(row: Row) {
    for (way, stream) in Way::ALL.into_iter().zip([true, false, true]) {
        let stage = three(row.0).server("mode = \"product\"").open().await;
        let told = stage.ask(way, stream).await;
        check(&told, way, row, "product");
        shows_nothing(&told, &format!("{} for {way:?}, stream: {stream}", row.0));
    }
}

#[tokio::test]
async fn product_mode_says_nothing_about_providers() {
    each(DOWN, |row| hidden(*row)).await;
}

/// Whatever the route ends in: errors without a wait, refusals, faults of the caller, cut streams, and answers.
#[tokio::test]
async fn product_mode_hides_everything_else_too() {
    let acts =
        ["payment-required", "quota-exhausted", "content-policy", "declined", "answer", "cut-after:40"];
    let more = ["end-after:3", "stall-after:3", "error-after:3", "error-after:0", "no-done", "gzip-forced"];
    each(acts.into_iter().chain(more), async |act| {
        for (way, stream) in Way::ALL.into_iter().zip([true, false, true]) {
            let told = three(act).server("mode = \"product\"").open().await.ask(way, stream).await;
            shows_nothing(&told, &format!("{act} for {way:?}, stream: {stream}"));
            let answered = told.is_complete() || told.is_cut() || told.finish.is_some();
            assert!(answered || told.error.is_some(), "{act}: {told:?}");
        }
    })
    .await;
}

async fn complains(stage: &Stage, words: &str) -> Told {
    let body = json!({"error": {"message": words, "type": "invalid_request_error", "param": "seed"}});
    let act = unfail_sim::Act::Status { status: 422, headers: Vec::new(), body: body.to_string() };
    stage.providers[0].set_script(unfail_sim::Script::always(act));
    stage.ask(Way::OpenAi, false).await
}

/// A provider's own words about a wrong request may name it; the parameter at fault is the caller's.
#[tokio::test]
async fn product_mode_keeps_a_providers_words_to_itself() {
    let stage = three("answer").server("mode = \"product\"").open().await;
    let told = complains(&stage, "alder-large does not take `seed`, see https://alder.example/docs").await;
    assert!(told.is_error(400), "{told:?}");
    shows_nothing(&told, "a fault of the caller");
    assert_eq!(told.error.as_ref().unwrap()["param"], "seed", "{told:?}");
}

/// Names of targets are no answer to a wrong name, and no models of their own.
#[tokio::test]
async fn product_mode_offers_routes_only() {
    let known = "[models.\"alder/alder-large\"]\ncontext = 1000\n";
    let stage = three("answer").more(known).server("mode = \"product\"").open().await;
    let list: Value = stage.get("/v1/models", &[]).await.json();
    let names: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["main"]);
    for way in Way::ALL {
        for name in ["alder-larg", "mian"] {
            let told = stage.send(way, &[], &way.body(name, "hello", false)).await;
            assert!(told.is_error(404), "{name}: {told:?}");
            let said = told.raw.replace(name, "");
            assert!(!said.contains("alder"), "{name}: {told:?}");
            assert_eq!(said.contains("`main`"), name == "mian", "{name}: {told:?}");
        }
    }
    assert_eq!(stage.get("/v1/models/alder/alder-large", &[]).await.status, 404);
}

/// What closed a key is told the same way the second time, when nothing is sent any more.
#[tokio::test]
async fn a_used_up_key_stays_a_matter_of_quota() {
    for (act, status) in [("payment-required", 429), ("unauthorized", 502)] {
        let stage = three(act).open().await;
        let first = stage.ask(Way::OpenAi, false).await;
        let second = stage.ask(Way::OpenAi, false).await;
        assert_eq!((first.status, second.status), (status, status), "{act}: {first:?} {second:?}");
        assert_eq!(second.header("x-unfail-attempts"), "0", "{act}: {second:?}");
        let why = if act == "unauthorized" { "credential" } else { "quota" };
        let rests = |name: &str| format!("{name}:resting({why})");
        let trail = ["alder", "birch", "cedar"].map(rests).join(",");
        assert_eq!(second.header("x-unfail-trail"), trail, "{act}: {second:?}");
        // Whose key it is and how long it rests is said, for those who may see providers.
        let said = second.error.as_ref().unwrap()["message"].as_str().unwrap();
        let whose = if act == "unauthorized" { "the key of `alder`" } else { "credit of the key of `alder`" };
        for part in [whose, "next try in ", "alder/alder-large: "] {
            assert!(said.contains(part), "{act}: {part}: {said}");
        }
        let hidden = three(act).server("mode = \"product\"").open().await;
        hidden.ask(Way::OpenAi, false).await;
        let second = hidden.ask(Way::OpenAi, false).await;
        assert!(!second.raw.contains("alder") && !second.raw.contains("key"), "{act}: {second:?}");
    }
}
