//! Work that takes none of the doors' turns: on threads of its own, behind them in the queue for a processor.

use std::io;

use nix::libc;
use tokio::runtime::{Builder, Handle, Runtime};

/// How far behind: a third of what a door gets, where both want all.
const NICE: libc::c_int = 5;

/// Runs `task`, and whatever it spawns, on a thread called `name`, a step behind. A page of a million rows would otherwise
/// take as many turns as the requests at the doors. Ends with `task`, and with the future.
pub(super) fn aside(
    name: &'static str,
    task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> io::Result<impl Future<Output = anyhow::Result<()>> + Send> {
    let runtime = Held::new(name, step_back)?;
    let running = runtime.handle().spawn(task);
    Ok(async move {
        let outcome = running.await;
        drop(runtime);
        outcome?
    })
}

/// A thread called `name` that runs where nobody else wants to, and gives way to whoever comes: for a thousand readers
/// of one stream, who would otherwise each take a turn before the next request is read. Where others want all there is,
/// it gets a few thousandths of it, which is for a dozen readers; who falls behind is told.
pub(super) fn last(name: &'static str) -> io::Result<Held> {
    Held::new(name, go_last)
}

/// A runtime of one thread that may be let go of from within another, which a bare one may not.
pub(super) struct Held(Option<Runtime>, Handle);

impl Held {
    fn new(name: &'static str, begin: fn()) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name(name)
            .on_thread_start(begin)
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// Spawns tasks on it.
    pub(super) fn handle(&self) -> Handle {
        self.1.clone()
    }
}

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

/// Runs when nobody else does. A waking thread of any other kind has the processor at once, which niceness
/// alone does not see to: there the kernel lets a turn of milliseconds end first.
fn go_last() {
    const THIS_THREAD: libc::pid_t = 0;
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live as long as the call, which only reads them.
    #[expect(unsafe_code, reason = "a system call that the library does not offer")]
    unsafe {
        libc::sched_setscheduler(THIS_THREAD, libc::SCHED_IDLE, &raw const parameters);
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
    async fn what_goes_last_runs_when_nobody_else_does() {
        let last = last("sky-last").expect("a thread");
        let running = last.handle().spawn(async {
            // SAFETY: takes and gives numbers only.
            #[expect(unsafe_code, reason = "what the thread has set")]
            let policy = unsafe { libc::sched_getscheduler(0) };
            (std::thread::current().name().map(str::to_owned), policy)
        });
        assert_eq!(running.await.expect("it ends"), (Some("sky-last".to_owned()), libc::SCHED_IDLE));
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
