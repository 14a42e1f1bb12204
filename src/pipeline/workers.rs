//! Threads for CPU work, as many as there are cores, for all streams together.
//!
//! Each stream has a share: its jobs wait in a queue of their own, and the queues take turns, so
//! that a stream with much or slow work delays another one by the jobs that run, never by those
//! that wait. What may take long is handed in in pieces. And where all threads are taken, one more
//! serves the shares that have none: the kernel divides the cores then.
//!
//! Threads of their own, not those of the runtime's pool for blocking calls: that pool spreads the
//! work over as many threads as ever blocked at once, and each keeps memory of its own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A share of the threads for CPU work. Cheap to clone; the threads end when the last clone of all
/// shares is dropped and all work is done.
#[derive(Clone, Debug)]
pub struct Workers {
    pool: Arc<Pool>,
    share: u64,
}

#[derive(Debug)]
struct Pool {
    queue: Arc<JobQueue>,
    threads: usize,
    shares: AtomicU64,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.for_any.notify_all();
        self.queue.for_spare.notify_all();
    }
}

impl Workers {
    /// Starts so many threads, at least one.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let queue = Arc::new(JobQueue::default());
        let pool = Pool {
            queue: Arc::clone(&queue),
            threads,
            shares: AtomicU64::new(1),
        };
        queue.lock().idle = threads;
        let kinds = std::iter::repeat_n(TaskKind::Any, threads).chain([TaskKind::Spare]);
        for (n, kind) in kinds.enumerate() {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("worker-{n}"))
                .spawn(move || work(&queue, kind))?;
        }
        Ok(Self {
            pool: Arc::new(pool),
            share: 0,
        })
    }

    /// Another share of the same threads.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            share: self.pool.shares.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// How many jobs of one share run at a time, at most.
    pub fn threads(&self) -> usize {
        self.pool.threads
    }

    /// Runs a job after those of its share that were handed in before it. Whoever hands in jobs
    /// bounds their number. The receiver fails if the job panics.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            let _ = done.send(job());
        });
        let queue = &self.pool.queue;
        let mut waiting = queue.lock();
        waiting.push(self.share, job);
        queue.wake(&waiting);
        result
    }
}

/// What a thread works on.
#[derive(Clone, Copy, Debug)]
enum TaskKind {
    Any,
    /// Shares that have no thread, when all others are taken.
    Spare,
}

#[derive(Debug, Default)]
struct JobQueue {
    waiting: Mutex<QueuedJobs>,
    for_any: Condvar,
    for_spare: Condvar,
}

impl JobQueue {
    fn lock(&self) -> MutexGuard<'_, QueuedJobs> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a thread for a job that waits.
    fn wake(&self, waiting: &QueuedJobs) {
        if waiting.idle > 0 {
            self.for_any.notify_one();
        } else {
            self.for_spare.notify_one();
        }
    }

    /// Waits for the next job; nothing when there will be none.
    fn next(&self, kind: TaskKind) -> Option<(u64, Job)> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.pop(kind) {
                if !waiting.turns.is_empty() {
                    self.wake(&waiting);
                }
                return Some(job);
            }
            // The usual threads do what is left.
            if waiting.closed {
                return None;
            }
            let changed = match kind {
                TaskKind::Any => self.for_any.wait(waiting),
                TaskKind::Spare => self.for_spare.wait(waiting),
            };
            waiting = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Jobs that wait, by share.
#[derive(Default)]
struct QueuedJobs {
    jobs: HashMap<u64, VecDeque<Job>>,
    /// The shares with jobs, the next one first.
    turns: VecDeque<u64>,
    /// How many jobs of each share run.
    running: HashMap<u64, usize>,
    /// How many threads of the usual kind have no job.
    idle: usize,
    closed: bool,
}

impl QueuedJobs {
    fn push(&mut self, share: u64, job: Job) {
        let jobs = self.jobs.entry(share).or_default();
        if jobs.is_empty() {
            self.turns.push_back(share);
        }
        jobs.push_back(job);
    }

    fn pop(&mut self, kind: TaskKind) -> Option<(u64, Job)> {
        let turn = match kind {
            TaskKind::Any => 0,
            TaskKind::Spare if self.idle > 0 => return None,
            TaskKind::Spare => {
                let mut turns = self.turns.iter();
                turns.position(|share| !self.running.contains_key(share))?
            }
        };
        let share = self.turns.remove(turn)?;
        let jobs = self.jobs.get_mut(&share)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&share);
        } else {
            self.turns.push_back(share);
        }
        *self.running.entry(share).or_default() += 1;
        if matches!(kind, TaskKind::Any) {
            self.idle -= 1;
        }
        Some((share, job))
    }

    fn done(&mut self, share: u64, kind: TaskKind) {
        if let Entry::Occupied(mut running) = self.running.entry(share) {
            *running.get_mut() -= 1;
            if *running.get() == 0 {
                running.remove();
            }
        }
        if matches!(kind, TaskKind::Any) {
            self.idle += 1;
        }
    }
}

impl fmt::Debug for QueuedJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.turns).finish()
    }
}

fn work(queue: &JobQueue, kind: TaskKind) {
    while let Some((share, job)) = queue.next(kind) {
        // The panic hook has told of it, and the receiver learns by losing its sender.
        let _ = catch_unwind(AssertUnwindSafe(job));
        queue.lock().done(share, kind);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_job_only() {
        let workers = Workers::start(1).unwrap();
        let bad = workers.run(|| panic!("this one is meant"));
        let good = workers.run(|| 2);
        assert!(bad.await.is_err());
        assert_eq!(good.await, Ok(2));
    }

    #[test]
    fn shares_take_turns_however_many_jobs_one_has() {
        let mut waiting = QueuedJobs {
            idle: 10,
            ..QueuedJobs::default()
        };
        for (share, jobs) in [(0, 100), (1, 2), (2, 1)] {
            (0..jobs).for_each(|_| waiting.push(share, Box::new(|| ())));
        }
        let turns = std::iter::from_fn(|| Some(waiting.pop(TaskKind::Any)?.0));
        let turns: Vec<_> = turns.take(7).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 0, 0]);
    }

    #[test]
    fn a_share_without_a_thread_gets_one_though_another_has_taken_all() {
        let busy = Workers::start(2).unwrap();
        let calm = busy.another();
        let (begun, begins) = mpsc::channel();
        let (gates, held): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel::<()>()).unzip();
        for gate in held {
            let begun = begun.clone();
            drop(busy.run(move || begun.send(()).is_ok() && gate.recv().is_ok()));
        }
        begins.iter().take(2).for_each(drop);
        // It would never come to an end behind the others.
        for n in 0..10 {
            assert_eq!(calm.run(move || n).blocking_recv(), Ok(n));
        }
        // And no share has more than the threads.
        assert!(begins.try_recv().is_err());
        drop(gates);
        assert_eq!(begins.iter().take(2).count(), 2);
    }

    #[test]
    fn work_that_waits_is_done_when_all_shares_are_gone_and_then_the_threads_end() {
        let workers = Workers::start(2).unwrap();
        let (done, results) = mpsc::channel();
        for n in 0..100 {
            let done = done.clone();
            drop(workers.another().run(move || done.send(n)));
        }
        drop((workers, done));
        // It ends when no thread holds a job any more.
        assert_eq!(results.iter().count(), 100);
    }
}
