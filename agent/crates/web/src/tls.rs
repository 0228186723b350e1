//! TLS 1.3 and nothing older: with a certificate of the operator's, or with one made here.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{CertificateParams, KeyPair};
use rustix::fs::{Mode, OFlags, openat};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// How much of a certificate's file is read for its fingerprint, in bytes.
const LONGEST: u64 = 1 << 20;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {why}", path = .path.display())]
    Odd {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is nowhere to keep a certificate that is made here.
    #[error("a self-signed certificate is kept in a directory: say which with --state")]
    Nowhere,
    /// Certificate and key cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(String),
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The operator's files, as PEM.
    Files {
        /// The certificate and those that it was signed with.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Made where there is none yet, in this directory, for these names of the host.
    SelfSigned {
        /// The directory.
        directory: PathBuf,
        /// Names and addresses that clients may know the host by.
        names: Vec<String>,
    },
}

impl Source {
    /// What the declaration wants; none for plain HTTP.
    pub fn of(web: &declaration::Web, state: Option<&Path>) -> Result<Option<Self>, TlsError> {
        let Some(tls) = &web.tls else {
            return Ok(None);
        };
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            let (certificate, key) = (certificate.clone(), key.clone());
            return Ok(Some(Self::Files { certificate, key }));
        }
        let directory = state.ok_or(TlsError::Nowhere)?.join("tls");
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let address = web.listen.ip();
        let address = (!address.is_unspecified()).then(|| address.to_string());
        let names = own.into_iter().chain(address).chain(web.hosts.clone());
        let names = names.collect::<std::collections::BTreeSet<_>>();
        Ok(Some(Self::SelfSigned {
            directory,
            names: names.into_iter().collect(),
        }))
    }

    /// The files of the certificate and of the key.
    pub fn files(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Files { certificate, key } => (certificate.clone(), key.clone()),
            Self::SelfSigned { directory, .. } => {
                (directory.join("certificate.pem"), directory.join("key.pem"))
            }
        }
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (certificate, key) = self.files();
        if let Self::SelfSigned { directory, names } = self
            && !certificate.exists()
        {
            make(directory, names)?;
        }
        let odd = |path: &Path, why: String| TlsError::Odd {
            path: path.to_owned(),
            why,
        };
        let text = read(&certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| odd(&certificate, error.to_string()))?;
        let secret = PrivateKeyDer::from_pem_slice(&read(&key)?)
            .map_err(|_| odd(&key, "it is no private key in PEM".to_owned()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, secret));
        let mut config = config.map_err(|error| TlsError::Unusable(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// SHA-256 of the first certificate of a file, as people compare it. The file may be in a directory of the web server's
/// user, who could have put anything there: only a file that lies there itself is read.
pub fn fingerprint(certificate: &Path) -> Result<String, TlsError> {
    let read = read_plain(certificate);
    let text = read.map_err(|source| TlsError::File {
        path: certificate.to_owned(),
        source,
    })?;
    let first = CertificateDer::from_pem_slice(&text).map_err(|error| TlsError::Odd {
        path: certificate.to_owned(),
        why: error.to_string(),
    })?;
    let digest = Sha256::digest(&first);
    let bytes = digest.iter().map(|byte| hex::encode_upper([*byte]));
    let bytes: Vec<_> = bytes.collect();
    Ok(bytes.join(":"))
}

/// Reads a regular file that is no link, nor in a directory that is one, without waiting for anything.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let safe = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = OFlags::PATH | OFlags::DIRECTORY;
    let directory = rustix::fs::open(directory, there | safe, Mode::empty())?;
    let reading = OFlags::RDONLY | OFlags::NONBLOCK | safe;
    let file = fs::File::from(openat(directory, name, reading, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// TLS as it is now; connections that are there keep what they began with.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// With what the source has.
    pub fn new(source: &Source) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(source.config()?))))
    }

    /// Takes what the source has now: certificates are renewed.
    pub fn reload(&self, source: &Source) -> Result<(), TlsError> {
        let config = source.config()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

/// Makes a certificate that nobody signed, for ten years: nobody would renew it, and people compare its fingerprint.
fn make(directory: &Path, names: &[String]) -> Result<(), TlsError> {
    let unusable = |error: rcgen::Error| TlsError::Unusable(error.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(unusable)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "operation-dbus");
    // From the beginning of the year: clocks of clients differ.
    let year = i32::from(Timestamp::now().to_zoned(TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 10, 1, 1);
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.self_signed(&key).map_err(unusable)?;
    let save = |name: &str, text: &str, mode: u32| -> Result<(), TlsError> {
        let path = directory.join(name);
        durable::replace(&path, text.as_bytes(), mode)
            .map_err(|source| TlsError::File { path, source })
    };
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory);
    made.map_err(|source| TlsError::File {
        path: directory.to_owned(),
        source,
    })?;
    // The key first: a certificate means that both are there.
    save("key.pem", &key.serialize_pem(), 0o600)?;
    save("certificate.pem", &certificate.pem(), 0o644)?;
    log::info!("made a certificate in {}", directory.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::SelfSigned {
            directory: dir.path().join("tls"),
            names: vec!["localhost".into(), "127.0.0.1".into()],
        };
        Tls::new(&source).unwrap();
        let (certificate, key) = source.files();
        let first = fingerprint(&certificate).unwrap();
        assert_eq!(first.len(), 32 * 3 - 1);
        let mode = fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Tls::new(&source).unwrap();
        assert_eq!(fingerprint(&certificate).unwrap(), first);
        // What is in its place is not followed, nor waited for.
        let beside = certificate.with_extension("beside");
        fs::rename(&certificate, &beside).unwrap();
        std::os::unix::fs::symlink(&beside, &certificate).unwrap();
        assert!(fingerprint(&certificate).is_err());
        fs::remove_file(&certificate).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &certificate,
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(fingerprint(&certificate).is_err());
        fs::rename(&beside, &certificate).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("tls"), &link).unwrap();
        assert!(fingerprint(&link.join("certificate.pem")).is_err());
        // Half of one is none.
        fs::write(&key, "garbage").unwrap();
        assert!(Tls::new(&source).is_err());
    }
}
