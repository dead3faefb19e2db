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
//! [`Cascade::chat`] takes a whole conversation with tools and images, [`Cascade::stream`] streams:
//!
//! ```no_run
//! # async fn example(cascade: unfail::Cascade) -> Result<(), Box<dyn std::error::Error>> {
//! use unfail::chat::{ChatRequest, Message, Part, Role};
//! use unfail::event::{Delta, Event};
//!
//! let message = Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None };
//! let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
//! let (head, mut stream) = cascade.stream(&request).await?; // a target answers: from here on it is this one
//! println!("answered by {}", head.target);
//! let mut events = Vec::new();
//! while let Some(read) = stream.next(&mut events).await {
//!     read?; // an error here: the answer broke off, and what came so far is all there is
//!     for event in events.drain(..) {
//!         if let Event::Delta { delta: Delta::Text(text), .. } = event {
//!             print!("{text}");
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A provider of one's own has any name, a base URL and a wire; a key and an authority where it needs them:
//!
//! ```no_run
//! # fn example(key: String) -> Result<unfail::Cascade, unfail::CascadeError> {
//! unfail::Cascade::builder()
//!     .target("in-house", "qwen3-32b")
//!     .wire("in-house", "openai-chat")
//!     .base_url("in-house", "https://10.0.0.5:8000/v1")
//!     .key("in-house", key)
//!     .ca("in-house", "/etc/ssl/in-house.pem")
//!     .build()
//! # }
//! ```

pub use unfail_engine::answer::Head;
pub use unfail_engine::cascade::{Cascade, CascadeBuilder, CascadeError, Reply};
pub use unfail_engine::failure::{Failure, FailureKind, Trail};
pub use unfail_engine::trail::AttemptNote;
pub use unfail_engine::{AnswerStream, Content};
pub use unfail_policy::attempt::{OnRefusal, Rules};
pub use unfail_wire::chat;
pub use unfail_wire::event;
