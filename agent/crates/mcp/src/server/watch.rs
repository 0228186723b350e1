//! Telling clients that a resource is another than it was.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use rmcp::RoleServer;
use rmcp::model::{ErrorData, ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};
use tokio::task::AbortHandle;

use super::{Server, protocol_error, speaker};
use crate::backend::Speaker;

/// How many resources one client may watch.
const MOST: usize = 100;

/// What a client with a session watches: it ends with the session.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<String, AbortHandle>>);

impl Drop for Watches {
    fn drop(&mut self) {
        let watches = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        watches.values().for_each(AbortHandle::abort);
    }
}

impl Watches {
    fn insert(&self, uri: &str, task: AbortHandle) {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = watches.insert(uri.to_owned(), task) {
            before.abort();
        }
    }

    fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() >= MOST
    }

    /// Ends one; one that was not there has ended.
    pub(super) fn remove(&self, uri: &str) {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = watches.remove(uri) {
            task.abort();
        }
    }
}

impl Server {
    /// Watches a resource for a client with a session.
    pub(super) async fn watch(
        &self,
        speaker: &Speaker,
        uri: String,
        peer: Peer<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.watches.is_full() {
            let text = format!("a client may watch {MOST} resources: unsubscribe from one");
            return Err(ErrorData::invalid_params(text, None));
        }
        let changes = self.backend().watch(speaker, &uri).await;
        let mut changes = changes.map_err(|fault| protocol_error(&fault))?;
        let watched = uri.clone();
        let task = tokio::spawn(async move {
            while changes.next().await.is_some() {
                let told = ResourceUpdatedNotificationParam::new(watched.clone());
                if peer.notify_resource_updated(told).await.is_err() {
                    break;
                }
            }
        });
        self.watches.insert(&uri, task.abort_handle());
        Ok(())
    }

    /// What a client without a session may listen to: resources. The lists do not change.
    pub(super) fn accepted(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        if !self.backend().can_watch() {
            return None;
        }
        let mut accepted = SubscriptionFilter::default();
        accepted.resource_subscriptions =
            requested.resource_subscriptions.clone().map(|mut uris| {
                uris.truncate(MOST);
                uris
            });
        Some(accepted)
    }

    /// Tells of changes until the client has enough.
    pub(super) async fn tell(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let speaker = speaker(context.request_context());
        let wanted = context.accepted().resource_subscriptions.clone();
        let mut changes: SelectAll<BoxStream<'static, String>> = SelectAll::new();
        for uri in wanted.unwrap_or_default() {
            match self.backend().watch(&speaker, &uri).await {
                Ok(stream) => changes.push(stream.map(move |()| uri.clone()).boxed()),
                Err(fault) => log::info!("{uri} is not watched: {fault}"),
            }
        }
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                Some(uri) = changes.next() => {
                    if context.sink().notify_resource_updated(uri).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
}
