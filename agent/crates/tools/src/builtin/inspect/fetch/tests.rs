//! Against a server of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use declaration::{Declaration, Format};

use super::*;
use crate::call::{Cancel, Options};
use crate::caller::{Caller, Door, Role};
use crate::engine::{Site, Source};

/// What the server does with a connection.
type Answer = fn(&mut dyn Write) -> io::Result<()>;

/// A server on this host; its port, and how often somebody connected.
fn server(answer: Answer) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            connections.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            // Who asked may be gone.
            let _ = answer(&mut stream);
        }
    });
    (port, count)
}

fn prefixes(urls: &[String]) -> Vec<UrlPrefix> {
    let text = format!(
        "version: '1.0'\naccess: {{ inspect: {{ urls: {} }} }}",
        serde_json::json!(urls)
    );
    Declaration::parse(&text, Format::Yaml)
        .unwrap()
        .access
        .inspect
        .urls
}

fn caller() -> Caller {
    Caller {
        uid: 0,
        name: "test".to_owned(),
        door: Door::Cli,
        role: Some(Role::Operator),
        refusal: None,
        interactive: false,
        on_behalf_of: None,
    }
}

fn with_call<T>(cancel: &Cancel, work: impl FnOnce(&Call<'_>) -> T) -> T {
    let site = Site::new(
        Source::Text(String::new()),
        Some(PathBuf::from("/nonexistent")),
    );
    work(&Call {
        caller: &caller(),
        site: &site,
        options: Options::default(),
        cancel: cancel.clone(),
        listener: &|_| {},
    })
}

fn fetch(fetcher: &Fetcher<'_>, url: &str) -> Result<Vec<u8>, ToolError> {
    with_call(&Cancel::default(), |call| fetcher.fetch(call, url))
}

fn ok(stream: &mut dyn Write) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{\"a\": 1}")
}

#[test]
fn an_address_that_is_declared_is_fetched_from() {
    let (port, _) = server(ok);
    let allowed = prefixes(&[format!("http://127.0.0.1:{port}/x/")]);
    let fetcher = Fetcher::new(&allowed, 1 << 20);
    assert_eq!(
        fetch(&fetcher, &format!("http://127.0.0.1:{port}/x/y.json")).unwrap(),
        b"{\"a\": 1}"
    );
    for other in ["/y.json", "/x/../y", "/x/%2e%2e/y"] {
        let refused = fetch(&fetcher, &format!("http://127.0.0.1:{port}{other}"));
        assert!(
            matches!(refused, Err(ToolError::Refused(_))),
            "{other}: {refused:?}"
        );
    }
    assert!(matches!(
        fetch(&fetcher, "file:///etc/passwd"),
        Err(ToolError::Refused(_))
    ));
}

