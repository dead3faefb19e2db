//! The configuration from outside: files in, meaning or reports out.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod world;
