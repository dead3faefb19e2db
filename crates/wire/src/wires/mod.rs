//! The formats themselves, one module each. A new wire is its own file (a folder of `mod`, `request`,
//! `response`, `stream` past 600 lines) and one line in each table here.

pub mod anthropic;
pub mod gemini;
pub mod openai_chat;
pub mod plain;
