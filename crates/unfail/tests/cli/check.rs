//! `unfail check`: what it says about good and bad files, for people and for programs.

use serde_json::Value;

use crate::program::{Output, alone, run, run_with, unfail};

const GOOD: &str = "[providers.own]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                    [models.\"own/a\"]\ncontext = 8000\n\
                    [routes.talk]\nchain = [\"own/a\"]\n";

/// `text` as `unfail.toml`, checked with these further arguments and one key in the environment.
fn check(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("unfail.toml"), text).unwrap();
    let mut command = unfail(folder.path(), &["check"]);
    run(command.args(arguments).env("OWN_KEY", "secret-value-1234567890"))
}

#[test]
fn files_good_and_bad() {
    let keyed = GOOD.replace("base_url", "keys = [\"env:OWN_KEY\"]\nbase_url");
    let secure =
        |ca: &str| GOOD.replace("base_url = \"http", &format!("ca = \"file:{ca}\"\nbase_url = \"https"));
    let (missing, empty) = (secure("none.pem"), secure("unfail.toml"));
    let table: [(&str, i32, &[&str]); 9] = [
        (
            &missing,
            1,
            &[
                "unfail.toml:3",
                "providers.own.ca",
                "`file:none.pem` cannot be read: no such file",
                "1 problem",
            ],
        ),
        (&empty, 1, &["unfail.toml:3", "`file:unfail.toml` holds no certificate", "1 problem"]),
        (GOOD, 0, &["unfail.toml: ok", "talk", "own/a", "no key needed"]),
        (&keyed, 0, &["env:OWN_KEY"]),
        ("", 0, &["unfail.toml: ok", "no provider can be used yet", "unfail demo"]),
        ("[routes.talk]\nchian = []\n", 1, &["unfail.toml:2", "chian", "chain"]),
        ("[routes.talk]\nchain = [\"nobody/a\"]\n", 1, &["nobody", "1 problem"]),
        ("[server]\nlisten = 5\nmode = \"open\"\n", 1, &["listen", "mode", "2 problems"]),
        ("[server", 1, &["unfail.toml:1"]),
    ];
    for (text, code, parts) in table {
        let output = check(text, &[]);
        assert_eq!(output.code, Some(code), "{text}\n{}{}", output.out, output.err);
        for part in parts {
            assert!(output.out.contains(part), "{part:?} is not in:\n{}", output.out);
        }
        assert!(!output.out.contains("secret-value"), "{}", output.out);

        let json = check(text, &["--json"]);
        assert_eq!(json.code, Some(code), "{text}");
        let report: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(report["ok"], Value::Bool(code == 0), "{report}");
        let problems = report["problems"].as_array().unwrap();
        assert_eq!(problems.is_empty(), code == 0, "{report}");
        for problem in problems {
            assert_eq!(problem["file"], "unfail.toml");
            assert!(problem["line"].as_u64().unwrap() > 0, "{problem}");
            assert!(!problem["message"].as_str().unwrap().is_empty(), "{problem}");
        }
        assert!(!json.out.contains("secret-value"), "{}", json.out);
    }
}

/// A file that looks like certificates and holds none is found as well, and what else is in it is not shown.
#[test]
fn a_certificate_that_cannot_be_used_is_said() {
    let text = GOOD.replace("base_url = \"http", "ca = \"file:ca.pem\"\nbase_url = \"https");
    for (lines, why) in [("AAAA", "cannot be used"), ("secret!value", "is no PEM")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("unfail.toml"), &text).unwrap();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n");
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        let output = run(&mut unfail(folder.path(), &["check"]));
        assert_eq!(output.code, Some(1), "{}", output.out);
        for part in ["`file:ca.pem` of `own`", why, "unfail.toml: cannot be used"] {
            assert!(output.out.contains(part), "{part:?} is not in:\n{}", output.out);
        }
        assert!(!output.out.contains("secret!value"), "{}", output.out);
    }
}

#[test]
fn the_effective_chain_is_told_to_programs() {
    let report: Value = serde_json::from_str(&check(GOOD, &["--json"]).out).unwrap();
    assert_eq!(report["routes"]["talk"]["chain"], serde_json::json!(["own/a"]));
    assert_eq!(report["providers"][0]["base_url"], "http://127.0.0.1:9/v1");
}

