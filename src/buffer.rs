//! Large buffers that serve again: in fresh memory the kernel clears every page, and memory given
//! back to the allocator stays resident for a while.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers from this capacity on are kept…
const KEPT_MIN: usize = 256 << 10;
/// …up to this one: a part of an upload and what is read around it.
const KEPT_CAPACITY_MAX: usize = 12 << 20;
/// Bytes of all kept buffers together, at most.
const KEPT_BYTES: usize = 16 << 20;

static KEPT: Mutex<FreeBuffers> = Mutex::new(FreeBuffers {
    buffers: Vec::new(),
    bytes: 0,
});

/// Buffers that nobody uses just now.
struct FreeBuffers {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Bytes that grow. The memory of a large one serves again when it is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty buffer with room for so many bytes. Large ones get up to half as much more.
    pub fn with_room(bytes: usize) -> Self {
        let mut buffer = Self::take(bytes);
        buffer.clear();
        buffer
    }

    /// A buffer of so many bytes, to be written over: what it holds before that is not specified.
    pub fn of_len(bytes: usize) -> Self {
        let mut buffer = Self::take(bytes);
        buffer.resize(bytes, 0);
        buffer
    }

    /// Makes room for `more` bytes, and for three times as many as there are then, so that what is moved for it
    /// is a third of the bytes at most; but for no more than `at_most` in all where these are fewer.
    pub fn make_room(&mut self, more: usize, at_most: usize) {
        let needed = self.0.len() + more;
        if needed <= self.0.capacity() {
            return;
        }
        let mut larger = Self::with_room((4 * needed).min(at_most).max(needed));
        larger.0.extend_from_slice(&self.0);
        *self = larger;
    }

    /// A buffer that may hold something, with room for so many bytes.
    fn take(bytes: usize) -> Self {
        let Some(capacity) = class(bytes) else {
            return Self(Vec::with_capacity(bytes));
        };
        let mut kept = kept();
        // The one dropped last is the most likely to be in a cache.
        let index = kept
            .buffers
            .iter()
            .rposition(|buffer| buffer.capacity() == capacity);
        if let Some(index) = index {
            kept.bytes -= capacity;
            return Self(kept.buffers.swap_remove(index));
        }
        drop(kept);
        Self(Vec::with_capacity(capacity))
    }
}

/// The capacity that is kept for buffers of this size: powers of two and the middles between them.
fn class(bytes: usize) -> Option<usize> {
    if !(KEPT_MIN / 2..=KEPT_CAPACITY_MAX).contains(&bytes) {
        return None;
    }
    let above = bytes.next_power_of_two().max(KEPT_MIN);
    let middle = above / 4 * 3;
    Some(if bytes <= middle && middle >= KEPT_MIN {
        middle
    } else {
        above
    })
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
        let capacity = self.0.capacity();
        if class(capacity) != Some(capacity) {
            return;
        }
        let mut kept = kept();
        if kept.bytes + capacity <= KEPT_BYTES {
            kept.bytes += capacity;
            kept.buffers.push(std::mem::take(&mut self.0));
        }
    }
}

fn kept() -> MutexGuard<'static, FreeBuffers> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_what_was_asked_and_not_twice_as_much() {
        for bytes in (0..8 << 20).step_by(4093) {
            let buffer = Buffer::with_room(bytes);
            assert!(buffer.is_empty() && buffer.capacity() >= bytes);
            assert!(buffer.capacity() < 2 * bytes + 2 || bytes < KEPT_MIN);
            assert_eq!(class(buffer.capacity()).is_some(), class(bytes).is_some());
        }
    }

    #[test]
    fn a_buffer_serves_again_empty_and_what_is_kept_is_bounded() {
        let buffers: Vec<_> = (0..64)
            .map(|_| {
                let mut buffer = Buffer::with_room(1 << 20);
                buffer.extend_from_slice(b"old");
                bytes::Bytes::from_owner(buffer)
            })
            .collect();
        drop(buffers);
        assert!(kept().bytes <= KEPT_BYTES);
        assert!(Buffer::with_room(1 << 20).is_empty());
        assert_eq!(Buffer::of_len(1 << 20).len(), 1 << 20);
    }
}
