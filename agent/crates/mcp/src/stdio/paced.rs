//! A transport that reads no further while too much of what it read has no answer yet.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::Notify;

/// How many requests of a client may be without an answer. An answer counts as given once it is written, so that a client
/// that reads nothing is not read from either.
const IN_HAND: usize = 64;
/// The same for calls that wait for the client itself: more has to be read for their sake.
const ASKED: usize = 960;

/// Requests and answers that are under way.
#[derive(Default)]
struct Count {
    /// The client's, each with how often its id is there.
    in_hand: HashMap<RequestId, usize>,
    all: usize,
    /// The server's own.
    asked: HashSet<RequestId>,
}

impl Count {
    fn take(&mut self, id: &RequestId) {
        *self.in_hand.entry(id.clone()).or_default() += 1;
        self.all += 1;
    }

    fn give(&mut self, id: &RequestId) {
        if let Some(times) = self.in_hand.get_mut(id) {
            *times -= 1;
            self.all -= 1;
            if *times == 0 {
                self.in_hand.remove(id);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.all < IN_HAND + self.asked.len().min(ASKED)
    }
}

#[derive(Default)]
struct Pace {
    count: Mutex<Count>,
    changed: Notify,
}

impl Pace {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until more may be read.
    async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count().has_room() {
                return;
            }
            changed.await;
        }
    }
}

/// The transport, with its pace.
pub(super) struct Paced<T> {
    inner: T,
    pace: Arc<Pace>,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            pace: Arc::default(),
        }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Paced<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            JsonRpcMessage::Request(request) => {
                self.pace.count().asked.insert(request.id.clone());
                self.pace.changed.notify_waiters();
                None
            }
            JsonRpcMessage::Notification(_) => None,
        };
        let pace = Arc::clone(&self.pace);
        let sending = self.inner.send(item);
        async move {
            let sent = sending.await;
            if let Some(id) = answered {
                pace.count().give(&id);
                pace.changed.notify_waiters();
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.pace.room().await;
        let message = self.inner.receive().await?;
        let mut count = self.pace.count();
        match &message {
            JsonRpcMessage::Request(request) => count.take(&request.id),
            JsonRpcMessage::Response(response) => {
                count.asked.remove(&response.id);
            }
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    count.asked.remove(id);
                }
            }
            // A call that is taken back has no answer.
            JsonRpcMessage::Notification(told) => {
                if let ClientNotification::CancelledNotification(cancelled) = &told.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    count.give(id);
                }
            }
        }
        drop(count);
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> RequestId {
        RequestId::Number(number)
    }

    #[test]
    fn what_is_answered_or_waits_for_the_client_makes_room() {
        let mut count = Count::default();
        for number in 0..64 {
            assert!(count.has_room());
            // Ids that come again count each time.
            count.take(&id(number % 2));
        }
        assert!(!count.has_room());
        count.give(&id(7));
        assert!(!count.has_room(), "nobody asked that");
        count.give(&id(1));
        assert!(count.has_room());
        count.take(&id(1));
        count.asked.insert(id(100));
        assert!(count.has_room());
        count.asked.remove(&id(100));
        assert!(!count.has_room());
        for _ in 0..32 {
            count.give(&id(0));
            count.give(&id(1));
        }
        assert_eq!(count.all, 0);
        assert!(count.in_hand.is_empty());
    }
}
