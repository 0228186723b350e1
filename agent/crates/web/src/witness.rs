//! The door of a witness: heads of other ledgers come in, cosignatures go out.
//!
//! There are no tokens: what comes in is signed by the ledger that it is of, and what goes out is for everybody.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use tlog::{Answer, MAX_REQUEST, Witness};

use crate::guard;
use crate::serve::{Answers, Limits};

/// How long the body of a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The door of a witness.
#[derive(Debug)]
pub struct WitnessDoor {
    witness: Arc<Witness>,
}

impl WitnessDoor {
    /// A door to a witness.
    pub fn new(witness: Witness) -> Self {
        Self {
            witness: Arc::new(witness),
        }
    }

    /// What its connections may take: a ledger needs one, for a moment.
    pub fn limits() -> Limits {
        Limits {
            connections: 64,
            head_bytes: 8 << 10,
            ..Limits::default()
        }
    }

    async fn add(&self, body: Body) -> Response<Body> {
        let read = axum::body::to_bytes(body, MAX_REQUEST);
        let body = match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n"),
            Err(_) => {
                return text(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not arrive in time\n",
                );
            }
        };
        let witness = Arc::clone(&self.witness);
        // It waits for the disk.
        let asked = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, now()));
        let answer = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                log::error!("nothing is cosigned: {error}");
                Answer::Other(500)
            }
            Err(error) => {
                log::error!("nothing is cosigned: {error}");
                Answer::Other(500)
            }
        };
        match &answer {
            Answer::Cosigned(_) => log::debug!("cosigned"),
            Answer::Conflict(_) | Answer::Unproven => {
                log::warn!(
                    "refused a head that does not continue what was cosigned last ({})",
                    answer.status()
                );
            }
            refused => log::info!("refused: {}", refused.body().trim_end()),
        }
        let status =
            StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = text(status, answer.body());
        let kind = HeaderValue::from_static(answer.content_type());
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl Answers for WitnessDoor {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let mut response = match (request.method(), request.uri().path()) {
            (&Method::POST, "/add-checkpoint") => self.add(request.into_body()).await,
            (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
            (_, path @ ("/add-checkpoint" | "/healthz")) => {
                let allowed = if path == "/healthz" {
                    "GET, HEAD"
                } else {
                    "POST"
                };
                let mut response = text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    format!("only {allowed} here\n"),
                );
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there is nothing here; there is POST /add-checkpoint\n",
            ),
        };
        guard::harden(response.headers_mut(), None);
        response
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::{AddCheckpoint, Algorithm, Checkpoint, SigningKey, Tree, leaf_hash};

    fn key(name: &str, algorithm: Algorithm) -> SigningKey {
        let text = SigningKey::generate(&name.parse().unwrap(), algorithm).unwrap();
        text.parse().unwrap()
    }

    async fn ask(
        door: &Arc<WitnessDoor>,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> (u16, String, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .unwrap();
        let response = Arc::clone(door).answer(request).await;
        let kind = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        (status, kind, body.to_vec())
    }

    #[tokio::test]
    async fn heads_come_in_and_cosignatures_go_out() {
        let directory = tempfile::tempdir().unwrap();
        let log = key("example.org/log", Algorithm::Ed25519);
        let witness = key("example.org/witness", Algorithm::Cosignature);
        let keys = [witness.verifier().clone()];
        let opened = Witness::open(witness, directory.path(), [log.verifier().clone()]).unwrap();
        let door = Arc::new(WitnessDoor::new(opened));
        let mut tree = Tree::new();
        tree.append(leaf_hash(b"first"));
        let mut checkpoint = Checkpoint::new(log.verifier().name().clone(), 1, tree.root())
            .sign(&log)
            .unwrap();
        let request = AddCheckpoint {
            old_size: 0,
            proof: Vec::new(),
            checkpoint: checkpoint.clone(),
        };
        let request = request.to_string().into_bytes();
        let (status, kind, body) =
            ask(&door, Method::POST, "/add-checkpoint", request.clone()).await;
        let Answer::Cosigned(signatures) = Answer::read(status, Some(&kind), &body) else {
            panic!("{status}: {}", String::from_utf8_lossy(&body));
        };
        assert!(checkpoint.add(signatures[0].clone(), &keys).unwrap());
        // From nothing again, although one entry was cosigned.
        let again = ask(&door, Method::POST, "/add-checkpoint", request).await;
        assert_eq!(again, (409, "text/x.tlog.size".to_owned(), b"1\n".to_vec()));
    }

    #[tokio::test]
    async fn what_it_is_not_for_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let witness = key("example.org/witness", Algorithm::Cosignature);
        let opened = Witness::open(witness, directory.path(), []).unwrap();
        let door = Arc::new(WitnessDoor::new(opened));
        let ask = |method, path: &'static str, body| {
            let door = Arc::clone(&door);
            async move { ask(&door, method, path, body).await.0 }
        };
        assert_eq!(ask(Method::GET, "/healthz", Vec::new()).await, 200);
        assert_eq!(ask(Method::GET, "/add-checkpoint", Vec::new()).await, 405);
        assert_eq!(ask(Method::POST, "/", Vec::new()).await, 404);
        assert_eq!(
            ask(Method::POST, "/add-checkpoint", b"garbage".to_vec()).await,
            400
        );
        assert_eq!(
            ask(Method::POST, "/add-checkpoint", vec![b'a'; MAX_REQUEST + 1]).await,
            413
        );
    }
}
