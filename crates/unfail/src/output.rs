//! Words for people: to standard error, so that standard output stays for what was asked for.
//!
//! Nothing else prints. A reader that has closed its end of a pipe loses the words and nothing more.

use std::io::{IsTerminal, Write};

/// One of the two places words go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Sink {
    /// A person is looking, and control sequences are understood.
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Out => std::io::stdout().is_terminal(),
            Self::Err => std::io::stderr().is_terminal(),
        }
    }

    /// Writes the text as it is, at once; `false`: nobody reads it.
    pub(crate) fn write(self, text: &str) -> bool {
        let written = match self {
            Self::Out => put(&mut std::io::stdout().lock(), text),
            Self::Err => put(&mut std::io::stderr().lock(), text),
        };
        written.is_ok()
    }

    /// Writes the text and ends the line.
    pub(crate) fn line(self, text: &str) {
        self.write(&format!("{text}\n"));
    }
}

fn put(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What a command was asked for.
pub(crate) fn result(text: &str) {
    Sink::Out.line(text);
}

/// A part of it, as it arrives.
pub(crate) fn piece(text: &str) {
    Sink::Out.write(text);
}

/// What happens meanwhile.
pub(crate) fn note(text: &str) {
    Sink::Err.line(text);
}

/// Why a command failed.
pub(crate) fn error(text: &str) {
    Sink::Err.line(&format!("error: {text}"));
}
