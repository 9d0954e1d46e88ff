//! The `berth` command.
#![no_main]

#[global_allocator]
static ALLOCATOR: berth::sys::alloc::Allocator = berth::sys::alloc::Allocator::new();

berth::entry!(berth::cli::run);
