//! The memory allocator: small, for a program of two milliseconds.
//!
//! The C library's asks the kernel for almost every block, which is a hundred system calls for one container. This one
//! takes blocks from one piece of zeroed memory that costs nothing until it is touched, and keeps freed blocks in a list
//! for each size. Large blocks are the kernel's own.

use nix::libc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Alignment and smallest size of a block, in bytes.
const UNIT: usize = 16;
/// Up to this size, there is a list for every multiple of the unit; above, for every power of two.
const FINE: usize = 1 << 9;
/// Blocks of more bytes are mapped for themselves.
const LARGEST: usize = 1 << 15;
const FINE_LISTS: usize = FINE / UNIT;
const LISTS: usize = FINE_LISTS + (LARGEST / FINE).trailing_zeros() as usize;
/// The first piece of memory, longer than the largest block; later ones are mapped.
const FIRST: usize = 1 << 18;
/// Size of the later ones.
const PIECE: usize = 1 << 20;

/// An allocator for the whole program.
#[derive(Debug)]
pub struct Allocator {
    busy: AtomicBool,
    memory: UnsafeCell<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Freed blocks by size; each begins with the address of the next one.
    free: [*mut u8; LISTS],
    /// What has never been used of the current piece; null before the first one is.
    next: *mut u8,
    left: usize,
    first: [u8; FIRST],
}

// SAFETY: the memory is only used by who has set `busy`.
unsafe impl Sync for Allocator {}

/// The list for a size, and the size of its blocks.
fn class(size: usize) -> (usize, usize) {
    if size <= FINE {
        let units = size.div_ceil(UNIT).max(1);
        return (units - 1, units * UNIT);
    }
    let size = size.next_power_of_two();
    (FINE_LISTS - 1 + (size / FINE).trailing_zeros() as usize, size)
}

fn is_mapped(layout: Layout) -> bool {
    layout.size() > LARGEST || layout.align() > UNIT
}

/// Pages of its own for a block; null when there are none left.
fn map(size: usize) -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new pages at an address of the kernel's choice.
    let block = unsafe { libc::mmap(null_mut(), size, protection, flags, -1, 0) };
    if block == libc::MAP_FAILED { null_mut() } else { block.cast() }
}

impl Allocator {
    /// An allocator that has nothing yet.
    #[allow(clippy::new_without_default, reason = "must be const")]
    pub const fn new() -> Self {
        let memory = Memory { free: [null_mut(); LISTS], next: null_mut(), left: 0, first: [0; FIRST] };
        Self { busy: AtomicBool::new(false), memory: UnsafeCell::new(memory) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        // Held for some instructions, and there is one thread almost always: no need to sleep.
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: nobody else is here until `busy` is cleared.
        let result = work(unsafe { &mut *self.memory.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

impl Memory {
    fn take(&mut self, list: usize, size: usize) -> *mut u8 {
        let block = self.free[list];
        if !block.is_null() {
            // SAFETY: a freed block of ours, at whose beginning `give` has written.
            self.free[list] = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        if self.left < size && !self.more() {
            return null_mut();
        }
        let block = self.next;
        // SAFETY: `left` bytes follow, and size is not more.
        self.next = unsafe { block.add(size) };
        self.left -= size;
        block
    }

    fn give(&mut self, list: usize, block: *mut u8) {
        // SAFETY: the block is nobody's any more, aligned and large enough for an address.
        unsafe { block.cast::<*mut u8>().write(self.free[list]) };
        self.free[list] = block;
    }

    fn more(&mut self) -> bool {
        if self.next.is_null() {
            let gap = self.first.as_ptr().align_offset(UNIT);
            // SAFETY: the gap is smaller than the piece.
            self.next = unsafe { self.first.as_mut_ptr().add(gap) };
            self.left = FIRST - UNIT;
            return true;
        }
        let piece = map(PIECE);
        if !piece.is_null() {
            (self.next, self.left) = (piece, PIECE);
        }
        !piece.is_null()
    }
}

// SAFETY: blocks do not overlap, are aligned to 16 bytes or to pages, and as long as the layout says or longer.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > PAGE {
            return null_mut();
        }
        if is_mapped(layout) {
            return map(layout.size());
        }
        let (list, size) = class(layout.size());
        self.with(|memory| memory.take(list, size))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_mapped(layout) {
            // SAFETY: `alloc` has mapped it with this size.
            unsafe { libc::munmap(block.cast(), layout.size()) };
            return;
        }
        let (list, _) = class(layout.size());
        self.with(|memory| memory.give(list, block));
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has checked the size, as GlobalAlloc demands.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !is_mapped(layout) && !is_mapped(wanted) && class(layout.size()) == class(size) {
            return block;
        }
        // SAFETY: two blocks that do not overlap, of at least the bytes that are copied; the caller gives up the old one.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

/// No type of ours wants more than the smallest page's alignment.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_a_list_of_its_own_whose_blocks_are_large_enough() {
        let mut last = (0, UNIT);
        for size in 0..=LARGEST {
            let (list, block) = class(size);
            assert!(list < LISTS && block >= size && block % UNIT == 0, "{size}");
            assert!((list, block) == last || list == last.0 + 1 && block > last.1, "{size}");
            last = (list, block);
        }
        assert_eq!(last, (LISTS - 1, LARGEST));
    }

    #[test]
    fn blocks_keep_their_bytes_while_others_come_and_go() {
        let allocator = Box::leak(Box::new(Allocator::new()));
        let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut random = 1u32;
        for round in 0..20_000u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (value, size) = (round as u8, 1 + (random >> 8) as usize % [64, 1_000, 50_000][round as usize % 3]);
            // SAFETY: each block is used by its layout, and freed once.
            unsafe {
                if blocks.len() > 200 {
                    let (block, layout, value) = blocks.swap_remove((random >> 4) as usize % blocks.len());
                    let grown = allocator.realloc(block, layout, size);
                    let kept = std::slice::from_raw_parts(grown, size.min(layout.size()));
                    assert!(kept.iter().all(|byte| *byte == value));
                    allocator.dealloc(grown, Layout::from_size_align(size, 8).unwrap());
                }
                let layout = Layout::from_size_align(size, 8).unwrap();
                let block = allocator.alloc(layout);
                assert_eq!(block as usize % UNIT, 0);
                block.write_bytes(value, size);
                blocks.push((block, layout, value));
            }
        }
        for (block, layout, value) in blocks {
            // SAFETY: as above.
            assert!(unsafe { std::slice::from_raw_parts(block, layout.size()) }.iter().all(|byte| *byte == value));
        }
    }
}
