//! The endpoint from outside, over real sockets: simulated providers behind it, raw callers in front of it, and every
//! failure in between. Nothing here knows how the endpoint is made.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod cascade;
#[cfg(test)]
mod circle;
#[cfg(test)]
mod commit;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod down;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod face;
#[cfg(test)]
mod fit;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod front;
#[cfg(test)]
mod gone;
#[cfg(test)]
mod h2;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod names;
#[cfg(test)]
mod record;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stale;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod way;
