//! Upstream servers: a program that is not looked for, never root, and no secret where others may read it.

use std::net::IpAddr;

use crate::mcp::{Address, Mcp, Program, Reach, Variable};
use crate::problem::DocumentPath;

use super::Check;

/// Parts of names of variables whose values are secrets.
const SECRET: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY"];

pub(super) fn check(mcp: &Mcp, check: &mut Check<'_>) {
    for (name, upstream) in &mcp.upstreams {
        let path = DocumentPath::of(["mcp", "upstreams", name.as_str()]);
        if !check.intact(&path) {
            continue;
        }
        match &upstream.reach {
            Reach::Command(program) => of_program(program, &path, check),
            Reach::Http(address) => of_address(address, &path, check),
        }
    }
}

fn of_program(program: &Program, path: &DocumentPath, check: &mut Check<'_>) {
    let accepted = "a list that begins with the absolute path of a program";
    let place = path.key("command");
    match program.command.first() {
        None => check.report(place, "an empty list", accepted, None),
        Some(first) if !first.starts_with('/') => {
            let hint = format!("write its path, such as /usr/bin/{first}");
            check.report(place.index(0), format!("`{first}`"), accepted, hint);
        }
        Some(_) => {}
    }
    if program
        .user
        .as_ref()
        .is_some_and(|user| user.as_str() == "root")
    {
        let accepted = "an account other than root";
        check.report(path.key("user"), "`root`", accepted, None);
    }
    for (name, variable) in &program.environment {
        let upper = name.as_str().to_ascii_uppercase();
        let secret = SECRET.iter().any(|part| upper.contains(part));
        if secret && matches!(variable, Variable::Text(_)) {
            check.report(
                path.key("environment").key(name),
                "text that is not shown here (its name says that it is a secret)",
                "`{ file: /path }`",
                "keep the secret in a file that only the account of the server can read".to_owned(),
            );
        }
    }
}

fn of_address(address: &Address, path: &DocumentPath, check: &mut Check<'_>) {
    let open = address.url.starts_with("http://") && !is_loopback(&address.url);
    if open && address.token_file.is_some() {
        check.report(
            path.key("url"),
            "http with a token, which everybody on the way can read",
            "https, or http to a loopback address such as http://127.0.0.1:3000/mcp",
            None,
        );
    }
}

/// Whether the host of a URL is written as a loopback address.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.parse()
        .is_ok_and(|address: IpAddr| address.is_loopback())
}
