//! Tells callers who have nothing more to say from callers who are gone.

use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::io::Ready;
use tokio::io::unix::AsyncFd;

/// Waits until nobody is at the other end of a socket any more. One who only stopped sending still listens.
pub(super) async fn hung_up(socket: &impl AsFd) -> io::Result<()> {
    // A descriptor of its own: what is forgotten below must not be forgotten by those who write.
    let own = socket.as_fd().try_clone_to_owned()?;
    #[allow(unsafe_code)]
    // SAFETY: an OwnedFd always gives the same descriptor, which is open until it is dropped.
    let own = unsafe { AsyncFd::register_with_interest(own, Interest::WRITABLE) }?;
    loop {
        let mut seen = own.writable().await?;
        if seen.ready().is_write_closed() {
            return Ok(());
        }
        seen.clear_ready_matching(Ready::WRITABLE);
    }
}
