//! What keeps a container from doing harm: capabilities, seccomp, labels, id maps.

pub mod caps;
pub mod labels;
pub mod seccomp;
