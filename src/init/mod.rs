//! (room)

mod cgroups;
mod copyup;
mod devices;
mod masks;
mod mounts;
pub mod procfs;
pub mod rootfs;
pub mod sources;
