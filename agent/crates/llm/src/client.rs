//! The client: one server, one model.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::bounds;
use crate::error::Error;
use crate::key::Key;
use crate::models::{names, printable};
use crate::reply::{Piece, Reply};
use crate::request::{Dialect, Request};
use crate::response::Body;
use crate::retry;

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a list of models may take.
const LIST: Duration = Duration::from_secs(15);

/// Where a model is, and how long it is waited for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the interface begins; for most servers it ends with `/v1`.
    pub url: String,
    /// The model.
    pub model: String,
    /// The file with the key, read at each use.
    pub key_file: Option<PathBuf>,
    /// How long one answer may take in all.
    pub whole: Duration,
    /// How long the server may be silent; models that are read from a disk first are silent for long.
    pub idle: Duration,
    /// The longest wait before a busy server is asked again.
    pub patience: Duration,
}

impl Settings {
    /// A model at a server that wants no key, with two minutes for an answer.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            key_file: None,
            whole: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            patience: Duration::from_secs(10),
        }
    }
}

/// A client of one server. Dropping the future of a question takes it back: the connection is closed.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
    /// Scheme, host and port, for errors.
    server: String,
    dialect: Mutex<Dialect>,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let wrong = |cause: String| Error::Url {
            url: printable(&settings.url, bounds::NAME),
            cause,
        };
        let url = Url::parse(&settings.url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("its scheme is neither http nor https".to_owned()));
        }
        // Only the first one of a process is taken; it is this one everywhere.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("op-dbus/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            // No certificates are needed, and there may be none.
            http = http.tls_certs_only([]);
        }
        if url.domain() == Some("localhost") {
            // It is this host, whatever a name server says (RFC 6761 §6.3).
            let here = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let here = here.map(|address| SocketAddr::new(address, 0));
            http = http.resolve_to_addrs("localhost", &here);
        }
        Ok(Self {
            http: http.build().map_err(|error| wrong(causes(&error)))?,
            server: url.origin().ascii_serialization(),
            dialect: Mutex::default(),
            settings,
        })
    }

    /// The server: scheme, host and port.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.settings.model
    }

    /// The models that the server has.
    pub async fn models(&self) -> Result<Vec<String>, Error> {
        let limit = LIST.min(self.settings.whole);
        let list = async {
            let key = self.key()?;
            let request = self.request(self.http.get(self.url("models")), key.as_ref());
            let response = request.send().await.map_err(|error| self.away(&error))?;
            let mut body = self.accept(response, key.as_ref()).await?;
            let answer = body.json().await?;
            names(&answer).ok_or_else(|| Error::Garbled {
                server: self.server.clone(),
                cause: "there is no list of models in it".to_owned(),
            })
        };
        timeout(limit, list)
            .await
            .unwrap_or_else(|_| Err(self.timed_out(limit)))
    }

    /// Asks the model, and tells the pieces of its answer as they come. A server that is busy is asked again, as long
    /// as it has not begun to answer.
    pub async fn complete(
        &self,
        request: &Request,
        listener: &mut (dyn FnMut(Piece) + Send),
    ) -> Result<Reply, Error> {
        let answer = async {
            let key = self.key()?;
            let mut body = self.begin(request, key.as_ref()).await?;
            let reply = body.reply(request.estimate(), listener).await;
            reply.map_err(|error| hidden(error, key.as_ref()))
        };
        let limit = self.settings.whole;
        timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(self.timed_out(limit)))
    }

    /// Sends a question until the server begins to answer it.
    async fn begin(&self, request: &Request, key: Option<&Key>) -> Result<Body<'_>, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.send(request, key).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            match &error {
                Error::Busy { retry_after, .. } if attempt < retry::ATTEMPTS => {
                    let wait = retry_after.unwrap_or_else(|| retry::usual(attempt));
                    if wait > self.settings.patience {
                        return Err(error);
                    }
                    log::debug!("{error}; attempt {} in {wait:?}", attempt + 1);
                    sleep(wait).await;
                    attempt += 1;
                }
                Error::Rejected { complaint, .. } if self.learn(complaint) => {
                    log::debug!("{error}; said differently now");
                }
                _ => return Err(error),
            }
        }
    }

    async fn send(&self, request: &Request, key: Option<&Key>) -> Result<Body<'_>, Error> {
        let body = request.body(&self.settings.model, self.dialect());
        let post = self
            .http
            .post(self.url("chat/completions"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(body.to_string());
        let sent = self.request(post, key).send();
        let idle = self.settings.idle;
        let response = timeout(idle, sent)
            .await
            .map_err(|_| self.timed_out(idle))?;
        let response = response.map_err(|error| self.away(&error))?;
        self.accept(response, key).await
    }

    /// Takes a response, or says why not.
    async fn accept(&self, response: Response, key: Option<&Key>) -> Result<Body<'_>, Error> {
        let status = response.status();
        let retry_after = retry::after(response.headers(), Timestamp::now());
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok());
        let to = target.and_then(|to| response.url().join(to).ok());
        let mut body = Body {
            response,
            server: &self.server,
            idle: self.settings.idle,
            read: 0,
        };
        if status.is_success() {
            return Ok(body);
        }
        let server = self.server.clone();
        if status.is_redirection() {
            let to = to.map(|to| to.origin().ascii_serialization());
            return Err(Error::Redirected { server, to });
        }
        let said = body.complaint().await;
        let said = key.map_or(said.clone(), |key| key.hidden_in(&said));
        let complaint = match printable(&said, bounds::COMPLAINT) {
            nothing if nothing.is_empty() => "it does not say why".to_owned(),
            complaint => complaint,
        };
        let status = status.as_u16();
        Err(match status {
            401 | 403 => Error::Unauthorised {
                server,
                status,
                complaint,
            },
            status if retry::is_passing(status) => Error::Busy {
                server,
                status,
                retry_after,
                complaint,
            },
            _ => Error::Rejected {
                server,
                status,
                complaint,
            },
        })
    }

    fn key(&self) -> Result<Option<Key>, Error> {
        self.settings.key_file.as_deref().map(Key::read).transpose()
    }

    fn request(&self, request: RequestBuilder, key: Option<&Key>) -> RequestBuilder {
        match key.and_then(Key::header) {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    fn url(&self, end: &str) -> String {
        format!("{}/{end}", self.settings.url.trim_end_matches('/'))
    }

    fn dialect(&self) -> Dialect {
        *self.dialect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a complaint how the server wants a request to be written; whether there was something new in it.
    fn learn(&self, complaint: &str) -> bool {
        let mut dialect = self.dialect.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *dialect;
        dialect.new_limit |= complaint.contains("max_completion_tokens");
        dialect.no_stream_options |= complaint.contains("stream_options");
        *dialect != before
    }

    fn away(&self, error: &reqwest::Error) -> Error {
        Error::Away {
            server: self.server.clone(),
            cause: causes(error),
        }
    }

    fn timed_out(&self, after: Duration) -> Error {
        Error::TimedOut {
            server: self.server.clone(),
            after,
        }
    }
}

/// An error in the middle of an answer without the key in it.
fn hidden(error: Error, key: Option<&Key>) -> Error {
    match (error, key) {
        (
            Error::Rejected {
                server,
                status,
                complaint,
            },
            Some(key),
        ) => Error::Rejected {
            server,
            status,
            complaint: key.hidden_in(&complaint),
        },
        (error, _) => error,
    }
}

/// What is behind an error; the URL stands in the text already.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    printable(&cause.to_string(), bounds::COMPLAINT)
}
