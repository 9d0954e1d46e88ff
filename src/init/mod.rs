//! (room)

pub mod copyup;
pub mod devices;
pub mod masks;
pub mod mounts;
pub mod procfs;
pub mod rootfs;
pub mod sources;
