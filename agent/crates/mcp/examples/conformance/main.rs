//! A server with the tools, prompts and resources that the official conformance suite asks for by name, on the
//! server code of the product.
//!
//! `cargo run -p mcp --example conformance -- 127.0.0.1:8001` serves `http://127.0.0.1:8001/mcp`; without an
//! address it serves standard input and output.

mod backend;
mod beside;
mod inputs;

use std::sync::Arc;

use mcp::server::{Options, Server};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::backend::Fixture;
use crate::beside::Beside;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::new("conformance", "Fixture of the conformance suite");
    let server = Beside::new(Server::new(Arc::new(Fixture), options)?)?;
    let Some(address) = std::env::args().nth(1) else {
        mcp::stdio::serve(server, CancellationToken::new()).await?;
        return Ok(());
    };
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().route_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind(&address).await?;
    eprintln!("http://{}/mcp", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
