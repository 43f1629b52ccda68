//! The bricks that are shipped: made-up publishers, real specifications.

use std::path::{Path, PathBuf};

/// One shipped file: its path below the folder of examples, and its bytes.
type File = (&'static str, &'static str);

macro_rules! shipped {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("bricks/", $path)))),+]
    };
}

/// Bricks in an order in which requirements come first, then the service.
const FILES: &[File] = shipped![
    "midshire.example/address-1.0.0/brick.toml",
    "midshire.example/address-1.0.0/README.md",
    "midshire.example/address-1.0.0/address.schema.json",
    "midshire.example/address-1.1.0/brick.toml",
    "midshire.example/address-1.1.0/README.md",
    "midshire.example/address-1.1.0/address.schema.json",
    "acme.example/notify-1.0.0/brick.toml",
    "acme.example/notify-1.0.0/README.md",
    "acme.example/notify-1.0.0/api/notify.yaml",
    "acme.example/notify-1.0.0/conformance/send.feature",
    "acme.example/notify-2.0.0/brick.toml",
    "acme.example/notify-2.0.0/README.md",
    "acme.example/notify-2.0.0/api/notify.yaml",
    "acme.example/notify-2.0.0/conformance/send.feature",
    "acme.example/case-handling-1.4.0/brick.toml",
    "acme.example/case-handling-1.4.0/README.md",
    "acme.example/case-handling-1.4.0/api/case.yaml",
    "midshire.example/missed-bin-2.1.0/brick.toml",
    "midshire.example/missed-bin-2.1.0/README.md",
    "midshire.example/missed-bin-2.1.0/config.schema.json",
    "midshire.example/missed-bin-2.1.0/process/missed-bin.bpmn",
    "southshire.example/report-missed-bin/service.toml",
];

/// Writes the shipped files below `dir`.
///
/// Returns the folders of bricks in an order in which requirements come first, and those of services.
///
/// # Errors
/// What the file system says.
pub fn write(dir: &Path) -> std::io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut bricks, mut services) = (Vec::new(), Vec::new());
    for (path, content) in FILES {
        let path = dir.join(path);
        let folder = path.parent().expect("every shipped file lies in a folder").to_owned();
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&path, content)?;
        match path.file_name().and_then(|name| name.to_str()) {
            Some("brick.toml") => bricks.push(folder),
            Some("service.toml") => services.push(folder),
            _ => {}
        }
    }
    Ok((bricks, services))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_written() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/quickstart/bricks");
        let mut found = Vec::new();
        let mut folders = vec![shipped.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&shipped).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let mut listed: Vec<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        found.sort();
        listed.sort();
        assert_eq!(found, listed);
    }
}
