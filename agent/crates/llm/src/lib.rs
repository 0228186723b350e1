//! A client of language models behind servers that are compatible with OpenAI's chat completions.
//!
//! Answers are streamed, and so are the tool calls in them. Servers differ in what they leave out and where they put
//! it, so the reader is tolerant; it is strict in what it bounds: sizes, counts and times. What a server says is data,
//! and nothing in it leads the client elsewhere.
//!
//! ```no_run
//! # async fn example() -> Result<(), llm::Error> {
//! let client = llm::Client::new(llm::Settings::new("http://127.0.0.1:11434/v1", "qwen3:8b"))?;
//! let request = llm::Request::of(vec![llm::Message::user("What is a bridge?")]);
//! let reply = client.complete(&request, &mut |piece| print!("{piece:?}")).await?;
//! println!("{} tokens", reply.usage.total());
//! # Ok(())
//! # }
//! ```

pub mod bounds;
mod client;
mod error;
mod key;
mod models;
mod probe;
mod reply;
mod request;
mod response;
mod retry;
mod sse;
mod thinking;

pub use client::{Client, Settings};
pub use error::Error;
pub use key::Key;
pub use probe::{Answered, Probe};
pub use reply::{Finish, Piece, Reply, Usage};
pub use request::{Message, Request, ToolCall, ToolDefinition};
