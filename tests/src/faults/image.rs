//! How is the power of a disk cut? A file system of its own, in a file, mounted through a loop device, and shut down without
//! writing anything more: what a disk holds at the moment of a power cut.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of the file system; the file has holes.
const IMAGE_BYTES: u64 = 2 << 30;
/// Time for children of what was killed to let go of the mount.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(30);
/// `EXT4_IOC_SHUTDOWN`, `_IOR('X', 125, u32)`, with `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal is written.
const CUT: &str = "my $flag = pack('L', 2); open(my $mount, '<', $ARGV[0]) or die \"open: $!\"; \
                   ioctl($mount, 0x8004587D, $flag) or die \"ioctl: $!\"";

/// An ext4 file system in a file.
pub struct Image {
    folder: tempfile::TempDir,
    at: PathBuf,
    is_mounted: bool,
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|err| format!("{program}: {err}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}

impl Image {
    /// A new file system, mounted at the folder `at`, which must be empty.
    ///
    /// # Errors
    /// Why it cannot be had here: only root may mount.
    pub fn mount_new(at: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount file systems".to_owned());
        }
        let folder = tempfile::Builder::new().prefix("brick-image-").tempdir().expect("a folder");
        let file = folder.path().join("image");
        let made = std::fs::File::create(&file).and_then(|file| file.set_len(IMAGE_BYTES));
        made.map_err(|err| format!("an image: {err}"))?;
        run("mkfs.ext4", &["-q", "-F", &file.to_string_lossy()])?;
        run("perl", &["-e", "1"])?;
        let mut image = Self { folder, at: at.to_owned(), is_mounted: false };
        image.mount()?;
        Ok(image)
    }

    /// Mounts it again: the journal is replayed here.
    ///
    /// # Errors
    /// What `mount` says.
    pub fn mount(&mut self) -> Result<(), String> {
        let file = self.folder.path().join("image");
        run("mount", &["-o", "loop", &file.to_string_lossy(), &self.at.to_string_lossy()])?;
        self.is_mounted = true;
        Ok(())
    }

    /// Has everything that was written so far on the disk.
    ///
    /// # Errors
    /// What `sync` says.
    pub fn sync(&self) -> Result<(), String> {
        run("sync", &["-f", &self.at.to_string_lossy()])
    }

    /// Cuts the power: nothing more reaches the disk, and whoever writes is told so.
    ///
    /// # Errors
    /// What the system says.
    pub fn cut(&self) -> Result<(), String> {
        run("perl", &["-e", CUT, &self.at.to_string_lossy()])
    }

    /// Unmounts it, once nobody uses it any more.
    ///
    /// # Errors
    /// What `umount` says when somebody goes on using it.
    pub fn unmount(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + UNMOUNT_LIMIT;
        loop {
            match run("umount", &[&self.at.to_string_lossy()]) {
                Ok(()) => break,
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.is_mounted = false;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_mounted {
            // Whoever still uses it keeps it until it ends.
            let _ = run("umount", &["--lazy", &self.at.to_string_lossy()]);
        }
    }
}
