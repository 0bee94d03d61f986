//! Work that takes none of the doors' turns: on a thread of its own, behind them in the queue for a processor.

use std::io;

use nix::libc;
use tokio::runtime::{Builder, Runtime};

/// How far behind: a third of what a door gets, where both want all.
const NICE: libc::c_int = 5;

/// Runs `task`, and whatever it spawns, on a thread called `name`. A thousand readers of one stream would
/// otherwise each take a turn before the next request is read. Ends with `task`, and with the future.
pub(super) fn aside(
    name: &'static str,
    task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> io::Result<impl Future<Output = anyhow::Result<()>> + Send> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name(name)
        .on_thread_start(step_back)
        .build()?;
    let running = runtime.spawn(task);
    let held = Held(Some(runtime));
    Ok(async move {
        let outcome = running.await;
        drop(held);
        outcome?
    })
}

/// A runtime that may be let go of from within another, which a bare one may not.
struct Held(Option<Runtime>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets every other thread go first. Where that is refused the thread is one like any other.
fn step_back() {
    const THIS_THREAD: libc::id_t = 0;
    // SAFETY: takes and gives numbers only.
    #[expect(unsafe_code, reason = "a system call that the library does not offer")]
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD, NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_runs_on_a_thread_of_its_own_and_what_it_fails_with_comes_back() {
        let task = async {
            let name = std::thread::current().name().map(str::to_owned);
            // SAFETY: takes and gives numbers only.
            #[expect(unsafe_code, reason = "what the thread has set")]
            let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            anyhow::bail!("{name:?} at {nice}")
        };
        let outcome = aside("sky-test", task).expect("a thread").await;
        assert_eq!(outcome.expect_err("it fails").to_string(), "Some(\"sky-test\") at 5");
    }

    #[tokio::test]
    async fn letting_go_of_the_future_ends_the_task() {
        let (still_there, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let task = async move {
            let _held = still_there;
            std::future::pending().await
        };
        drop(aside("sky-test", task).expect("a thread"));
        assert_eq!(gone.recv().await, None, "the task is gone, and with it what it held");
    }
}
