//! `unfail chat`: a question on the command line, the answer on standard output.

use unfail_sim::{Act, Break, Fault, Hint, Refusal, Script};

use crate::program::{alone, run, run_with, unfail};
use crate::world::World;

fn says(words: &str) -> Script {
    Script::always(Act::Say(words.to_owned(), Box::default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_and_nothing_else_is_printed() {
    let world = World::new(says("Rhine, Elbe, Oder"), Script::default());
    let output = run(&mut world.command(&["chat", "Name three rivers"]));
    assert_eq!((output.code, output.out.as_str()), (Some(0), "Rhine, Elbe, Oder\n"), "{}", output.err);
    assert_eq!(output.err, "");
    let call = &world.first.calls()[0];
    assert!(call.body.to_string().contains("Name three rivers"), "{}", call.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dash_reads_the_question_from_standard_input() {
    let world = World::new(says("fix: the bug"), Script::default());
    let mut command = world.command(&["chat", "--system", "Write a commit message", "-"]);
    let output = run_with(&mut command, "diff --git a b\n+ü\n");
    assert_eq!((output.code, output.out.as_str()), (Some(0), "fix: the bug\n"), "{}", output.err);
    let heard = world.first.calls()[0].body.to_string();
    assert!(heard.contains("diff --git a b") && heard.contains('ü'), "{heard}");
    assert!(heard.contains("Write a commit message"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_provider_is_passed_over_and_told_when_asked() {
    let limited = Script::always(Hint::RetryAfterSeconds(30));
    let world = World::new(limited, says("by the second"));
    let output = run(&mut world.command(&["chat", "--verbose", "Hello"]));
    assert_eq!((output.code, output.out.as_str()), (Some(0), "by the second\n"), "{}", output.err);
    assert!(output.err.contains("groq/openai/gpt-oss-120b"), "{}", output.err);
    assert!(output.err.contains("anthropic:rate_limited,groq:ok"), "{}", output.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_can_be_named() {
    let world = World::new(says("first"), says("second"));
    let output = run(&mut world.command(&["chat", "--model", "groq/openai/gpt-oss-120b", "Hello"]));
    assert_eq!((output.code, output.out.as_str()), (Some(0), "second\n"), "{}", output.err);
    assert_eq!(world.first.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_the_trail_is_told() {
    let world = World::new(Script::always(Refusal::Overloaded), Script::always(Refusal::ServerError));
    let output = run(&mut world.command(&["chat", "Hello"]));
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    for part in ["error: ", "anthropic/claude-haiku-5-5: overloaded", "groq/openai/gpt-oss-120b: transient"] {
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
}

#[test]
fn without_any_key_it_says_so() {
    let output = alone(&["chat", "Hello"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(output.err.contains("set a key"), "{}", output.err);
}

#[test]
fn a_provider_without_a_key_is_named_with_its_variable() {
    for (model, part) in [
        ("groq/openai/gpt-oss-120b", "provider `groq` has no key: set GROQ_API_KEY"),
        ("claude-haiku-5-5", "provider `anthropic` has no key: set ANTHROPIC_API_KEY"),
        (
            "ollama/llama3",
            "provider `ollama` is not set up: it needs no key, but a table `[providers.ollama]`",
        ),
    ] {
        // Whether another provider has a key or none has.
        for environment in [&[][..], &[("MISTRAL_API_KEY", "mistral-key")]] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = unfail(folder.path(), &["chat", "-m", model, "Hello"]);
            let output = run(command.envs(environment.iter().copied()));
            assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{model}");
            assert!(output.err.contains(part), "{model}: {}", output.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_and_the_error_are_two_lines() {
    let world = World::new(Script::always(Fault::CutAfter(4)), Script::default());
    let output = run(&mut world.command(&["chat", "Tell me a long story about rivers"]));
    assert_eq!(output.code, Some(1));
    assert!(output.out.len() > 2 && output.out.ends_with('\n'), "{:?}", output.out);
    for part in ["error: the answer broke off", "anthropic/claude-haiku-5-5: broke off"] {
        assert!(output.err.contains(part), "{part}: {}", output.err);
    }
    assert!(!output.err.contains(": ok"), "{}", output.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_told_in_words() {
    let world = World::new(Script::always(Break::HangBeforeHeaders), Script::default());
    world.configure("[providers.gone]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:9/v1\"\n");
    let output = run(&mut world.command(&["chat", "-m", "gone/x", "Hello"]));
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("gone/x: not reached"), "{}", output.err);
    assert!(!output.err.contains("pre_send"), "{}", output.err);
}
