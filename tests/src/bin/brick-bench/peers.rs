//! What do others do? Their servers, each in a room of its own, on loopback, with what makes them comparable.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use brick_tests::process::{Room, Running};

use crate::content::Content;
use crate::load::Step;
use crate::trouble::Trouble;

pub mod docker_registry;
pub mod kellnr;
pub mod nginx;

/// Time that a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Time that it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A server of somebody else's that runs; dropping it ends it.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    process: Running,
    _room: Room,
}

impl Server {
    /// Starts a program that will listen at `address`.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when it does not.
    fn start(room: Room, address: SocketAddr, program: &Path, args: &[&str]) -> Result<Self, Trouble> {
        let mut process = Running::of(room.command(program, args));
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if process.wait(Duration::from_millis(50)).is_some() || Instant::now() > deadline {
                let said = format!("{}{}", process.stdout(), process.stderr());
                return Err(Trouble::failed(format!("{} did not start", program.display()), said));
            }
        }
        Ok(Self { address, process, _room: room })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked, not killed: nginx's worker outlives a master that is killed. What does not listen is killed then.
        let _ = Command::new("kill").arg(self.process.pid().to_string()).status();
        let _ = self.process.wait(STOP_LIMIT);
    }
}

/// A registry of somebody else's, and how one publishes there.
pub struct Registry {
    /// Its name in the table.
    pub name: &'static str,
    /// Its process.
    pub server: Server,
    /// The requests of one publish.
    pub job: fn(&Content) -> Vec<Step>,
}
