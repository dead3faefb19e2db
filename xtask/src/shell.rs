//! Running other programs, with their output shown while it is read.
//!
//! Decides nothing about what a program's result means.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// The repository's root: the folder above this package, which cargo names when it runs us.
pub(crate) fn root() -> PathBuf {
    let package =
        std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let package = Path::new(&package);
    package.parent().unwrap_or(package).to_path_buf()
}

/// A command that runs in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&program, arguments)
}

/// Whether a program exists and answers `--version` (or the arguments given instead).
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    let arguments = if arguments.is_empty() { &["--version"] } else { arguments };
    quiet(command(program, arguments)).is_ok()
}

/// Runs a command without showing its output; returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; the text ends in what it said on standard error.
pub(crate) fn quiet(mut command: Command) -> Result<String, String> {
    let name = describe(&command);
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// Runs a command, showing every line as it comes and handing it to `see` too.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn shown(mut command: Command, mut see: impl FnMut(&str)) -> Result<(), String> {
    let name = describe(&command);
    println!("$ {name}");
    let failed = |error: io::Error| format!("{name}: {error}");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|pipe| forward(pipe, sender.clone())),
        child.stderr.take().map(|pipe| forward(pipe, sender)),
    ];
    for line in lines {
        println!("{line}");
        see(&line);
    }
    for reader in readers.into_iter().flatten() {
        reader.join().map_err(|_| format!("{name}: its output could not be read"))?;
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
}

fn forward(pipe: impl Read + Send + 'static, to: mpsc::Sender<String>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if to.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
        }
    })
}

/// Installs Debian packages.
///
/// # Errors
/// When this is no Debian, we are not root, or the installation fails.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let wanted = packages.join(" ");
    let by_hand = format!("install {wanted} by hand and run this again");
    if !answers("apt-get", &[]) {
        return Err(format!("no apt-get here: {by_hand}"));
    }
    if quiet(command("id", &["-u"]))?.trim() != "0" {
        return Err(format!("not root: {by_hand}"));
    }
    eprintln!("installing {wanted} …");
    let apt = |arguments: &[&str]| {
        let mut command = command("apt-get", arguments);
        // A server that is being installed must not be started as a service too.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        quiet(command).map(|_| ())
    };
    apt(&["-q", "update"])?;
    apt(&[&["-q", "install", "-y", "--no-install-recommends"], packages].concat())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{answers, command, quiet, shown};

    #[test]
    fn output_is_seen_and_failure_reported() {
        let mut seen = Vec::new();
        let result = shown(command("sh", &["-c", "echo one; echo two >&2; exit 3"]), |line| {
            seen.push(line.to_owned());
        });
        seen.sort();
        assert_eq!(seen, ["one", "two"]);
        assert!(result.unwrap_err().contains("exit status: 3"));
        assert_eq!(shown(command("true", &[]), |_| {}), Ok(()));
    }

    #[test]
    fn quiet_runs_return_what_was_printed() {
        assert_eq!(quiet(command("echo", &["a"])), Ok("a\n".to_owned()));
        let error = quiet(command("sh", &["-c", "echo why >&2; false"])).unwrap_err();
        assert!(error.ends_with("why"), "{error}");
        assert!(!answers("no-such-program-anywhere", &[]));
    }
}
