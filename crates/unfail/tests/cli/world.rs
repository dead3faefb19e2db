//! Two simulated providers and a configuration file that leads to them.

use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use unfail_sim::{Flavour, Provider, Script, Setup, Speaks};

use crate::program::unfail;

/// Keys of the two providers: what must never be printed.
pub(crate) const SECRETS: [&str; 2] = ["sk-first-4f9d1c77aa0b4e52", "gsk-second-88e1f0c2d3b44a61"];

/// First and second target of the chain.
pub(crate) const TARGETS: [&str; 2] = ["anthropic/claude-haiku-5-5", "groq/openai/gpt-oss-120b"];

/// The providers, and the folder with `unfail.toml`.
pub(crate) struct World {
    pub(crate) first: Provider,
    pub(crate) second: Provider,
    folder: TempDir,
}

impl World {
    /// Starts the providers with these scripts.
    pub(crate) fn new(first: Script, second: Script) -> Self {
        let start = |wire: Speaks, flavour, script: Script, key| {
            let setup = Setup::new(wire, script.accepting([key])).named("sim").flavoured(flavour);
            Provider::start_as(setup).unwrap()
        };
        let first = start(Speaks::Anthropic, Flavour::ANTHROPIC, first, SECRETS[0]);
        let second = start(Speaks::OpenAiChat, Flavour::GO_DURATIONS, second, SECRETS[1]);
        let world = Self { first, second, folder: tempfile::tempdir().unwrap() };
        world.configure("");
        world
    }

    /// Writes the configuration, with more at its end.
    pub(crate) fn configure(&self, more: &str) {
        let [first, second] = TARGETS;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\
             [providers.anthropic]\nbase_url = \"{}\"\nkeys = [\"env:FIRST_KEY\"]\n\
             [providers.groq]\nbase_url = \"{}/openai/v1\"\nkeys = [\"env:SECOND_KEY\"]\n\
             [routes.auto]\nchain = [\"{first}\", \"{second}\"]\nfirst_token = \"5s\"\n{more}",
            self.first.base_url(),
            self.second.base_url(),
        );
        std::fs::write(self.folder().join("unfail.toml"), text).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The binary in this world, with both keys in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = unfail(self.folder(), arguments);
        command.env("FIRST_KEY", SECRETS[0]).env("SECOND_KEY", SECRETS[1]);
        command
    }

    /// The same, where a shell has said this first.
    pub(crate) fn limited(&self, first: &str, arguments: &[&str]) -> Command {
        let command = self.command(arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(command.get_program());
        shell.args(arguments).current_dir(self.folder()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }
}
