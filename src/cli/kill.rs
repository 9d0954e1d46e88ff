//! `kill`

use super::Global;
use crate::container::{Container, kill};
use crate::error::Result;

/// `kill`
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Send the signal to every process of the container
    #[arg(short, long)]
    all: bool,
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
    /// Name (KILL, SIGKILL, RTMIN+3) or number of the signal
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM", allow_negative_numbers = true)]
    signal: String,
}

impl Kill {
    /// Sends the signal.
    pub fn run(self, global: &Global) -> Result<()> {
        let signal = kill::parse_signal(&self.signal)?;
        kill::kill(&Container::open(&global.store()?, &self.id)?, signal, self.all)
    }
}
