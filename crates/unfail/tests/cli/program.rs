//! The binary as a child process: in a folder of its own, with nothing in its environment but what a test puts
//! there, and never outliving its test.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Far beyond what any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary with these arguments.
pub(crate) fn unfail(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unfail"));
    command.args(arguments).current_dir(folder).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    Running::start(command).end()
}

/// Runs a command to its end with this on its standard input.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Output {
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    running.end()
}

/// Runs these arguments in an empty folder.
pub(crate) fn alone(arguments: &[&str]) -> Output {
    run(&mut unfail(tempfile::tempdir().unwrap().path(), arguments))
}

/// A command under way; killed when dropped.
pub(crate) struct Running {
    child: Child,
    out: Option<JoinHandle<String>>,
    lines: Receiver<String>,
    err: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let out = std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        });
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, out: Some(out), lines, err: String::new() }
    }

    /// Waits for a line of standard error with this in it.
    pub(crate) fn line(&mut self, part: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.err.push_str(&line);
                    self.err.push('\n');
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {part:?}; standard error was:\n{}", self.err),
            }
        }
    }

    /// Where it listens, from the line that says so: `http://127.0.0.1:1`.
    pub(crate) fn address(&mut self) -> String {
        let line = self.line("listening on ");
        line.rsplit(' ').next().unwrap().to_owned()
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// From now on it may open no file beyond those it has, or (`free`) as many more as it likes.
    pub(crate) fn descriptors(&self, free: bool) {
        let held = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let held: HashSet<u64> =
            held.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        // The limit is on numbers, and the lowest free one is always taken.
        let lowest = (0..).find(|number| !held.contains(number)).unwrap();
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let current = Some(if free { lowest + 1_000 } else { lowest });
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(id, Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Output {
        let status = self.exit();
        let out = self.out.take().unwrap().join().unwrap();
        let mut err = std::mem::take(&mut self.err);
        for line in self.lines.iter() {
            err.push_str(&line);
            err.push('\n');
        }
        Output { code: status.code(), out, err }
    }

    fn exit(&mut self) -> ExitStatus {
        let step = Duration::from_millis(5);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(step);
        }
        panic!("it did not end within {PATIENCE:?}; standard error was:\n{}", self.err);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
