//! Block buffers that are kept for the next block: in fresh memory the kernel clears every page.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Capacity of a kept buffer: a block of 256 KiB and the records that fill it to beyond that.
const KEPT_CAPACITY: usize = (256 + 64) << 10;
/// At most so many buffers are kept: 10 MiB.
const KEPT_MAX: usize = 32;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes that grow. The memory of a large one serves again when it is dropped.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty buffer with room for a whole block.
    pub fn for_block() -> Self {
        let kept = kept().pop();
        Self(kept.unwrap_or_else(|| Vec::with_capacity(KEPT_CAPACITY)))
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.capacity() != KEPT_CAPACITY {
            return;
        }
        let mut kept = kept();
        if kept.len() < KEPT_MAX {
            self.0.clear();
            kept.push(std::mem::take(&mut self.0));
        }
    }
}

fn kept() -> MutexGuard<'static, Vec<Vec<u8>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_only_as_large_as_it_was() {
        let mut buffer = Buffer::for_block();
        buffer.extend_from_slice(b"old");
        drop(bytes::Bytes::from_owner(buffer));
        for _ in 0..2 * KEPT_MAX {
            let mut buffer = Buffer::for_block();
            assert!(buffer.is_empty() && buffer.capacity() == KEPT_CAPACITY);
            buffer.resize(2 * KEPT_CAPACITY, 0);
        }
        assert!(kept().len() <= KEPT_MAX);
    }
}
