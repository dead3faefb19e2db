//! A server under measurement: started, watched through `/proc`, and ended with everything it started.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to its first answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Rest between two looks at a server that starts or stops.
const LOOK: Duration = Duration::from_millis(1);
/// Clock ticks per second in `/proc/PID/stat`: fixed by the kernel's interface on Linux.
const TICKS: f64 = 100.0;
/// Position of `utime` in `/proc/PID/stat`, counted from the field after the program's name.
const UTIME: usize = 11;

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub first_answer: Duration,
}

impl Server {
    /// Starts a server and waits until it answers a chat completion for `model`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not answer in time.
    pub(crate) fn start(mut command: Command, port: u16, model: &str) -> Result<Self, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let start = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        let mut server = Self { child, address, first_answer: Duration::ZERO };
        loop {
            let answer = ask(address, model);
            match answer {
                Ok(200) => break,
                _ if start.elapsed() > START_LIMIT => {
                    return Err(match answer {
                        Ok(status) => format!("answers with status {status}"),
                        Err(error) => format!("does not answer: {error}"),
                    });
                }
                _ => {}
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("ended before it answered: {status}"));
            }
            std::thread::sleep(LOOK);
        }
        server.first_answer = start.elapsed();
        Ok(server)
    }

    /// CPU time of the server and all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = family(self.child.id()).iter().filter_map(|pid| ticks(*pid)).sum();
        Duration::from_secs_f64(ticks as f64 / TICKS)
    }

    /// Resident memory of the server and all its processes, in kB.
    pub(crate) fn resident_kb(&self) -> u64 {
        family(self.child.id()).iter().filter_map(|pid| resident(*pid)).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A signal that can be handled, so that a server with workers ends them too.
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < STOP_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port of the loopback address that is free now.
///
/// # Errors
/// When there is none.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Sends one chat completion on a connection of its own; returns the status.
fn ask(address: SocketAddr, model: &str) -> std::io::Result<u16> {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#);
    let length = body.len();
    let mut socket = TcpStream::connect_timeout(&address, START_LIMIT)?;
    socket.set_read_timeout(Some(START_LIMIT))?;
    write!(
        socket,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other("no HTTP answer"))
}

/// A process and all its descendants.
fn family(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Fields of `/proc/PID/stat` after the program's name, which may hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(field(UTIME)? + field(UTIME + 1)?)
}

fn resident(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Server, family, free_port, resident, ticks};
    use std::process::{Command, Stdio};

    #[test]
    fn our_own_process_is_seen() {
        let own = std::process::id();
        assert!(ticks(own).is_some());
        assert!(resident(own).unwrap() > 100);
        let mut child = Command::new("sleep").arg("5").stdin(Stdio::null()).spawn().unwrap();
        assert!(family(own).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_program_that_ends_is_no_server() {
        let why = Server::start(Command::new("true"), free_port().unwrap(), "m").err().unwrap();
        assert!(why.starts_with("ended before it answered"), "{why}");
        let why = Server::start(Command::new("no-such-program-anywhere"), 1, "m").err().unwrap();
        assert!(why.starts_with("cannot be started"), "{why}");
    }
}
