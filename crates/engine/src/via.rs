//! Which gateways of this kind a request has passed, so that one that comes round in a circle is recognised.
//!
//! Every call to a provider carries `Via` (RFC 9110 §7.6.3), as a gateway's must: a pseudonym that is drawn when the
//! process starts, behind those of the gateways before it. Nothing else of a `Via` a caller sends is passed on.

use http::header::VIA;
use http::{HeaderMap, HeaderValue};

use crate::world::World;

/// What pseudonyms begin with; a number of 64 bits follows.
const NAME: &str = "unfail-";
const DIGITS: usize = 16;
/// So many are passed on, the latest. A circle of more gateways is only ended by their deadlines.
const MOST: usize = 8;

/// A request has been here before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this request has passed this gateway before: the `base_url` of one of its providers leads back here, which its \
     operator must mend"
)]
pub struct Circle;

/// What calls of this process carry when nothing came before it.
pub(crate) fn own(world: World) -> HeaderValue {
    HeaderValue::from_str(&element(&pseudonym(world))).unwrap_or(HeaderValue::from_static("1.1 unfail"))
}

/// What calls must carry for a request with these headers; `None` when it comes from no gateway of this kind.
///
/// # Errors
/// [`Circle`] when this process is among those the request has passed.
pub fn onward(headers: &HeaderMap, world: World) -> Result<Option<HeaderValue>, Circle> {
    if !headers.contains_key(VIA) {
        return Ok(None);
    }
    let own = pseudonym(world);
    let lines = headers.get_all(VIA).iter().filter_map(|line| line.to_str().ok());
    let passed: Vec<&str> = lines.flat_map(|line| line.split(',')).filter_map(ours).collect();
    if passed.contains(&own.as_str()) {
        return Err(Circle);
    }
    let latest = passed.get(passed.len().saturating_sub(MOST)..).unwrap_or_default();
    let all: Vec<String> = latest.iter().copied().chain([own.as_str()]).map(element).collect();
    Ok(HeaderValue::from_str(&all.join(", ")).ok().filter(|_| !latest.is_empty()))
}

fn pseudonym(world: World) -> String {
    format!("{NAME}{:016x}", world.mark())
}

fn element(pseudonym: &str) -> String {
    format!("1.1 {pseudonym}")
}

/// The pseudonym in an element of `Via`, when it is one of ours to the letter.
fn ours(element: &str) -> Option<&str> {
    let pseudonym = element.split_ascii_whitespace().nth(1)?;
    let digits = pseudonym.strip_prefix(NAME)?;
    let lower = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == DIGITS && digits.bytes().all(lower)).then_some(pseudonym)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(lines: &[&str], world: World) -> Result<Option<String>, Circle> {
        let line = |line: &&str| (VIA, HeaderValue::from_str(line).unwrap());
        let headers: HeaderMap = lines.iter().map(line).collect();
        Ok(onward(&headers, world)?.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn only_pseudonyms_of_gateways_are_passed_on() {
        let world = World::start();
        let own = own(world).to_str().unwrap().to_owned();
        assert_eq!(ours(&own).map(str::len), Some(NAME.len() + DIGITS));
        let other = "1.1 unfail-0123456789abcdef";
        for (lines, expected) in [
            (vec![], None),
            (vec!["1.1 proxy.example (the caller's)"], None),
            (vec!["1.1 unfail-me", "1.1 unfail-0123456789ABCDEF", "unfail-0123456789abcdef", ""], None),
            (vec![other], Some(format!("{other}, {own}"))),
            (vec!["1.0 fred", "HTTP/1.1 unfail-0123456789abcdef (words)"], Some(format!("{other}, {own}"))),
        ] {
            assert_eq!(passed(&lines, world), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn a_circle_is_recognised_however_long_the_way_was() {
        let gateways: Vec<World> = (0..2 * MOST).map(|_| World::start()).collect();
        let mut via = own(gateways[0]).to_str().unwrap().to_owned();
        for (number, world) in gateways.iter().enumerate().skip(1) {
            for (before, passed_by) in gateways.iter().enumerate().take(number) {
                let recent = number - before <= MOST + 1;
                assert_eq!(passed(&[&via], *passed_by).is_err(), recent, "{before} of {number}");
            }
            via = passed(&[&via], *world).unwrap().unwrap();
        }
    }
}
