//! How is a `git` process kept within bounds? Its own process group, killed whole when nobody waits for it any more.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A running `git` with its helpers. Dropping it kills all of them.
pub struct GitProcess {
    /// The process, for its pipes and its end.
    pub child: Child,
    group: Option<Pid>,
}

impl GitProcess {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    /// What the system says, above all that there is no `git`.
    pub fn start(command: Command) -> std::io::Result<Self> {
        let mut command = tokio::process::Command::from(command);
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }
}

impl Drop for GitProcess {
    fn drop(&mut self) {
        // While the leader has not been waited for its number cannot be another's. Its helpers (`git-remote-https`,
        // `git-pack-objects`) would otherwise go on until they next read or write.
        if let Some(group) = self.group
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
