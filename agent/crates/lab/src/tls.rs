//! Certificates that nobody else made.

use std::path::Path;

use crate::{run, text};

/// Makes a key and a certificate that only itself vouches for, by `openssl`. It stands for one `name`, as a subject
/// alternative name of RFC 5280 section 4.2.1.6 is written in x509v3_config(5): `DNS:host.example.org`, `IP:127.0.0.1`.
pub fn self_signed(name: &str, certificate: &Path, key: &Path) {
    let name = format!("subjectAltName={name}");
    let mut make = vec!["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"];
    make.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    make.extend(["-addext", &name]);
    // Else it would be an authority's, which some clients take from no server.
    make.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
    make.extend(["-out", text(certificate), "-keyout", text(key)]);
    run("openssl", &make);
}
