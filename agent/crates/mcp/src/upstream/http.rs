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

/// What came back from [`post`].
#[derive(Debug)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// The content type, if there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends a text to a URL, under the same rules as those for upstream servers, and reads an answer of up to `bound`
/// bytes.
pub async fn post(
    url: &str,
    guard: &Guard,
    limit: Duration,
    text: String,
    bound: usize,
) -> Result<Posted, UpstreamError> {
    let posted = async {
        let url = Url::parse(url).map_err(|_| Unreachable::NoHost(url.to_owned()))?;
        let broken = |error: reqwest::Error| UpstreamError::Broken(error.without_url().to_string());
        let sent = client(&url, guard, limit)
            .await?
            .post(url)
            .body(text)
            .send();
        let mut response = sent.await.map_err(broken)?;
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
        let content_type = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > bound {
                return Err(UpstreamError::Broken(format!(
                    "its answer is longer than {bound} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Posted {
            status: response.status().as_u16(),
            content_type,
            body,
        })
    };
    tokio::time::timeout(limit, posted)
        .await
        .unwrap_or(Err(UpstreamError::TimedOut(limit)))
}

/// A way to the server: to the addresses that its name stands for now, without proxies from the environment,
/// without following it elsewhere, and with no other token than its own.
pub(super) async fn transport(
    address: &Address,
    guard: &Guard,
    limit: Duration,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, UpstreamError> {
    let url = Url::parse(&address.url).map_err(|_| Unreachable::NoHost(address.url.clone()))?;
    let client = client(&url, guard, limit).await?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.max_sse_event_size = bounds::MESSAGE;
    if let Some(path) = &address.token_file {
        config.auth_header = Some(super::child::secret(path)?);
    }
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// A client for one server, which stays with the addresses that its name stands for now.
async fn client(
    url: &Url,
    guard: &Guard,
    limit: Duration,
) -> Result<reqwest::Client, UpstreamError> {
    let addresses = guard.resolve(url).await?;
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
    client.build().map_err(broken)
}
