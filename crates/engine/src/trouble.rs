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
    let fault = if is_out_of_descriptors(error) {
        Transport::NoDescriptor
    } else if text.contains("dns") || text.contains("lookup") {
        Transport::Dns
    } else if cause::<rustls::Error>(error).is_some() || text.contains("tls") || text.contains("handshake") {
        Transport::Tls
    } else {
        Transport::Connect
    };
    Trouble::Fault(fault, text)
}

/// `ENFILE` and `EMFILE`, which have these numbers on every Unix; the standard library has no stable name for them.
const NO_DESCRIPTOR: [i32; 2] = [23, 24];

/// The system, or this process, has as many files open as it may.
fn is_out_of_descriptors(error: &(dyn StdError + 'static)) -> bool {
    let mut codes = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    codes.any(|code| NO_DESCRIPTOR.contains(&code))
}

/// The cause of this type, if there is one.
pub(crate) fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error and its causes. An `io::Error` tells the source of what it holds for its own, so that is looked at as
/// well.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |this| {
        let this: &'e (dyn StdError + 'static) = *this;
        match this.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held as &(dyn StdError + 'static)),
            None => this.source(),
        }
    })
}

/// The innermost error text: the outer ones only say "client error".
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(error: io::Error) -> Transport {
        // As the connector wraps what the system said.
        let wrapped = io::Error::other(Box::<dyn StdError + Send + Sync>::from(error));
        match unconnected(&wrapped) {
            Trouble::Fault(transport, _) => transport,
            Trouble::Late(limit) => panic!("late: {limit:?}"),
        }
    }

    #[test]
    fn want_of_descriptors_is_told_from_a_target_that_is_down() {
        for (code, expected) in [
            (24, Transport::NoDescriptor),
            (23, Transport::NoDescriptor),
            (111, Transport::Connect),
            (113, Transport::Connect),
        ] {
            assert_eq!(named(io::Error::from_raw_os_error(code)), expected, "{code}");
        }
        assert_eq!(named(io::Error::other("dns error")), Transport::Dns);
    }
}