#[test]
fn a_name_that_leads_near_is_refused_before_anything_is_sent() {
    let (port, connections) = server(ok);
    let allowed = prefixes(&[format!("http://localhost:{port}/")]);
    let refused = fetch(
        &Fetcher::new(&allowed, 1 << 20),
        &format!("http://localhost:{port}/"),
    );
    assert!(matches!(refused, Err(ToolError::Refused(_))), "{refused:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_name_is_looked_up_once_and_what_was_checked_is_connected_to() {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    let (port, connections) = server(ok);
    let allowed = prefixes(&[format!("http://rebind.invalid:{port}/")]);
    let fetcher = Fetcher {
        resolve: |_, port| {
            // The second answer would be another address, as of a name that is bound anew between check and use.
            let address = match LOOKUPS.fetch_add(1, Ordering::SeqCst) {
                0 => Ipv4Addr::LOCALHOST,
                _ => Ipv4Addr::new(127, 0, 0, 99),
            };
            Box::pin(async move { Ok(vec![SocketAddr::from((address, port))]) })
        },
        may: |address| address == Ipv4Addr::LOCALHOST,
        ..Fetcher::new(&allowed, 1 << 20)
    };
    assert_eq!(
        fetch(&fetcher, &format!("http://rebind.invalid:{port}/")).unwrap(),
        b"{\"a\": 1}"
    );
    assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn one_address_that_is_near_is_enough_to_refuse() {
    let allowed = prefixes(&["http://mixed.invalid/".to_owned()]);
    let fetcher = Fetcher {
        resolve: |_, port| {
            let addresses = [[1, 1, 1, 1], [169, 254, 169, 254]];
            Box::pin(async move {
                Ok(addresses
                    .map(|address| SocketAddr::from((address, port)))
                    .to_vec())
            })
        },
        ..Fetcher::new(&allowed, 1 << 20)
    };
    let refused = fetch(&fetcher, "http://mixed.invalid/");
    assert!(
        matches!(&refused, Err(ToolError::Refused(why)) if why.contains("169.254")),
        "{refused:?}"
    );
}

#[test]
fn redirects_lead_nowhere_else() {
    let (port, connections) = server(|stream| {
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nConnection: close\r\n\r\n")
    });
    let allowed = prefixes(&[format!("http://127.0.0.1:{port}/")]);
    let refused = fetch(
        &Fetcher::new(&allowed, 1 << 20),
        &format!("http://127.0.0.1:{port}/"),
    );
    assert!(
        matches!(&refused, Err(ToolError::Refused(why)) if why.contains("169.254")),
        "{refused:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn redirects_that_never_end_are_ended() {
    let (port, connections) = server(|stream| {
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nConnection: close\r\n\r\n")
    });
    let allowed = prefixes(&[format!("http://127.0.0.1:{port}/")]);
    let failed = fetch(
        &Fetcher::new(&allowed, 1 << 20),
        &format!("http://127.0.0.1:{port}/"),
    );
    assert!(
        matches!(&failed, Err(ToolError::Failed(why)) if why.contains("redirects")),
        "{failed:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), REDIRECTS + 1);
}

#[test]
fn a_hundred_megabytes_are_not_taken_in() {
    for answer in [
        (|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")?;
            (0..1600).try_for_each(|_| stream.write_all(&[b'x'; 64 << 10]))
        }) as Answer,
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            (0..1600).try_for_each(|_| stream.write_all(&[b'x'; 64 << 10]))
        },
    ] {
        let (port, _) = server(answer);
        let allowed = prefixes(&[format!("http://127.0.0.1:{port}/")]);
        let failed = fetch(
            &Fetcher::new(&allowed, 1 << 20),
            &format!("http://127.0.0.1:{port}/"),
        );
        assert!(
            matches!(&failed, Err(ToolError::Failed(why)) if why.contains("more than")),
            "{failed:?}"
        );
    }
}

#[test]
fn a_slow_body_ends_with_the_time_and_with_the_call() {
    let (port, _) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let allowed = prefixes(&[format!("http://127.0.0.1:{port}/")]);
    let fetcher = Fetcher {
        whole: Duration::from_millis(300),
        ..Fetcher::new(&allowed, 1 << 20)
    };
    let url = format!("http://127.0.0.1:{port}/");
    assert!(matches!(fetch(&fetcher, &url), Err(ToolError::TimedOut)));
    let cancel = Cancel::default();
    cancel.cancel();
    let cancelled = with_call(&cancel, |call| {
        Fetcher::new(&allowed, 1 << 20).fetch(call, &url)
    });
    assert!(matches!(cancelled, Err(ToolError::Cancelled)));
}

#[test]
fn errors_of_the_server_are_told_without_the_query() {
    let (port, _) = server(|stream| {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    let allowed = prefixes(&[format!("http://127.0.0.1:{port}/")]);
    let url = format!("http://127.0.0.1:{port}/a?token=hunter2");
    let error = fetch(&Fetcher::new(&allowed, 1 << 20), &url)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("404") && !error.contains("hunter2"),
        "{error}"
    );
}
