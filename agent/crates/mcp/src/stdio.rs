//! A server on standard input and output: one JSON-RPC message a line.

mod paced;

use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use tokio_util::sync::CancellationToken;

use paced::Paced;

/// The longest line that is read, in bytes. A longer one is dropped, and the next one read.
pub const LONGEST_LINE: usize = 8 << 20;

/// Why a server on stdio ended otherwise than with its input.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not begin as the protocol says.
    #[error("the client did not begin as the protocol says: {0}")]
    Beginning(Box<ServerInitializeError>),
    /// A task of the server ended in a panic.
    #[error("the server ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Serves until the input ends or `end` says so. Calls on their way then have five seconds to answer, and are
/// taken back.
pub async fn serve(server: impl ServerHandler, end: CancellationToken) -> Result<(), StdioError> {
    let (input, output) = stdio_pipes();
    let transport =
        AsyncRwTransport::<RoleServer, _, _>::new(input, output).with_max_line_length(LONGEST_LINE);
    let service = match server.serve_with_ct(Paced::new(transport), end).await {
        Ok(service) => service,
        // Whoever only looks whether there is a server is no error.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            return Ok(());
        }
        Err(error) => return Err(StdioError::Beginning(Box::new(error))),
    };
    service.waiting().await?;
    Ok(())
}
