//! The module's allocator. A call is some thousand small allocations (the daemon makes one for each
//! record that it passes in), all freed when it ends: so small blocks of one size are kept in a list and
//! handed out again, which takes a few instructions. Large ones go to the standard allocator, which joins
//! what is free; so what lists keep for good is bounded by what a call needs at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};

/// Blocks have 2^4 to 2^12 bytes.
const SMALLEST: u32 = 4;
const LARGEST: u32 = 12;
/// Blocks are cut from pieces of this size.
const PIECE: usize = 1 << 16;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: Lists = Lists::new();

struct Lists(UnsafeCell<State>);

struct State {
    /// For each size the first free block, which begins with the place of the next one.
    free: [Option<NonNull<Block>>; (LARGEST - SMALLEST + 1) as usize],
    /// What is left of the piece that blocks are cut from.
    at: *mut u8,
    left: usize,
}

struct Block {
    next: Option<NonNull<Block>>,
}

// SAFETY: a module has one thread.
unsafe impl Sync for Lists {}

impl Lists {
    const fn new() -> Self {
        Self(UnsafeCell::new(State {
            free: [None; (LARGEST - SMALLEST + 1) as usize],
            at: null_mut(),
            left: 0,
        }))
    }
}

/// Which list a block is from: known by its layout alone, when it is freed too.
#[inline]
fn list(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST);
    (size <= 1 << LARGEST).then(|| ((size - 1).ilog2() + 1 - SMALLEST) as usize)
}

// SAFETY: a block is in a list or handed out, never both; its size is a power of two at which it is
// aligned, and at least what its layout asks for. One thread means that no call meets another one.
unsafe impl GlobalAlloc for Lists {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            return unsafe { System.alloc(layout) };
        };
        let state = unsafe { &mut *self.0.get() };
        match state.free[list] {
            Some(block) => {
                state.free[list] = unsafe { block.as_ref() }.next;
                block.as_ptr().cast()
            }
            None => unsafe { state.cut(1 << SMALLEST << list) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            return unsafe { System.dealloc(at, layout) };
        };
        let state = unsafe { &mut *self.0.get() };
        let block: *mut Block = at.cast();
        unsafe {
            block.write(Block {
                next: state.free[list],
            });
        };
        state.free[list] = NonNull::new(block);
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The caller promises that `size` makes a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(new)) {
            (None, None) => unsafe { System.realloc(at, layout, size) },
            (old, now) if old == now => at,
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    at.copy_to_nonoverlapping(moved, size.min(layout.size()));
                    self.dealloc(at, layout);
                }
                moved
            },
        }
    }
}

impl State {
    /// Cuts a new block. Of a piece that has too little left, the rest stays unused.
    #[cold]
    unsafe fn cut(&mut self, size: usize) -> *mut u8 {
        let mut gap = self.at.align_offset(size);
        if self.left < gap.saturating_add(size) {
            self.at = match Layout::from_size_align(PIECE, 1 << LARGEST) {
                Ok(piece) => unsafe { System.alloc(piece) },
                Err(_) => null_mut(),
            };
            if self.at.is_null() {
                self.left = 0;
                return null_mut();
            }
            self.left = PIECE;
            gap = 0;
        }
        // SAFETY: the block lies in the piece.
        unsafe {
            let block = self.at.add(gap);
            self.at = block.add(size);
            self.left -= gap + size;
            block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_bytes_and_never_overlap() {
        let lists = Lists::new();
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut random = 1_u64;
        for round in 0..200_000_u32 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let draw = (random >> 33) as usize;
            let size = 1 + draw % [40, 600, 5_000][draw % 3];
            let mark = round.to_le_bytes()[0];
            // SAFETY: each block is written and read within its layout, and freed once with it.
            unsafe {
                if held.len() < 300 || draw.is_multiple_of(2) {
                    let layout = Layout::from_size_align(size, 1 << (draw % 5)).expect("a layout");
                    let at = lists.alloc(layout);
                    assert_eq!(at.align_offset(layout.align()), 0);
                    at.write_bytes(mark, size);
                    held.push((at, layout, mark));
                } else {
                    let (at, layout, mark) = held.swap_remove(draw % held.len());
                    let kept = std::slice::from_raw_parts(at, layout.size());
                    assert!(kept.iter().all(|byte| *byte == mark));
                    if draw.is_multiple_of(7) {
                        let at = lists.realloc(at, layout, size);
                        let kept = std::slice::from_raw_parts(at, size.min(layout.size()));
                        assert!(kept.iter().all(|byte| *byte == mark));
                        at.write_bytes(mark, size);
                        let layout =
                            Layout::from_size_align(size, layout.align()).expect("a layout");
                        held.push((at, layout, mark));
                    } else {
                        lists.dealloc(at, layout);
                    }
                }
            }
        }
    }
}
