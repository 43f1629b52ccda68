//! What does the disk allow? The least that a durable publish has to write, and nothing else, by as many threads.
//!
//! Each publish is a file (written, synced, renamed, its folder synced) and a record in a log that is synced once for
//! all that wait for it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::random::Random;

/// Bytes of a record: about those of an entry.
const RECORD_BYTES: usize = 1_024;

/// Asks the file system to keep what lies in the folders of `dir` apart from each other, where it can.
///
/// ext4 passes over the inodes of files that were removed within the last minute whenever it makes one near them: without this
/// a server pays for what another one removed.
pub fn keep_apart(dir: &Path) {
    let flagged = File::open(dir).map_err(|_| ()).and_then(|dir| {
        let flags = ioctl_getflags(&dir).map_err(drop)?;
        ioctl_setflags(&dir, flags | IFlags::TOPDIR).map_err(drop)
    });
    // Elsewhere there is no such need.
    let _ = flagged;
}

/// Publishes of `bytes` each into the new folder `dir`, by `threads` at a time. Returns how long they took.
///
/// # Errors
/// Whatever the disk says.
pub fn publish(dir: &Path, threads: usize, count: usize, bytes: usize) -> io::Result<Duration> {
    std::fs::create_dir_all(dir)?;
    let log = GroupLog::create(&dir.join("log"))?;
    let folder = File::open(dir)?;
    let archive = Random::of(1).bytes(bytes);
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> io::Result<()> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        let (part, whole) =
                            (dir.join(format!("{number}.part")), dir.join(number.to_string()));
                        let mut file = File::create_new(&part)?;
                        file.write_all(&archive)?;
                        file.sync_all()?;
                        std::fs::rename(&part, &whole)?;
                        folder.sync_all()?;
                        log.append(&archive[..RECORD_BYTES.min(bytes)])?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    Ok(began.elapsed())
}

/// A file whose appends are synced in groups: who comes while one sync runs shares the next.
struct GroupLog {
    file: Mutex<File>,
    state: Mutex<Group>,
    moved: Condvar,
}

#[derive(Default)]
struct Group {
    waiting: Vec<u8>,
    /// Records handed in, and records on the disk.
    taken: u64,
    synced: u64,
    is_syncing: bool,
}

impl GroupLog {
    fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        file.sync_all()?;
        Ok(Self { file: Mutex::new(file), state: Mutex::default(), moved: Condvar::new() })
    }

    /// Returns once the record is on the disk.
    fn append(&self, record: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.extend_from_slice(record);
        state.taken += 1;
        let mine = state.taken;
        while state.synced < mine {
            if state.is_syncing {
                state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_syncing = true;
            let (bytes, upto) = (std::mem::take(&mut state.waiting), state.taken);
            drop(state);
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let done = file.write_all(&bytes).and_then(|()| file.sync_data());
            drop(file);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_syncing = false;
            state.synced = upto;
            self.moved.notify_all();
            done?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_on_the_disk_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        for (name, threads) in [("one", 1), ("many", 8)] {
            let folder = dir.path().join(name);
            publish(&folder, threads, 20, 3_000).unwrap();
            let files = std::fs::read_dir(&folder).unwrap().count();
            assert_eq!(files, 21, "twenty archives and the log");
            assert_eq!(std::fs::metadata(folder.join("log")).unwrap().len(), 20 * RECORD_BYTES as u64);
            assert_eq!(std::fs::metadata(folder.join("7")).unwrap().len(), 3_000);
        }
    }
}
