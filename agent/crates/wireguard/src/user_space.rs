//! Links of programs in user space (<https://www.wireguard.com/xplatform/#configuration-protocol>).

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::{Device, Error, Peer, PublicKey};

/// Where such a program listens, under the name of its link; nobody but root may make files there.
const SOCKETS: &str = "/var/run/wireguard";
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer, in bytes: some ten thousand peers.
const LONGEST: usize = 16 << 20;
/// The end of an answer.
const END: &[u8] = b"\n\n";

/// What the program behind a link says; `None` where there is none.
pub(crate) fn read(link: &str) -> Option<Result<Device, Error>> {
    let path = Path::new(SOCKETS).join(format!("{link}.sock"));
    let told = match ask(&path) {
        // What listened there is gone, or never was.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return None;
        }
        Err(source) => Err(Error::Socket {
            link: link.to_owned(),
            source,
        }),
        Ok(text) => parse(&text),
    };
    Some(told)
}

fn ask(path: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"get=1\n\n")?;
    let until = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut part = vec![0; 64 << 10];
    while !answer.ends_with(END) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) if answer.len() + length > LONGEST => {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Reads what a program answers to `get=1`: lines `KEY=VALUE`, of which each peer's begin with its public key.
pub fn parse(answer: &str) -> Result<Device, Error> {
    let mut device = Device::default();
    let mut handshake = (0, 0);
    for line in answer.lines().take_while(|line| !line.is_empty()) {
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| Error::Answer("a line without `=`".to_owned()))?;
        if key == "errno" {
            match parsed::<i64>(key, value)? {
                0 => break,
                refused => return Err(Error::Refused(refused)),
            }
        }
        if key == "public_key" {
            device.peers.push(Peer::new(public_key(value)?));
            handshake = (0, 0);
            continue;
        }
        let Some(peer) = device.peers.last_mut() else {
            if key == "listen_port" {
                device.port = Some(parsed(key, value)?).filter(|port| *port != 0);
            }
            continue;
        };
        match key {
            "endpoint" => peer.endpoint = Some(endpoint(value)?),
            "allowed_ip" => peer.allowed.push(parsed(key, value)?),
            "last_handshake_time_sec" => handshake.0 = parsed(key, value)?,
            "last_handshake_time_nsec" => handshake.1 = parsed(key, value)?,
            "rx_bytes" => peer.rx_bytes = parsed(key, value)?,
            "tx_bytes" => peer.tx_bytes = parsed(key, value)?,
            "persistent_keepalive_interval" => {
                peer.keepalive = Some(parsed(key, value)?).filter(|seconds| *seconds != 0);
            }
            // Secret keys, and what later versions say.
            _ => {}
        }
        peer.shook_hands(handshake.0, handshake.1);
    }
    Ok(device)
}

fn parsed<T: FromStr>(key: &str, value: &str) -> Result<T, Error> {
    value
        .parse()
        .map_err(|_| Error::Answer(format!("`{key}` is {value:?}")))
}

fn public_key(value: &str) -> Result<PublicKey, Error> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(value, &mut bytes)
        .map_err(|error| Error::Answer(format!("a public key: {error}")))?;
    Ok(PublicKey(bytes))
}

/// An address may say by name over which link it is reached, of which an address here knows the number alone.
fn endpoint(value: &str) -> Result<SocketAddr, Error> {
    match (value.find('%'), value.find(']')) {
        (Some(zone), Some(end)) if zone < end => {
            parsed("endpoint", &format!("{}{}", &value[..zone], &value[end..]))
        }
        _ => parsed("endpoint", value),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33";

    #[test]
    fn what_a_program_says_is_read() {
        let told = parse(&format!(
            "private_key={secret}\nlisten_port=12912\nfwmark=1\npublic_key={KEY}\npreshared_key={secret}\n\
             endpoint=[fe80::1%eth0]:51820\npersistent_keepalive_interval=25\nallowed_ip=192.168.4.4/32\n\
             allowed_ip=2001:db8::/64\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=9\n\
             tx_bytes=38333\nrx_bytes=2224\nprotocol_version=1\nsomething_new=1\n\
             public_key={other}\npersistent_keepalive_interval=0\nlast_handshake_time_sec=0\n\
             last_handshake_time_nsec=0\nerrno=0\n\n",
            secret = "0f".repeat(32),
            other = "a1".repeat(32),
        ))
        .unwrap();
        let expected = Device {
            port: Some(12912),
            peers: vec![
                Peer {
                    endpoint: Some("[fe80::1]:51820".parse().unwrap()),
                    allowed: vec![
                        "192.168.4.4/32".parse().unwrap(),
                        "2001:db8::/64".parse().unwrap(),
                    ],
                    last_handshake: Some(SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 9)),
                    rx_bytes: 2224,
                    tx_bytes: 38333,
                    keepalive: Some(25),
                    ..Peer::new(public_key(KEY).unwrap())
                },
                Peer::new(PublicKey([0xa1; 32])),
            ],
        };
        assert_eq!(told, expected);
        let name = told.peers[0].key.to_string();
        assert_eq!(name, "uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=");
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (answer, error) in [
            ("errno=-5\n\n", "error number -5"),
            ("nothing\n", "without `=`"),
            ("public_key=00\n", "a public key"),
            ("listen_port=65536\n", "`listen_port` is \"65536\""),
        ] {
            let told = parse(answer).unwrap_err().to_string();
            assert!(told.contains(error), "{answer:?}: {told}");
        }
        for line in ["endpoint=here", "allowed_ip=10.0.0.0/33", "rx_bytes=-1"] {
            let told = parse(&format!("public_key={KEY}\n{line}\n")).unwrap_err();
            let (key, _) = line.split_once('=').unwrap();
            assert!(told.to_string().contains(key), "{line}: {told}");
        }
        // Times that no clock has.
        let far = format!("public_key={KEY}\nlast_handshake_time_sec={}\n", u64::MAX);
        assert_eq!(parse(&far).unwrap().peers[0].last_handshake, None);
    }

    #[test]
    fn who_goes_away_or_says_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wg0.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let gone = std::thread::spawn(move || drop(listener.accept()));
        let error = ask(&path).unwrap_err();
        gone.join().unwrap();
        let known = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
        ];
        assert!(known.contains(&error.kind()), "{error:?}");
        // Nobody listens any more.
        let error = ask(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let silent = UnixListener::bind(&path).unwrap();
        let error = ask(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(silent);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(answer in "\\PC{0,200}", lines in prop::collection::vec(
            "(public_key|endpoint|allowed_ip|last_handshake_time_n?sec|errno|rx_bytes)=[0-9a-f.:%/\\[\\]-]{0,70}", 0..8)) {
            let _ = parse(&answer);
            let _ = parse(&lines.join("\n"));
        }
    }
}
