//! How is one call of a whole process made to fail? With a library of a few wrappers, which is built here and loaded before
//! the system's own: see `shim.c`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A call by which a process wrote below its data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place among all such calls, from 1.
    pub number: u64,
    /// `open` (which may make a file), `write`, `pwrite`, `fsync`, `fdatasync`, `ftruncate`, `rename`, `link`, `mkdir` or
    /// `unlink`.
    pub name: String,
    /// The path below the data folder; of a rename the new one.
    pub path: String,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It fails: the disk is broken.
    Broken,
    /// It fails: the disk is full.
    Full,
    /// A write does half of its work, and says so.
    Short,
    /// The process is killed before it.
    Kill,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Broken, Self::Full, Self::Short, Self::Kill];

    /// As the library is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broken => "EIO",
            Self::Full => "ENOSPC",
            Self::Short => "SHORT",
            Self::Kill => "KILL",
        }
    }

    /// Whether it can befall such a call.
    pub fn befalls(self, call: &Call) -> bool {
        match self {
            Self::Broken | Self::Kill => true,
            Self::Full => !matches!(call.name.as_str(), "unlink" | "ftruncate"),
            Self::Short => matches!(call.name.as_str(), "write" | "pwrite"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}, {} {}", self.number, self.name, self.path)
    }
}

/// The library, built, and the files by which it is told and tells.
pub struct Shim {
    folder: tempfile::TempDir,
}

impl Shim {
    /// Builds it.
    ///
    /// # Errors
    /// Why it cannot be had here.
    pub fn build() -> Result<Self, String> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return Err("calls are met by a library for Linux and its C library".to_owned());
        }
        let folder = tempfile::Builder::new().prefix("brick-shim-").tempdir().expect("a folder");
        let source = crate::repository().join("tests/src/faults/shim.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let output = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(folder.path().join("shim.so"))
            .arg(source)
            .arg("-ldl")
            .output()
            .map_err(|err| format!("{compiler}: {err}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "the shim does not build:\n{said}");
        Ok(Self { folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The environment of a registry with `data` whose calls are logged, and one of which meets trouble.
    pub fn environment(&self, data: &Path, hit: Option<(u64, Trouble)>) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut environment = vec![
            ("LD_PRELOAD", text(&self.file("shim.so"))),
            ("BRICK_SHIM_NAME", "brickyard".to_owned()),
            ("BRICK_SHIM_DIR", text(&data.canonicalize().expect("the data is there"))),
            ("BRICK_SHIM_ARMED", text(&self.file("armed"))),
            ("BRICK_SHIM_LOG", text(&self.file("log"))),
        ];
        if let Some((call, trouble)) = hit {
            environment.push(("BRICK_SHIM_CALL", call.to_string()));
            environment.push(("BRICK_SHIM_WITH", trouble.word().to_owned()));
        }
        environment
    }

    /// From now on calls count.
    ///
    /// # Panics
    /// When its folder cannot be written.
    pub fn arm(&self) {
        std::fs::write(self.file("armed"), "").expect("a file");
    }

    /// From now on no call counts; what was logged is forgotten.
    pub fn disarm(&self) {
        for name in ["armed", "log"] {
            // The first time there is none.
            let _ = std::fs::remove_file(self.file(name));
        }
    }

    /// The calls that counted.
    ///
    /// # Panics
    /// When the log is not what the library writes.
    pub fn calls(&self) -> Vec<Call> {
        let log = std::fs::read_to_string(self.file("log")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let mut next =
                || words.next().unwrap_or_else(|| panic!("a line of the shim's log: {line}")).to_owned();
            Call { number: next().parse().expect("a number"), name: next(), path: next() }
        };
        log.lines().map(call).collect()
    }
}
