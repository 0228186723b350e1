//! Who asks, through which door: what every ledger entry carries.

use serde_json::{Value, json};

/// The caller of the command line. Under `sudo` and `doas` the person behind them is named too.
pub(crate) fn actor() -> Value {
    let uid = rustix::process::getuid().as_raw();
    let mut actor = json!({ "uid": uid, "name": name_of(uid), "door": "cli" });
    let behind = ["SUDO_USER", "DOAS_USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    if let Some(behind) = behind {
        actor["on_behalf_of"] = json!(behind);
    }
    actor
}

/// The login name of a uid in the local passwd file, or the number.
fn name_of(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// A new run's id: its time, and enough randomness that no two are alike.
pub(crate) fn run_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{:06x}", random & 0xff_ffff)
}
