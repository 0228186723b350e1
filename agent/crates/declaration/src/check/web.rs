//! Tokens: each may do something, and no two share a secret.

use std::collections::BTreeMap;

use crate::problem::DocumentPath;
use crate::web::Web;

use super::Check;

pub(super) fn check(web: &Web, check: &mut Check<'_>) {
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
