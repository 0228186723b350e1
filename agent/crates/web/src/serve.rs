//! Connections: how many, how long, and how they end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::tls::Tls;
use crate::write_timeout::WriteTimeout;

/// What answers requests.
pub trait Answers: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Who is at the other end of a connection; it is among the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Whether TLS is between.
    pub(crate) secure: bool,
}

impl Peer {
    /// Whom the limits by address count.
    pub(crate) fn origin(&self) -> IpAddr {
        origin(self.address.ip())
    }
}

/// An address as limits count it: of IPv6 the network, since one host has all addresses of a /64 (RFC 6177 §2).
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many there are at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How many of them one address has; further ones are closed at once.
    pub of_address: usize,
    /// How long the head of a request may take, and how long a connection may wait for its next one.
    pub head: Duration,
    /// How long a write may wait for the other end to take something: of an answer, a stream, or a connection of the
    /// chat. What has nothing to write waits for nobody.
    pub write: Duration,
    /// How many bytes a head may have.
    pub head_bytes: usize,
    /// How many headers a request may have.
    pub headers: usize,
    /// How long answers that are on their way at the end may take.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            of_address: 256,
            head: Duration::from_secs(10),
            write: Duration::from_secs(30),
            head_bytes: 32 << 10,
            headers: 64,
            grace: Duration::from_secs(3),
        }
    }
}

/// Serves, with TLS where there is some, until `end`, and then finishes what is on its way.
pub async fn serve<A: Answers>(
    listener: TcpListener,
    tls: Option<Tls>,
    doors: Arc<A>,
    limits: Limits,
    end: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let crowd = Arc::new(Crowd::default());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        if let Some((stream, address, place)) = accepted {
            let Some(seat) = crowd.enter(origin(address.ip()), limits.of_address) else {
                log::debug!("{address} has too many connections; one more is not served");
                continue;
            };
            let (doors, end) = (Arc::clone(&doors), end.clone());
            let acceptor = tls.as_ref().map(Tls::acceptor);
            let on_its_way = OnItsWay(connections.token());
            connections.spawn(async move {
                // Answers are small, and streams are written event by event.
                let _ = stream.set_nodelay(true);
                let stream = WriteTimeout::new(stream, limits.write);
                let peer = Peer {
                    address,
                    secure: acceptor.is_some(),
                };
                match acceptor {
                    None => connection(stream, peer, on_its_way, doors, limits, end).await,
                    Some(acceptor) => {
                        let shaken = tokio::time::timeout(limits.head, acceptor.accept(stream));
                        match shaken.await {
                            Ok(Ok(stream)) => {
                                connection(stream, peer, on_its_way, doors, limits, end).await
                            }
                            Ok(Err(error)) => log::debug!("{address}: no TLS: {error}"),
                            Err(_) => log::debug!("{address}: TLS took too long"),
                        }
                    }
                }
                drop((seat, place));
            });
        }
    }
    drop(listener);
    connections.close();
    let all = tokio::time::timeout(limits.grace, connections.wait());
    if all.await.is_err() {
        log::warn!("answers were still on their way at the end");
    }
}

/// What the end of the server waits for, until this is dropped; it is among the extensions of each request. Who takes a
/// connection over holds it.
#[derive(Clone)]
pub(crate) struct OnItsWay(#[expect(dead_code, reason = "holding it is all")] TaskTrackerToken);

/// How many connections each address has.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until this is dropped.
struct Seat {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// One more, if the address has fewer than so many.
    fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Seat> {
        let mut there = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = there.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat {
            crowd: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut there = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = there.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                there.remove(&self.address);
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            log::warn!("cannot take a connection: {error}");
            // Out of files, it would fail again at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection<A: Answers>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    on_its_way: OnItsWay,
    doors: Arc<A>,
    limits: Limits,
    end: CancellationToken,
) {
    let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let doors = Arc::clone(&doors);
        let on_its_way = on_its_way.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(on_its_way);
            Ok::<_, Infallible>(doors.answer(request).await)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes);
    let serving = http
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = end.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Peers that vanish, are too slow, or do not speak HTTP.
        log::debug!("a connection ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::net::TcpSocket;

    use super::*;

    /// How long anything may take on a busy machine.
    const SOON: Duration = Duration::from_secs(60);

    /// Answers everything with more than a connection holds that nobody reads.
    struct Much;

    impl Answers for Much {
        async fn answer(self: Arc<Self>, _: Request<Body>) -> Response<Body> {
            Response::new(Body::from(vec![b'x'; 256 << 10]))
        }
    }

    /// A connection that takes little before it is read.
    async fn connect(address: SocketAddr) -> std::net::TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_and_does_not_read_gives_the_place_back() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(8).unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            connections: 1,
            write: Duration::from_millis(200),
            ..Limits::default()
        };
        let end = CancellationToken::new();
        tokio::spawn(serve(listener, None, Arc::new(Much), limits, end));
        let ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut first = connect(address).await;
        first.write_all(&ask.repeat(20)).unwrap();
        // There is one place, and this one comes after it.
        let mut second = connect(address).await;
        let answer = tokio::task::spawn_blocking(move || {
            second.write_all(ask)?;
            let mut word = [0; 15];
            second.read_exact(&mut word).map(|()| word)
        });
        assert_eq!(&answer.await.unwrap().unwrap(), b"HTTP/1.1 200 OK");
        drop(first);
    }

    #[test]
    fn one_address_does_not_take_all_connections() {
        let crowd = Arc::new(Crowd::default());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let held: Vec<_> = (0..3).map(|_| crowd.enter(one, 3).unwrap()).collect();
        assert!(crowd.enter(one, 3).is_none());
        assert!(crowd.enter(other, 3).is_some());
        drop(held);
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_one_host_counts_as_one_address() {
        let counted = |text: &str| origin(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("::1"), "::1");
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
    }
}
