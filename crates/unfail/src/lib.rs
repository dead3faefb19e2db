//! One answer from many LLM providers: the cascade as a library.
//!
//! A list of (provider, model) in order of priority; the first that answers wins. Only faults of providers cascade,
//! nobody sleeps before moving to the next, and every answer and every failure brings the trail of what was tried.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use unfail::Cascade;
//!
//! let cascade = Cascade::builder()
//!     .target("anthropic", "claude-haiku-5-5")
//!     .target("gemini", "gemini-3.5-flash")
//!     .build()?; // keys from ANTHROPIC_API_KEY and GEMINI_API_KEY
//!
//! let answer = cascade.text("Why is the sky blue?").await?;
//! println!("{} (by {})", answer.value, answer.target);
//! # Ok(())
//! # }
//! ```
//!
//! [`Cascade::json`] gives any JSON, [`Cascade::typed`] a value checked against its type's JSON Schema,
//! [`Cascade::chat`] takes a whole conversation with tools and images, [`Cascade::stream`] streams.

pub use unfail_engine::cascade::{Cascade, CascadeBuilder, CascadeError, Reply};
pub use unfail_engine::failure::{Failure, FailureKind, Trail};
pub use unfail_engine::trail::AttemptNote;
pub use unfail_engine::{AnswerStream, Content};
pub use unfail_policy::attempt::{OnRefusal, Rules};
pub use unfail_wire::chat;
pub use unfail_wire::event;
