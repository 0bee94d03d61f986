//! Work that the doors wait for: on a thread of its own, before theirs in the queue for a processor.

use std::{io, thread};

use nix::libc;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// How far ahead: what wakes up so takes the turn of a door's thread instead of waiting for its end.
const NICE: libc::c_int = -10;

/// Runs `task`, and whatever it spawns, on a thread called `name`; what it comes to is received, and nothing
/// where it panicked. A ban is in force when this thread has had its turn: among thousands of requests a second it
/// waited for theirs. What it hands to threads that may block has the doors' rank.
pub(super) fn ahead<T: Send + 'static>(
    name: &'static str,
    task: impl Future<Output = T> + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let runtime = Builder::new_current_thread().enable_all().on_thread_start(|| rank(0)).build()?;
    let (send, outcome) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        rank(NICE);
        // Nobody waits for it where the daemon ends otherwise.
        let _unheard = send.send(runtime.block_on(task));
    })?;
    Ok(outcome)
}

/// Gives this thread a rank. Where that is refused it is one like any other.
fn rank(nice: libc::c_int) {
    const THIS_THREAD: libc::id_t = 0;
    // SAFETY: takes and gives numbers only.
    #[expect(unsafe_code, reason = "a system call that the library does not offer")]
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD, nice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked() -> (Option<String>, libc::c_int) {
        // SAFETY: takes and gives numbers only.
        #[expect(unsafe_code, reason = "what the thread has set")]
        let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        (thread::current().name().map(str::to_owned), nice)
    }

    #[tokio::test]
    async fn a_task_runs_ahead_and_what_may_block_does_not() {
        let outcome = ahead("sky-test", async {
            let blocking = tokio::task::spawn_blocking(ranked).await.map(|(_, nice)| nice);
            (ranked(), blocking.ok())
        });
        let ((name, nice), blocking) = outcome.expect("a thread").await.expect("no panic");
        let rank = if nix::unistd::geteuid().is_root() { NICE } else { 0 };
        assert_eq!((name.as_deref(), nice, blocking), (Some("sky-test"), rank, Some(0)));
    }

    #[tokio::test]
    async fn a_panic_is_told_by_silence() {
        let outcome = ahead("sky-test", async { assert_eq!(1, 2, "on purpose") });
        assert!(outcome.expect("a thread").await.is_err());
    }
}
