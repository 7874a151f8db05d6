use std::path::PathBuf;

use clap::Args;

use super::places;
use crate::config::{self, Examined, Settings};
use crate::event::Error;

/// Where the configuration comes from; the same for every command.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML). Without one, the defaults hold: `groundswell check --print-default` shows them.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Sets one configuration key, over file and environment; may be given several times.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
}

impl ConfigArgs {
    /// Reads and validates. All faults come back at once, as one error of several lines.
    pub fn load(&self) -> Result<Settings, Error> {
        let settings = config::load(self.config.as_deref(), &self.overrides, config::environment());
        settings.map(places::locate).map_err(Error::from)
    }

    /// As far as it can be read, for whoever looks for further faults.
    pub fn examine(&self) -> Result<Examined, Error> {
        let mut examined = config::examine(self.config.as_deref(), &self.overrides, config::environment())?;
        examined.settings = places::locate(examined.settings);
        Ok(examined)
    }
}
