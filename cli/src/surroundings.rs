//! What does a run find around it? Environment, directory, clock and streams, handed in once so that nothing reads them
//! elsewhere.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// One output stream.
pub struct Stream {
    /// Where bytes go.
    pub writer: Box<dyn Write + Send>,
    /// Whether a person is looking at it.
    pub is_terminal: bool,
}

/// Everything that a run takes from outside its arguments.
pub struct Surroundings {
    /// Environment variables.
    pub env: BTreeMap<OsString, OsString>,
    /// The directory that relative paths begin at.
    pub cwd: PathBuf,
    /// The clock: Unix seconds.
    pub now: fn() -> u64,
    /// Results.
    pub stdout: Stream,
    /// Talk.
    pub stderr: Stream,
    /// Whether questions can be asked.
    pub can_ask: bool,
}

/// What a run with [`Surroundings::captured`] printed.
#[derive(Clone, Default)]
pub struct Captured {
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Surroundings {
    /// Those of the running process.
    pub fn of_this_process() -> Self {
        Self {
            env: std::env::vars_os().collect(),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            now: system_clock,
            stdout: Stream {
                is_terminal: std::io::stdout().is_terminal(),
                writer: Box::new(std::io::stdout()),
            },
            stderr: Stream {
                is_terminal: std::io::stderr().is_terminal(),
                writer: Box::new(std::io::stderr()),
            },
            can_ask: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        }
    }

    /// Given ones, with what is printed kept instead of shown.
    pub fn captured<K: Into<OsString>, V: Into<OsString>>(
        cwd: impl Into<PathBuf>,
        env: impl IntoIterator<Item = (K, V)>,
    ) -> (Self, Captured) {
        let captured = Captured::default();
        let stream = |kept: &Arc<Mutex<Vec<u8>>>| Stream {
            writer: Box::new(Kept(Arc::clone(kept))),
            is_terminal: false,
        };
        let surroundings = Self {
            env: env.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            cwd: cwd.into(),
            now: system_clock,
            stdout: stream(&captured.stdout),
            stderr: stream(&captured.stderr),
            can_ask: false,
        };
        (surroundings, captured)
    }

    /// Whether an environment variable is set to something.
    pub fn has(&self, name: &str) -> bool {
        self.env.get(OsStr::new(name)).is_some_and(|value| !value.is_empty())
    }
}

impl Captured {
    /// Results printed so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Talk printed so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }
}

fn text(kept: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())).into_owned()
}

/// Unix seconds of the machine's clock; 0 before 1970.
fn system_clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
