//! How is a registry's machine put into trouble on purpose, and out of it again? Small disks, disks that refuse or fail,
//! processes that may open no file, clocks that jump.
//!
//! Each helper that needs what is not on every machine (root, a C compiler) gives `None` and prints why.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::told;

/// A file system of its own, in memory, over a folder that it hides.
pub struct SmallDisk {
    on: PathBuf,
}

impl SmallDisk {
    /// Mounts one over a folder.
    ///
    /// - `size`: as `mount` writes it: `32m`.
    pub fn mount(on: &Path, size: &str) -> Option<Self> {
        let option = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(on).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            told("skipped: no small disk can be mounted here (it needs root)");
            return None;
        }
        Some(Self { on: on.to_owned() })
    }

    fn ballast(&self) -> PathBuf {
        self.on.join("ballast")
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When it is not the room that ends it.
    pub fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        loop {
            match file.write(&[0; 4_096]) {
                Ok(_) => {}
                Err(err) if err.kind() == std::io::ErrorKind::StorageFull => return,
                Err(err) => panic!("{}: {err}", self.on.display()),
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the disk was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.on).status();
    }
}

/// What fails below the watched folder.
#[derive(Clone, Copy)]
pub enum Failing {
    /// Whatever changes something, as on a read-only file system (`EROFS`).
    ReadOnly,
    /// Writing (`EIO`).
    Writing,
    /// Flushing (`EIO`).
    Flushing,
}

/// A library that comes between a program and its disk and clock.
pub struct Shim {
    room: tempfile::TempDir,
    switch: File,
    folder: PathBuf,
}

impl Shim {
    /// Builds it; it watches over `folder`, which must be absolute.
    ///
    /// # Panics
    /// When there is a C compiler and it does not compile it.
    pub fn build(folder: &Path) -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            told("skipped: a disk can be made to fail on Linux alone");
            return None;
        }
        let room = tempfile::Builder::new().prefix("brick-shim-").tempdir().expect("a folder");
        let source = room.path().join("shim.c");
        std::fs::write(&source, include_str!("trouble/shim.c")).expect("a file");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let library = room.path().join("shim.so");
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let Ok(output) = command.output() else {
            told("skipped: there is no C compiler to make a disk fail with");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let switch = File::options().create_new(true).write(true).open(room.path().join("switch"));
        let shim = Self { room, switch: switch.expect("a file"), folder: folder.to_owned() };
        shim.set(0, &[0; 16]);
        Some(shim)
    }

    fn set(&self, at: u64, bytes: &[u8]) {
        self.switch.write_all_at(bytes, at).expect("the switch is written");
    }

    /// What a program is started with to be under it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().expect("a readable path").to_owned();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.room.path().join("shim.so"))),
            ("TROUBLE_SWITCH".to_owned(), text(&self.room.path().join("switch"))),
            ("TROUBLE_FOLDER".to_owned(), text(&self.folder)),
        ]
    }

    /// Has the disk fail from now on.
    pub fn fail(&self, failing: Failing) {
        let (eio, erofs, writes, flushes) = (5_i32, 30_i32, 1_i32, 2_i32);
        let (error, what) = match failing {
            Failing::ReadOnly => (erofs, writes),
            Failing::Writing => (eio, writes),
            Failing::Flushing => (eio, flushes),
        };
        // What first: nothing fails before there is an error to fail with.
        self.set(4, &what.to_ne_bytes());
        self.set(0, &error.to_ne_bytes());
    }

    /// Ends it.
    pub fn heal(&self) {
        self.set(0, &0_i32.to_ne_bytes());
    }

    /// Sets the clock ahead, or behind where `seconds` is negative.
    pub fn shift_clock(&self, seconds: i64) {
        self.set(8, &seconds.to_ne_bytes());
    }
}

/// The smallest number that no open file of a process has: with that as its limit it can open none.
///
/// # Panics
/// When it does not run.
pub fn free_file(pid: u32) -> usize {
    let open: Vec<usize> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the files of a process")
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    (0..=open.len()).find(|number| !open.contains(number)).expect("one of one more numbers is free")
}

/// How many files a process may open.
///
/// # Panics
/// When it does not run.
pub fn limit_of_files(pid: u32) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("the limits of a process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    soft.expect("a number of files")
}

/// Lowers or raises the number of files that a process may open; what it has open stays so.
///
/// Returns whether that can be done here.
pub fn limit_files(pid: u32, files: usize) -> bool {
    let limit = format!("--nofile={files}:");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).output();
    let is_done = done.is_ok_and(|output| output.status.success());
    if !is_done {
        told("skipped: there is no prlimit here that may limit another process");
    }
    is_done
}
