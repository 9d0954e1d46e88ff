//! (room)

pub mod devices;
pub mod filesystem;
pub mod mounts;
