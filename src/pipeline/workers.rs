//! Threads for CPU work, as many as there are cores, for all streams together.
//!
//! Threads of their own, not those of the runtime's pool for blocking calls: that pool spreads the
//! work over as many threads as ever blocked at once, and each keeps memory of its own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for CPU work. Cheap to clone; they end when the last clone is dropped and all work is
/// done.
#[derive(Clone, Debug)]
pub struct Workers {
    jobs: mpsc::Sender<Job>,
    threads: usize,
}

impl Workers {
    /// Starts so many threads, at least one.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("worker-{n}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, threads })
    }

    /// How many jobs run at a time.
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a job after those handed in before it. Whoever hands in jobs bounds their number. The
    /// receiver fails if the job panics.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        // The threads live as long as this sender; without them the receiver fails.
        let _ = self.jobs.send(Box::new(move || {
            let _ = done.send(job());
        }));
        result
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // The panic hook has told of it, and the receiver learns by losing its sender.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_job_only() {
        let workers = Workers::start(1).unwrap();
        let bad = workers.run(|| panic!("this one is meant"));
        let good = workers.run(|| 2);
        assert!(bad.await.is_err());
        assert_eq!(good.await, Ok(2));
    }
}
