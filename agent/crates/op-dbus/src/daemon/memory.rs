//! Keeps the memory of a long life small.

use std::time::Duration;

use tokio::sync::Notify;

/// How long nobody has to call before memory is given back.
const CALM: Duration = Duration::from_secs(5);

/// What glibc has of its own (mallopt(3), malloc_trim(3)).
#[cfg(target_env = "gnu")]
mod glibc {
    pub(super) const M_ARENA_MAX: i32 = -8;

    #[allow(unsafe_code)]
    // SAFETY: both are as glibc declares them, take numbers only, and may be called at any time.
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: i32, value: i32) -> i32;
        pub(super) safe fn malloc_trim(pad: usize) -> i32;
    }
}

/// Lets all threads share two pools: else each keeps one, with what it once needed.
pub(super) fn share() {
    #[cfg(target_env = "gnu")]
    glibc::mallopt(glibc::M_ARENA_MAX, 2);
}

/// Gives back what calls needed, once it has been calm after them for a while.
pub(super) async fn give_back(called: &Notify, rest: impl Fn()) {
    loop {
        called.notified().await;
        while tokio::time::timeout(CALM, called.notified()).await.is_ok() {}
        rest();
        #[cfg(target_env = "gnu")]
        glibc::malloc_trim(0);
    }
}
