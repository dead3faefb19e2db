//! Waiting for something to become true, without guessing how long it takes.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use unfail_sim::clock::Clock;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(2);

/// Looks until the condition holds, at most this long; the time it took, or `TimedOut`.
pub async fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> io::Result<Duration> {
    let clock = Clock::start();
    loop {
        if condition() {
            return Ok(clock.now());
        }
        if clock.now() >= deadline {
            let message = format!("the condition did not come true within {deadline:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        tokio::time::sleep(STEP).await;
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago: nothing listens there, connections are refused.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_as_long_as_needed_and_no_longer_than_allowed() {
        let mut looks = 0;
        let third = eventually(Duration::from_secs(5), || {
            looks += 1;
            looks == 3
        });
        assert!(third.await.unwrap() >= STEP * 2);
        let never = eventually(Duration::from_millis(10), || false).await;
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn nothing_listens_on_a_free_port() {
        let port = free_port().unwrap();
        let refused = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
