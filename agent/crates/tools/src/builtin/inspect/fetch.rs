//! Fetching what the declaration allows to be fetched, and nothing that a name or a redirect makes of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use declaration::UrlPrefix;
use reqwest::header::LOCATION;
use reqwest::{Client, Response, redirect};
use tokio::runtime::{Builder, Runtime};
use url::{Host, Url};

use super::address::is_global;
use crate::call::Call;
use crate::error::ToolError;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(30);
/// How often a call that waits looks whether it was taken back.
const LOOK: Duration = Duration::from_millis(100);

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;

/// Fetches URLs that one of the prefixes covers.
pub(super) struct Fetcher<'p> {
    pub(super) allowed: &'p [UrlPrefix],
    /// The most bytes.
    pub(super) most: usize,
    /// How long all of it may take.
    pub(super) whole: Duration,
    /// The addresses of a host name.
    pub(super) resolve: fn(String, u16) -> Resolving,
    /// Which of them may be connected to.
    pub(super) may: fn(IpAddr) -> bool,
}

impl<'p> Fetcher<'p> {
    pub(super) fn new(allowed: &'p [UrlPrefix], most: usize) -> Self {
        Self {
            allowed,
            most,
            whole: WHOLE,
            resolve: |host, port| {
                Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
            },
            may: is_global,
        }
    }

    /// Fetches a URL, and waits for the end of it.
    pub(super) fn fetch(&self, call: &Call<'_>, url: &str) -> Result<Vec<u8>, ToolError> {
        let failed = |error: io::Error| ToolError::failed("fetch a URL", error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let result = self.follow(call, &runtime, url);
        // A look-up of a name that hangs is not waited for.
        runtime.shutdown_background();
        result
    }

    fn follow(&self, call: &Call<'_>, runtime: &Runtime, url: &str) -> Result<Vec<u8>, ToolError> {
        let deadline = Instant::now() + self.whole;
        let mut url = Url::parse(url)
            .map_err(|error| ToolError::Invalid(format!("the URL is none: {error}")))?;
        for _ in 0..=REDIRECTS {
            let step = self.step(&url);
            match runtime.block_on(guarded(call, deadline, step))? {
                Step::Content(bytes) => return Ok(bytes),
                Step::Elsewhere(next) => {
                    call.note(format!("{} leads to {}", shown(&url), shown(&next)));
                    url = next;
                }
            }
        }
        Err(ToolError::Failed(format!(
            "more than {REDIRECTS} redirects, the last to {}",
            shown(&url)
        )))
    }

    async fn step(&self, url: &Url) -> Result<Step, ToolError> {
        let prefix = self.allowed.iter().find(|prefix| prefix.covers(url)).ok_or_else(|| {
            ToolError::Refused(format!(
                "{} is not among the URLs that may be fetched: the declaration names them under \
                 `access.inspect.urls`",
                shown(url)
            ))
        })?;
        let client = self.client(url, prefix).await?;
        let failed = |error: reqwest::Error| {
            // The URL stands in the text already, and may have a secret in its query.
            ToolError::failed(
                &format!("fetch {}", shown(url)),
                causes(&error.without_url()),
            )
        };
        let response = client.get(url.clone()).send().await.map_err(failed)?;
        if response.status().is_redirection() {
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|target| target.to_str().ok());
            let next = target.and_then(|target| url.join(target).ok());
            return next.map(Step::Elsewhere).ok_or_else(|| {
                ToolError::Failed(format!(
                    "{} leads elsewhere without saying where",
                    shown(url)
                ))
            });
        }
        if !response.status().is_success() {
            return Err(ToolError::Failed(format!(
                "fetch {}: the server answers {}",
                shown(url),
                response.status()
            )));
        }
        self.content(response, url).await.map(Step::Content)
    }

    /// A client that connects to nothing but the addresses that were looked at.
    async fn client(&self, url: &Url, prefix: &UrlPrefix) -> Result<Client, ToolError> {
        let failed = |error: reqwest::Error| {
            ToolError::Unavailable(format!("no HTTP client can be made: {}", causes(&error)))
        };
        // It is there already if another part of the program was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("op-dbus/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            // No certificates are needed, and there may be none.
            client = client.tls_certs_only([]);
        }
        // An address that is written in the declaration is meant; a name may lead anywhere.
        if prefix.address().is_none()
            && let Some(Host::Domain(host)) = url.host()
        {
            let port = url.port_or_known_default().unwrap_or(443);
            let addresses = (self.resolve)(host.to_owned(), port).await;
            let addresses =
                addresses.map_err(|error| ToolError::Failed(format!("look up {host}: {error}")))?;
            if let Some(near) = addresses.iter().find(|address| !(self.may)(address.ip())) {
                return Err(ToolError::Refused(format!(
                    "{host} leads to {}, which is no address of the Internet: what is near is fetched only by its \
                     address, written in `access.inspect.urls`",
                    near.ip()
                )));
            }
            if addresses.is_empty() {
                return Err(ToolError::Failed(format!("{host} has no address")));
            }
            client = client.resolve_to_addrs(host, &addresses);
        }
        client.build().map_err(failed)
    }

    async fn content(&self, mut response: Response, url: &Url) -> Result<Vec<u8>, ToolError> {
        let too_large = || {
            ToolError::Failed(format!(
                "{} has more than {} bytes, which is the most that is fetched",
                shown(url),
                self.most
            ))
        };
        if response
            .content_length()
            .is_some_and(|length| length > self.most as u64)
        {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        loop {
            let part = response.chunk().await.map_err(|error| {
                ToolError::failed(
                    &format!("fetch {}", shown(url)),
                    causes(&error.without_url()),
                )
            })?;
            let Some(part) = part else {
                return Ok(bytes);
            };
            if bytes.len() + part.len() > self.most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part);
        }
    }
}

/// What one request leads to.
enum Step {
    Content(Vec<u8>),
    Elsewhere(Url),
}

/// Waits until it is done, the time is over, or the call is taken back.
async fn guarded<T>(
    call: &Call<'_>,
    deadline: Instant,
    work: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(LOOK, &mut work).await {
            return done;
        }
        call.check()?;
        if Instant::now() >= deadline {
            return Err(ToolError::TimedOut);
        }
    }
}

/// A URL without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Only URLs without a host refuse these.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// An error and what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
