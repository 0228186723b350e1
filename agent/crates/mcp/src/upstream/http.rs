//! Servers that are spoken to by HTTP.

use std::time::Duration;

use declaration::Address;
use reqwest::redirect::Policy;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use url::Url;

use super::bounds;
use super::error::UpstreamError;
use super::guard::{Guard, Unreachable};

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A way to the server: to the addresses that its name stands for now, without proxies from the environment,
/// without following it elsewhere, and with no other token than its own.
pub(super) async fn transport(
    address: &Address,
    guard: &Guard,
    limit: Duration,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, UpstreamError> {
    let url = Url::parse(&address.url).map_err(|_| Unreachable::NoHost(address.url.clone()))?;
    let addresses = guard.resolve(&url).await?;
    // Only the first one of a process is taken; it is this one everywhere.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broken = |error: reqwest::Error| UpstreamError::Broken(error.to_string());
    let mut client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        // Keeps a connection from another's name, and spares a stall with small writes.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .read_timeout(limit);
    if let Some(name) = url.domain() {
        client = client.resolve_to_addrs(name, &addresses);
    }
    let client = client.build().map_err(broken)?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.max_sse_event_size = bounds::MESSAGE;
    if let Some(path) = &address.token_file {
        config.auth_header = Some(super::child::secret(path)?);
    }
    Ok(StreamableHttpClientTransport::with_client(client, config))
}
