//! What every suite uses: a bundle that cleans up behind itself, commands with a time limit, a look at the host.
//!
//! The binary under test is the one cargo built, or the one that `BERTH_BIN` names. `BERTH_TEST_TIMEOUT` is the limit
//! of each wait in seconds (60), for slow machines. Tests that cannot run here print why and add it to the file that
//! `BERTH_SKIPS` names.

#![allow(dead_code, unused_imports, unused_macros, reason = "each suite uses a part of the harness")]

pub mod bundle;
pub mod config;
pub mod exchange;
pub mod fds;
pub mod host;
pub mod run;
pub mod silence;
pub mod terminal;

pub use bundle::Bundle;
pub use host::{eventually, is_v2, stays};
pub use run::{Output, Running};
pub use serde_json::{Value, json};

/// Ends a test that cannot run on this host, after saying so.
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        crate::common::host::skipped(std::any::type_name_of_val(&here), &format!($($reason)*));
        return;
    }};
}
pub(crate) use skip;
