//! Where the crate's writers write to. They want to own their sink, count offsets from where it
//! begins, and be free to move to another thread, so that an object's own writer cannot be it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Zeros stand for what of an object is already written.
const ZEROS: &[u8] = &[0; 64 << 10];

/// What a writer wrote last, without the object's first bytes, which were written before.
#[derive(Clone)]
pub(super) struct Sink(Arc<Mutex<SinkBuffer>>);

/// What all clones of a [`Sink`] share.
struct SinkBuffer {
    /// Bytes still to be passed over.
    written_before: u64,
    bytes: Vec<u8>,
}

impl Sink {
    /// A sink that passes over the first `written_before` bytes.
    pub(super) fn after(written_before: u64) -> Self {
        Self(Arc::new(Mutex::new(SinkBuffer {
            written_before,
            bytes: Vec::new(),
        })))
    }

    /// Has a writer that has written `count` bytes write on until it is past what was written
    /// before, so that the offsets it counts are the object's.
    pub(super) fn catch_up(
        mut count: u64,
        written_before: u64,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while count < written_before {
            let left = usize::try_from(written_before - count).unwrap_or(usize::MAX);
            let zeros = &ZEROS[..left.min(ZEROS.len())];
            write(zeros)?;
            count += zeros.len() as u64;
        }
        Ok(())
    }

    /// Moves everything to `out`.
    pub(super) fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut inner = self.lock();
        out.write_all(&inner.bytes)?;
        inner.bytes.clear();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, SinkBuffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.lock();
        let passed = usize::try_from(inner.written_before).unwrap_or(usize::MAX);
        let passed = passed.min(bytes.len());
        inner.written_before -= passed as u64;
        inner.bytes.extend_from_slice(&bytes[passed..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
