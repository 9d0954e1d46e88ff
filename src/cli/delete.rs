//! `delete`

use super::Global;
use crate::container::delete;
use crate::error::Result;

/// `delete`
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Kill the container first if it runs; a container that does not exist is no failure
    #[arg(short, long)]
    force: bool,
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Delete {
    /// Removes the container.
    pub fn run(self, global: &Global) -> Result<()> {
        delete::delete(&global.store()?, &self.id, self.force)
    }
}
