//! Bad files and what is said about them: each snapshot shows the file beside its whole report.

use crate::world::World;
use unfail_config::TargetRef;

/// Name, file.
const FILES: &[(&str, &str)] = &[
    ("empty", ""),
    (
        "unknown_keys",
        "\
[sever]
listen = \"127.0.0.1:1\"

[routes.support]
chian = [\"groq/*\"]
retry = 2
colour = \"red\"
breaker = { consecutiv = 3 }

[models.\"groq/new\"]
window = 3
",
    ),
    (
        "wrong_types",
        "\
server = 3
[providers.groq]
keys = \"env:GROQ_API_KEY\"
limits = { rpm = \"many\" }
[routes.a]
chain = \"groq/*\"
retries = 1.5
deadline = 30
breaker = [1]
[routes.b]
chain = [\"groq/*\", 3]
on_refusal = true
stall = 2026-01-01
[[keys]]
secret = \"env:WEB\"
",
    ),
    (
        "out_of_range",
        "\
[server]
listen = \"localhost:8080\"
mode = \"devloper\"
max_body = \"20 megabytes\"
drain = \"2d\"
[providers.groq]
base_url = \"groq.example/v1\"
[models.\"groq/a\"]
context = 0
max_output = -1
input_usd_per_mtok = 0.1234567
output_usd_per_mtok = 99_999_999
[models.\"groq/b\"]
context = 1_000
max_output = 2_000
input_usd_per_mtok = 1
[routes.a]
chain = [\"groq/*\"]
retries = 6
connect = \"0s\"
patience = \"1.5s\"
breaker = { error_rate = 0, slow_rate = 1.1, open = \"10m\", probes = 0 }
max_output_tokens = 0
on_exhausted = \"queue\"
",
    ),
    (
        "chains",
        "\
[providers.in-house]
wire = \"openai-chat\"
base_url = \"http://10.0.0.5:8000/v1\"

[routes]
none = {}
empty = { chain = [] }
unknown = { chain = [\"gorq/openai/gpt-oss-120b\", \"nobody/x\", \"groq\", \"claude-haiku-5-5\", \"groq/\", \"\"] }
no_key = { chain = [\"anthropic/claude-haiku-5-5\", \"ollama/x\"] }
twice = { chain = [\"groq/*\", \"groq/openai/gpt-oss-120b\"] }
no_default = { chain = [\"in-house/*\"] }
guess = { chain = [\"groq/openai/gpt-oss-12b\", \"in-house/qwen3-32b\", \"groq/qwen/other\"] }
",
    ),
    (
        "providers",
        "\
[providers.gorq]
keys = [\"env:GROQ_API_KEY\"]
[providers.anthropic]
[providers.openai]
keys = [\"env:OPENAI_API_KEY\", \"file:/run/none\"]
[providers.mistral]
keys = []
[providers.groq]
keys = [\"env:GROQ_API_KEY\", \"env:GROQ_API_KEY_2\", \"env:GROQ_TWIN\"]
[providers.xai]
base_url = \"https://user:hunter2@x.example\"
[providers.\"a/b\"]
wire = \"openai-chat\"
base_url = \"http://b\"
[providers.bad]
wire = \"openai\"
base_url = \"http://b\"
",
    ),
    (
        "authorities",
        "\
[providers.missing]
wire = \"openai-chat\"
base_url = \"https://10.0.0.5/v1\"
ca = \"file:none.pem\"
[providers.empty]
wire = \"openai-chat\"
base_url = \"https://10.0.0.5/v1\"
ca = \"file:list.json\"
[providers.bare]
wire = \"openai-chat\"
base_url = \"https://10.0.0.5/v1\"
ca = \"ca.pem\"
[providers.wrong]
wire = \"openai-chat\"
base_url = \"https://10.0.0.5/v1\"
ca = [\"file:ca.pem\"]
[providers.plain]
wire = \"openai-chat\"
base_url = \"http://10.0.0.5/v1\"
ca = \"file:ca.pem\"
[providers.good]
wire = \"openai-chat\"
base_url = \"https://10.0.0.5/v1\"
ca = \"file:ca.pem\"
",
    ),
    (
        "models",
        "\
[models.qwen3]
context = 1
[models.\"nobody/x\"]
[models.\"groc/x\"]
[models.\"groq/\"]
",
    ),
    (
        "callers",
        "\
[server]
listen = \"0.0.0.0:8080\"
[routes.support]
chain = [\"groq/*\"]
[keys.a]
secret = \"env:WEB\"
routes = [\"suport\", \"auto\"]
[keys.b]
secret = \"env:WEB\"
routes = []
[keys.c]
[keys.d]
secret = \"env:NONE\"
limits = { rpm = 1 }
",
    ),
    ("open_to_the_world", "server.listen = \"0.0.0.0:8080\"\n"),
    (
        "schemas",
        "\
[routes]
a = { chain = [\"groq/*\"], schema = \"none.json\" }
b = { chain = [\"groq/*\"], schema = \"broken.json\" }
c = { chain = [\"groq/*\"], schema = \"list.json\" }
d = { chain = [\"groq/*\"], schema = \"\" }
",
    ),
    (
        "literal_secrets",
        "\
providers.groq = { keys = [\"gsk-hunter2\"], wird = \"gsk-hunter2\" } # gsk-hunter2
keys.a = { secret = \"hunter2\", rout = 1 }
keys.b = { secret = \"env:hunter-2\", \"hun\\nter\" = 1 }
keys.c.secret = 12345678
[providers.openai]
api_key = \"sk-hunter2\"
keys = [\"\"\"
hunter2\"\"\", \"env:OPENAI_API_KEY\"]
",
    ),
    (
        "syntax",
        "\
[server
listen = \"127.0.0.1:8080\"
[routes.a]
chain = [\"hunter2
retries = hunter2
retries = 1
",
    ),
    ("defined_twice", "[server]\nmode = \"product\"\n[server]\nmode = \"product\"\n"),
    (
        "doubts",
        "\
[routes.slow]
chain = [\"groq/*\", \"together/MiniMaxAI/MiniMax-M3\"]
deadline = \"30s\"
priority = \"interactive\"
[providers.groq]
limits.rpm = 30
[keys.a]
secret = \"env:WEB\"
limits = { tpm = 1, spend_day_usd = 2.5 }
",
    ),
];

/// Routes that share targets and differ about their breakers.
const SHARED: &str = "\
[routes.z-first]
chain = [\"groq/*\", \"groq/openai/gpt-oss-20b\"]
breaker = { consecutive = 3, open = \"1s\" }
[routes.same]
chain = [\"groq/*\"]
breaker.consecutive = 3
breaker.open = \"1s\"
[routes.other]
chain = [\"together/MiniMaxAI/MiniMax-M3\", \"groq/*\", \"groq/openai/gpt-oss-20b\"]
[routes.other.breaker]
consecutive = 3
error_rate = 0.25
window = \"90s\"
[routes.a-silent]
chain = [\"together/MiniMaxAI/MiniMax-M3\", \"groq/*\"]
";

#[test]
fn a_target_has_the_breaker_of_the_first_route_that_gives_it_one() {
    let (config, report) = world().load(SHARED);
    insta::assert_snapshot!("shared_breakers", format!("{SHARED}\n──────── says ────────\n{report}"));
    let config = config.unwrap();
    let held = |provider: &str, model: &str| {
        let target = TargetRef { provider: provider.to_owned(), model: model.to_owned() };
        let breaker = config.breaker(&target);
        (breaker.consecutive, breaker.open.as_secs(), breaker.window.as_secs())
    };
    // Route `auto` exists by itself, comes first by its name, and wishes for nothing.
    assert_eq!(config.routes["auto"].chain[0].to_string(), "groq/openai/gpt-oss-120b");
    assert_eq!(held("groq", "openai/gpt-oss-120b"), (3, 1, 30));
    assert_eq!(held("groq", "openai/gpt-oss-20b"), (3, 1, 30));
    assert_eq!(held("together", "MiniMaxAI/MiniMax-M3"), (3, 5, 90));
    assert_eq!(held("groq", "qwen/other"), (5, 5, 30));
}

fn world() -> World {
    World::with_env(&[
        ("GROQ_API_KEY", "gsk-secret-1"),
        ("GROQ_TWIN", "gsk-secret-1"),
        ("TOGETHER_API_KEY", "tog-secret"),
        ("WEB", "web-secret"),
    ])
    .and_files(&[
        ("broken.json", "{\n  \"type\": }"),
        ("list.json", "[]"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
    ])
}

#[test]
fn what_is_said() {
    for (name, text) in FILES {
        let (config, report) = world().load(text);
        assert_eq!(config.is_some(), report.problems.is_empty(), "{name}");
        insta::assert_snapshot!(*name, format!("{text}\n──────── says ────────\n{report}"));
    }
}

#[test]
fn every_problem_has_a_place_and_no_secret() {
    for (name, text) in FILES {
        let (_, report) = world().load(text);
        for problem in report.problems.iter().chain(&report.warnings) {
            assert!((1..=text.lines().count() + 1).contains(&problem.line), "{name}: {problem}");
            assert!(problem.column >= 1, "{name}: {problem}");
        }
        let everything = format!("{report} {report:?} {}", serde_json::to_string(&report).unwrap());
        assert!(!everything.contains("secret-1") && !everything.contains("web-secret"), "{name}");
        assert!(!everything.contains("hunter2") && !everything.contains("12345678"), "{name}: {everything}");
    }
}

#[test]
fn reports_are_machine_readable() {
    let (_, report) = world().load("[routes.a]\nchian = []");
    insta::assert_snapshot!("as_json", serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn what_people_read() {
    insta::assert_snapshot!("template", unfail_config::template());
    insta::assert_snapshot!("reference", unfail_config::reference());
}

#[test]
fn a_file_that_is_no_text_is_a_problem() {
    let (config, report) = unfail_config::load("f", b"[server]\nmode = \"\xff\"", &world());
    assert!(config.is_none());
    assert_eq!(report.to_string().lines().next(), Some("f:2:9: the file is not UTF-8"));
}
