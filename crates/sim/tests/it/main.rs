//! The simulator over real sockets: what each act puts on the wire, each wire's answers field by field, what each wire
//! refuses, the limiter, and the life of calls and connections.

#[cfg(test)]
mod acts;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod program;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod tools;
