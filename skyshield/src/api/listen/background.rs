//! Where a conversation goes on that has no end: behind all others, on threads that may wait.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Lets a handler say that what it answers has no end.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Background(Arc<Notify>);

impl Background {
    /// The conversation goes on in the background from here on.
    pub(in super::super) fn go(&self) {
        self.0.notify_one();
    }

    /// Has the `conversation` to its end: here, and once [`Self::go`] says so by `threads`, if there are any.
    pub(super) async fn have(
        &self,
        conversation: impl Future<Output = ()> + Send + 'static,
        threads: Option<&Handle>,
    ) {
        let mut conversation = Box::pin(conversation);
        tokio::select! {
            biased;
            () = &mut conversation => return,
            () = self.0.notified() => {}
        }
        match threads {
            // A runtime that ends takes the conversation with it.
            Some(threads) => _ = threads.spawn(conversation).await,
            None => conversation.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_no_end_goes_on_by_other_threads_and_is_waited_for() {
        let other =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("other").build();
        let other = other.unwrap();
        let (background, seen) = (Background::default(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let conversation = {
            let (background, seen) = (background.clone(), Arc::clone(&seen));
            async move {
                for _ in 0..2 {
                    let is_other = std::thread::current().name() == Some("other");
                    seen.lock().unwrap().push(is_other);
                    background.go();
                    tokio::task::yield_now().await;
                }
            }
        };
        background.have(conversation, Some(other.handle())).await;
        assert_eq!(*seen.lock().unwrap(), [false, true]);
        other.shutdown_background();
    }
}
