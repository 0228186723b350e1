//! What others could listen in to takes TLS, which takes a certificate. Tokens: each may do something, and no two
//! share a secret.

use std::collections::BTreeMap;

use crate::problem::DocumentPath;
use crate::web::Web;

use super::Check;

pub(super) fn check(web: &Web, check: &mut Check<'_>) {
    listening(web, check);
    let mut files = BTreeMap::new();
    for (name, token) in &web.tokens {
        let path = DocumentPath::of(["web", "tokens", name.as_str()]);
        if !check.intact(&path) {
            continue;
        }
        if token.scopes.is_empty() {
            let accepted = "one or more of `mcp:read`, `mcp:write` and `mcp:destroy`";
            let hint = "a token that may do nothing is better left out".to_owned();
            check.report(path.key("scopes"), "an empty list", accepted, hint);
        }
        if let Some(other) = files.insert(&token.file, name) {
            let found = format!("the file of `{other}`");
            let accepted = "a file of its own, so that the ledger can tell who it was";
            check.report(path.key("file"), found, accepted, None);
        }
    }
}

fn listening(web: &Web, check: &mut Check<'_>) {
    let tls = DocumentPath::of(["web", "tls"]);
    let listen = DocumentPath::of(["web", "listen"]);
    if check.intact(&listen)
        && check.intact(&tls)
        && web.tls.is_none()
        && !web.listen.ip().is_loopback()
    {
        let accepted = "a loopback address, or `tls` beside it";
        let hint = "`tls: { self_signed: true }` makes a certificate at the first start".to_owned();
        check.report(
            listen,
            format!("`{}` without TLS", web.listen),
            accepted,
            hint,
        );
    }
    let Some(section) = web.tls.as_ref().filter(|_| check.intact(&tls)) else {
        return;
    };
    let found = match (&section.certificate, &section.key, section.self_signed) {
        (Some(_), Some(_), false) | (None, None, true) => return,
        (None, None, false) => "neither",
        (Some(_), None, false) => "a certificate without its key",
        (None, Some(_), false) => "a key without its certificate",
        _ => "both",
    };
    check.report(
        tls,
        found,
        "`certificate` and `key`, or `self_signed: true`",
        None,
    );
}
