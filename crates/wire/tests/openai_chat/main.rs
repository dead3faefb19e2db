//! Tests of the OpenAI Chat Completions format: fixtures as tables, laws as properties.

#[cfg(test)]
mod adapting;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod outlines;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod streams;
#[cfg(test)]
#[cfg(test)]
mod support;
