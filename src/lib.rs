//! berth, an OCI container runtime.
//!
//! The story of a container, and the rooms of this crate in the order in which it passes them:
//!
//! 1. [`cli`]: what was asked for.
//! 2. [`bundle`]: `config.json`, read once and checked.
//! 3. [`plan`]: every decision, made before anything exists; nothing on the host changes.
//! 4. [`container`]: the lifecycle seen from outside: `create`, `start`, `exec`, `kill`, `delete`.
//! 5. [`init`]: what the new process does, in order, until `execve`.
//!
//! [`cgroup`] limits and counts, [`security`] knows capabilities, seccomp, AppArmor and SELinux, [`sys`] holds all
//! unsafe code: typed wrappers of the system calls that `nix` lacks.

pub mod bundle;
pub mod caller;
pub mod cgroup;
pub mod cli;
pub mod container;
pub mod error;
pub mod hooks;
pub mod init;
pub mod log;
pub mod plan;
pub mod security;
pub mod sys;
