//! `state`

use super::{Global, print_json};
use crate::container::Container;
use crate::error::Result;

/// `state`
#[derive(Debug, clap::Args)]
pub struct State {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl State {
    /// Prints the container's state.
    pub fn run(self, global: &Global) -> Result<()> {
        let container = Container::open(&global.store()?, &self.id)?;
        print_json(&container.state.shown(container.status()))
    }
}
