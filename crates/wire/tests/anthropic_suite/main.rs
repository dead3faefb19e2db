//! The Messages format, held against fixtures, its own traps and laws.

#[cfg(test)]
mod adapt;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod outline;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traps;
