//! What holds for every file, sense or nonsense.

use crate::world::World;
use proptest::prelude::*;
use unfail_config::load;

/// Pieces real files are made of, and some they should not be made of.
const PIECES: &[&str] = &[
    "[routes.a]\n",
    "[providers.groq]\n",
    "[keys.a]\n",
    "[models.\"groq/x\"]\n",
    "[server]\n",
    "chain = [\"groq/*\", \"x/y\"]\n",
    "chain = [",
    "keys = [\"hunter2\"]\n",
    "keys = [hunter2]\n",
    "keys = \"hunter2\"\n",
    "keys = '''\nhunter2\n'''\n",
    "secret = \"hunter2",
    "secret = \"hunter2\" # hunter2\n",
    "base_url = \"http://hunter2@x\"\n",
    "retries = -1\n",
    "breaker = { open = \"1h\", opne = 1 }\n",
    "listen = \"0.0.0.0:1\"\n",
    "context = 0x10\n",
    "schema = \"s.json\"\n",
    "limits.rpm = 1\n",
    "\"\"\"",
    "'",
    "}",
    "]",
    "\n",
    "=",
    "é\u{1F600}\u{0}\r\n",
];

fn world() -> World {
    World::with_env(&[("GROQ_API_KEY", "k3y"), ("ANTHROPIC_API_KEY", "hunter3")])
}

/// Loads and checks what holds for every file.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (config, report) = load("f", bytes, &world());
    prop_assert_eq!(config.is_some(), report.problems.is_empty());
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in report.problems.iter().chain(&report.warnings) {
        prop_assert!((1..=lines).contains(&problem.line), "{}", problem);
        prop_assert!(problem.column >= 1 && !problem.message.is_empty());
        prop_assert!(!problem.message.contains('\n') && !problem.key.contains('\n'));
    }
    let said = format!("{report} {report:?} {config:?}");
    prop_assert!(!said.contains("hunter"), "{}", said);
    Ok(())
}

proptest! {
    #[test]
    fn bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load("f", &bytes, &world());
    }

    #[test]
    fn text_is_answered(text in "[\\[\\]a-z.=\"' \n{},#0-9]{0,80}") {
        check(text.as_bytes())?;
    }

    #[test]
    fn pieces_are_answered_without_showing_a_secret(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12),
    ) {
        check(pieces.concat().as_bytes())?;
    }
}

#[test]
fn deep_nesting_is_answered() {
    for depth in [0, 1, 79, 80, 81, 5_000] {
        let list = format!("routes.a.chain = {}{}", "[".repeat(depth), "]".repeat(depth));
        let table = format!("a = {}1{}", "{ b = ".repeat(depth), " }".repeat(depth));
        let path = format!("{}a = 1", "a.".repeat(depth));
        for text in [list, table, path] {
            check(text.as_bytes()).unwrap();
        }
    }
}
