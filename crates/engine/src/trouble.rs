//! What a transport may do instead of delivering a response, and how long it has.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;
use unfail_policy::classify::{Limit, Transport};
use unfail_policy::time::Time;

/// A pooled connection that was closed before it was used again says so within a round trip, a quarter of a second
/// around the world. One that breaks later has carried the request. Neither is certain: see ARCHITECTURE.md on what
/// may be sent twice.
pub(crate) const STALE: Duration = Duration::from_millis(250);

/// What the transport did instead of delivering a response.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It failed.
    Fault(Transport, String),
    /// It took too long.
    Late(Limit),
}

/// When to give up on a response head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// A connection must stand by then.
    pub(crate) connected: Time,
    /// The response head must be there by then.
    pub(crate) head: Time,
}

/// Names why there is no connection.
pub(crate) fn unconnected(error: &(dyn StdError + 'static)) -> Trouble {
    let text = deepest(error);
    let fault = if text.contains("dns") || text.contains("lookup") {
        Transport::Dns
    } else if cause::<rustls::Error>(error).is_some() || text.contains("tls") || text.contains("handshake") {
        Transport::Tls
    } else {
        Transport::Connect
    };
    Trouble::Fault(fault, text)
}

/// The cause of this type, if there is one. An `io::Error` tells the source of what it holds for its own, so that is
/// looked at as well.
pub(crate) fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(this) = next {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        let held = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => this.source(),
        };
    }
    None
}

/// The innermost error text: the outer ones only say "client error".
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
