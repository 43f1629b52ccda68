//! Where are the programs that this one measures with and compares with, and how are they had?

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::trouble::Trouble;

/// Where Debian puts servers, beside `PATH`.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Programs of this machine and of the build folder.
pub struct Tools {
    /// Below it lies all that is built or kept for comparing.
    pub folder: PathBuf,
    /// Whether what is missing may be installed or built.
    pub may_install: bool,
}

impl Tools {
    /// A program of a Debian package; installed where it is missing and this user may install it.
    ///
    /// # Errors
    /// [`Trouble::Missing`].
    pub fn debian(&self, program: &str, package: &str) -> Result<PathBuf, Trouble> {
        if let Some(path) = find(program) {
            return Ok(path);
        }
        let missing = |why: &str| Trouble::Missing(format!("there is no `{program}` here: {why}"));
        let is_root = rustix::process::getuid().is_root();
        if !self.may_install || !is_root || find("apt-get").is_none() {
            return Err(missing(&format!("install Debian's package {package} or the like")));
        }
        eprintln!("installing Debian's package {package}");
        for words in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", package]] {
            let done = Command::new("apt-get")
                .args(words)
                // Packages start no services of their own then.
                .env("RUNLEVEL", "1")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            if !done.is_ok_and(|status| status.success()) {
                return Err(missing(&format!("`apt-get {}` failed", words.join(" "))));
            }
        }
        find(program).ok_or_else(|| missing(&format!("the package {package} does not hold it")))
    }

    /// A program of a crate of that name, built once into the build folder.
    ///
    /// # Errors
    /// [`Trouble::Missing`].
    pub fn cargo(&self, name: &str, version: &str) -> Result<PathBuf, Trouble> {
        let root = self.folder.join(format!("{name}-{version}"));
        let program = root.join("bin").join(name);
        if program.is_file() {
            return Ok(program);
        }
        if !self.may_install {
            return Err(Trouble::Missing(format!("{name} {version} is not built; run without --no-install")));
        }
        eprintln!("building {name} {version}, once; this can take half an hour");
        let built = Command::new("nice")
            .args(["-n", "15", "cargo", "install", "--quiet", "--locked", name, "--version"])
            .arg(format!("={version}"))
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(self.folder.join("build"))
            .stdin(Stdio::null())
            .status();
        // Its objects are many times the program.
        let _ = std::fs::remove_dir_all(self.folder.join("build"));
        if built.is_ok_and(|status| status.success()) && program.is_file() {
            Ok(program)
        } else {
            Err(Trouble::Missing(format!("{name} {version} cannot be built here")))
        }
    }
}

/// A program on `PATH` or where servers lie.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_a_fancy_name_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn what_is_missing_is_named_where_nothing_may_be_installed() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { folder: folder.path().to_owned(), may_install: false };
        let debian = tools.debian("no-such-program", "no-such-package").unwrap_err().to_string();
        assert!(debian.contains("no-such-program") && debian.contains("no-such-package"), "{debian}");
        let cargo = tools.cargo("no-such-crate", "1.0.0").unwrap_err().to_string();
        assert!(cargo.contains("no-such-crate 1.0.0 is not built"), "{cargo}");
    }
}
