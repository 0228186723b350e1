//! A connection whose writes end with an error where the other end takes nothing for too long.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream with a limit to how long a write may wait. As long as something is taken now and then, it goes on.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    within: Duration,
    /// Ends when a write that waits has waited for too long.
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> WriteTimeout<S> {
    /// Called in the runtime that drives the stream.
    pub(crate) fn new(stream: S, within: Duration) -> Self {
        Self {
            stream,
            within,
            timer: Box::pin(tokio::time::sleep(within)),
            waiting: false,
        }
    }

    /// What came of an attempt to write, unless there was none for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, tried: Poll<Result<T>>) -> Poll<Result<T>> {
        if tried.is_ready() {
            self.waiting = false;
            return tried;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.within);
        }
        ready!(self.timer.as_mut().poll(cx));
        let text = "the other end takes nothing";
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, text)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_write_that_nobody_takes_ends() {
        let (stream, other) = tokio::io::duplex(16);
        let mut stream = WriteTimeout::new(stream, Duration::from_millis(50));
        let ended = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        drop(other);
    }

    #[tokio::test]
    async fn a_write_that_is_taken_piece_by_piece_goes_on() {
        let (stream, mut other) = tokio::io::duplex(1);
        let within = Duration::from_secs(2);
        let mut stream = WriteTimeout::new(stream, within);
        let write = tokio::spawn(async move { stream.write_all(&[0; 45]).await });
        // Longer in all than one write may wait.
        for _ in 0..45 {
            tokio::time::sleep(within / 40).await;
            other.read_u8().await.unwrap();
        }
        write.await.unwrap().unwrap();
    }
}
