//! (room)

pub mod devices;
pub mod filesystem;
pub mod hierarchies;
pub mod mounts;
pub mod options;
