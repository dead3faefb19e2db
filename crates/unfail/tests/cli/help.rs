//! Help: every command shows how it is used.

use crate::program::alone;

/// Commands as `unfail --help` lists them.
fn commands() -> Vec<String> {
    let help = alone(&["--help"]).out;
    let listed = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names =
        listed.take_while(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_an_example() {
    let commands = commands();
    assert_eq!(commands, ["serve", "demo", "check", "chat"]);
    for command in commands {
        let help = alone(&[&command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        let (_, examples) =
            help.out.split_once("Examples:").unwrap_or_else(|| panic!("{command}: {}", help.out));
        assert!(examples.contains(&format!("unfail {command}")), "{command}: {examples}");
    }
}

#[test]
fn what_is_not_understood_is_said_and_exits_2() {
    for (arguments, part) in [
        (&[][..], "Usage: unfail"),
        (&["surve"], "serve"),
        (&["serve", "--listen", "here"], "--listen"),
        (&["demo", "--jason"], "--json"),
        (&["chat"], "PROMPT"),
    ] {
        let output = alone(arguments);
        assert_eq!(output.code, Some(2), "{arguments:?}");
        assert!(output.err.contains(part), "{arguments:?}: {}", output.err);
        assert_eq!(output.out, "", "{arguments:?}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let output = alone(&["--version"]);
    assert_eq!(output.out, format!("unfail {}\n", env!("CARGO_PKG_VERSION")));
}