#[test]
fn the_template_passes_its_own_check() {
    let template = alone(&["check", "--template"]);
    assert_eq!(template.code, Some(0));
    let output = check(&template.out, &[]);
    assert_eq!(output.code, Some(0), "{}", output.out);
}

#[test]
fn the_environment_alone_makes_the_automatic_chain() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = unfail(folder.path(), &["check"]);
    let output = run(command.env("GEMINI_API_KEY", "key-1").env("ANTHROPIC_API_KEY", "key-2"));
    assert_eq!(output.code, Some(0));
    let chain = output.out.lines().find(|line| line.trim_start().starts_with("auto")).unwrap();
    assert!(chain.find("anthropic/").unwrap() < chain.find("gemini/").unwrap(), "{chain}");
    assert!(!chain.contains("groq"), "{chain}");
    assert!(!output.out.contains("key-1") && !output.out.contains("key-2"), "{}", output.out);
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let output = alone(&["check", "--config", "none.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("none.toml"), "{}", output.err);
}

#[test]
fn every_provider_without_a_key_is_named_with_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(unfail(folder.path(), &["check"]).env("GROQ_API_KEY", "key-1"));
    assert_eq!(output.code, Some(0));
    for row in unfail_catalog::PROVIDERS.iter().filter(|row| row.id != "groq") {
        for variable in row.key_env {
            assert!(output.out.contains(variable), "{variable}: {}", output.out);
        }
    }
    assert!(!output.out.contains("groq ("), "{}", output.out);
    let routes = check("[routes.a]\nchain = [\"groq/*\", \"mistral/*\"]\n", &[]);
    for part in ["set GROQ_API_KEY", "set MISTRAL_API_KEY"] {
        assert!(routes.out.contains(part), "{part}: {}", routes.out);
    }
}

#[test]
fn a_bad_variable_is_named_and_not_placed() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(unfail(folder.path(), &["check"]).env("GROQ_API_KEY", "two words"));
    assert!(output.out.contains("environment: warning: GROQ_API_KEY: "), "{}", output.out);
    assert!(!output.out.contains("1:1"), "{}", output.out);
}

/// What is no file is said, and nothing is waited for.
#[test]
fn what_is_no_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, part) in [(folder.path(), "directory"), (&pipe, "not a regular file")] {
        let output = alone(&["check", "--config", path.to_str().unwrap()]);
        assert_eq!(output.code, Some(1), "{part}");
        assert!(output.err.contains(part) && output.err.contains("cannot read"), "{}", output.err);
    }
    let text = GOOD.replace("base_url", "keys = [\"file:pipe\"]\nbase_url");
    std::fs::write(folder.path().join("unfail.toml"), text).unwrap();
    let output = run(&mut unfail(folder.path(), &["check"]));
    assert!(output.out.contains("`file:pipe` cannot be read"), "{}{}", output.out, output.err);
}

/// What a shell hands over in place of a file is read like one.
#[test]
fn standard_input_may_be_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_with(&mut unfail(folder.path(), &["check", "--config", "/dev/stdin"]), GOOD);
    assert_eq!(output.code, Some(0), "{}{}", output.out, output.err);
    assert!(output.out.contains("own/a"), "{}", output.out);
}

/// A key that was pasted where the name of its variable should be is not shown.
#[test]
fn a_key_in_place_of_a_name_is_not_shown() {
    for key in ["gsk_4f9d1c77aa0b4e52", "AKIA4F9D1C77AA0B4E52X", "abcdef0123", "sk_live_Aa1"] {
        let text = GOOD.replace("base_url", &format!("keys = [\"env:{key}\"]\nbase_url"));
        for arguments in [&[][..], &["--json"]] {
            let output = check(&text, arguments);
            assert!(!output.out.contains(key) && !output.err.contains(key), "{}{}", output.out, output.err);
            assert!(output.out.contains("not set"), "{}", output.out);
        }
    }
    let text = GOOD.replace("base_url", "keys = [\"env:OWN_KEY_2\"]\nbase_url");
    assert!(check(&text, &[]).out.contains("`env:OWN_KEY_2` is not set"));
}
