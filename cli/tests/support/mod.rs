//! A temporary room to run `brick` in, with its own home and nothing of the machine's environment.
#![allow(dead_code, reason = "every test file uses its part")]

pub mod proxy;
pub mod registry;
pub mod sockets;

use std::path::{Path, PathBuf};

use brick_cli::Surroundings;

/// A working directory and a home, both removed at the end.
pub struct Room {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Room {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        let home = dir.path().join("home").to_str().unwrap().to_owned();
        Self { dir, env: vec![("BRICK_HOME".into(), home)] }
    }

    /// The same room with one more environment variable.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.work().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
    }

    /// Runs a command line in this process.
    pub fn run(&self, args: &[&str]) -> Ended {
        let (surroundings, captured) = Surroundings::captured(self.work(), self.env.clone());
        let args = std::iter::once("brick").chain(args.iter().copied()).map(Into::into);
        let code = brick_cli::run(args, surroundings);
        Ended { code, stdout: captured.stdout(), stderr: captured.stderr() }
    }

    /// The built program, for what only a process has: streams, signals.
    pub fn program(&self, args: &[&str]) -> std::process::Command {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_brick"));
        program.args(args).env_clear().envs(self.env.clone()).current_dir(self.work());
        program
    }
}

/// Runs a command line; its exit code must be `code`, and what it says must contain every one of `says`.
pub fn check(room: &Room, args: &[&str], code: u8, says: &[&str]) -> Ended {
    let ended = room.run(args);
    assert_eq!(ended.code, code, "{args:?}: {ended:#?}");
    let all = format!("{}{}", ended.stdout, ended.stderr);
    for text in says {
        assert!(all.contains(text), "{args:?} does not say {text:?}: {ended:#?}");
    }
    ended
}
