//! A bundle: the directory with `config.json` that describes a container (bundle.md).

pub mod config;
pub mod validate;
