//! The command line as people and programs meet it: the real binary, real sockets, exit codes and every byte it
//! prints. Nothing here looks inside.
#[cfg(test)]
mod chat;
#[cfg(test)]
mod check;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod help;
#[cfg(test)]
mod program;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod world;
