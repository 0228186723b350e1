//! Clients that do not read, over real connections whose buffers are small.

use std::net::{SocketAddr, TcpStream};

use tokio::net::{TcpListener, TcpSocket};
use tungstenite::client::IntoClientRequest;

use super::*;
use crate::serve::{Answers, Limits, serve};
use crate::session::{Access, Sessions};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const NEVER: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_millis(200);

/// A server that has nothing but the chat, for one user. There is no daemon.
struct Server {
    chat: Arc<Chat>,
    address: SocketAddr,
    _state: tempfile::TempDir,
}

struct Door(Arc<Chat>);

impl Answers for Door {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let access = Access {
            token: "token".into(),
            role: "admin".to_owned(),
            expires: None,
            ended: false,
        };
        let session = Sessions::default().enter("alice".to_owned(), None, access);
        super::serve(&self.0, session, request).await
    }
}

impl Server {
    fn new(patience: Patience) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut chat = Chat::new(Setting {
            client: Client::via(state.path().join("nobody"), "web"),
            declared: declaration::Chat::default(),
            metrics: Arc::default(),
            state: None,
            end: CancellationToken::new(),
        });
        chat.patience = patience;
        let chat = Arc::new(chat);
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(Door(Arc::clone(&chat)));
        let end = chat.end.clone();
        tokio::spawn(serve(listener, None, door, Limits::default(), end));
        Self {
            chat,
            address,
            _state: state,
        }
    }

    /// A client that was greeted.
    async fn client(&self) -> tungstenite::WebSocket<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        let request = format!("ws://{}/ws", self.address);
        let request = request.into_client_request().unwrap();
        let client = blocking(move || {
            let (mut client, _) = tungstenite::client(request, stream).unwrap();
            client.read().unwrap();
            client
        });
        client.await
    }

    /// Waits until the server has let go of so many with 1013.
    async fn has_given_up(&self, count: u64) {
        wait(|| self.chat.metrics.ends_with(1013) == count).await;
    }

    /// Waits until nobody has a place.
    async fn is_empty(&self) {
        wait(|| self.chat.metrics.open_sockets() == 0).await;
    }
}

/// What it accepts takes little before somebody reads.
fn listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket.listen(8).unwrap()
}

async fn wait(is: impl Fn() -> bool) {
    let there = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let there = tokio::time::timeout(LIMIT, there).await;
    there.expect("it to come to that");
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

/// Says so much that what comes back does not fit into any buffer on the way.
async fn say_much(
    mut client: tungstenite::WebSocket<TcpStream>,
) -> tungstenite::WebSocket<TcpStream> {
    blocking(move || {
        for number in 0..4 {
            let text = number.to_string().repeat(15_000);
            // It may be let go before it has said all.
            let _ = client.send(tungstenite::Message::text(text));
        }
        client
    })
    .await
}

/// The code that is behind all that was sent; 1006 if there is none (RFC 6455 §7.4.1).
async fn code(mut client: tungstenite::WebSocket<TcpStream>) -> u16 {
    blocking(move || {
        loop {
            match client.read() {
                Ok(tungstenite::Message::Close(frame)) => {
                    return frame.map_or(1005, |frame| frame.code.into());
                }
                Ok(_) => {}
                Err(_) => return 1006,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_again_learns_that_it_was_too_slow() {
    let server = Server::new(Patience {
        sending: SOON,
        closing: NEVER,
        ..Patience::default()
    });
    let client = say_much(server.client().await).await;
    server.has_given_up(1).await;
    assert_eq!(code(client).await, 1013);
    server.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_gives_its_place_back() {
    let server = Server::new(Patience {
        sending: SOON,
        closing: SOON,
        ..Patience::default()
    });
    let held = say_much(server.client().await).await;
    server.has_given_up(1).await;
    server.is_empty().await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_no_ping_is_let_go_and_told() {
    let server = Server::new(Patience {
        pulse: SOON,
        silence: SOON,
        closing: NEVER,
        ..Patience::default()
    });
    let client = server.client().await;
    server.has_given_up(1).await;
    assert_eq!(code(client).await, 1013);
    server.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_is_answered() {
    let server = Server::new(Patience::default());
    let mut client = server.client().await;
    client.close(None).unwrap();
    assert_eq!(code(client).await, 1005);
    server.is_empty().await;
}
