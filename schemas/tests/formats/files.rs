//! The committed files: fixtures to read, snapshots to compare with or, with `UPDATE_SCHEMAS=1`, to write again.

use std::path::{Path, PathBuf};

/// A file or folder of this package.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The fixtures of `folder` as (name, bytes), by name.
pub fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(path("fixtures").join(folder))
        .expect("the fixtures are in the package")
        .map(|entry| entry.expect("a folder that can be read").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .map(|path| {
            let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file that can be read"))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures in {folder}");
    found
}

/// Compares `text` with the committed file, or writes it.
pub fn same_as_committed(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|v| v == "1") {
        std::fs::write(file, text).expect("a file that can be written");
        return;
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        committed == text,
        "{} is out of date; run with UPDATE_SCHEMAS=1 and look at the difference.\nnow:\n{text}\ncommitted:\n{committed}",
        file.display()
    );
}

/// TOML as the JSON that a schema is held against: days become strings.
pub fn json(toml: &toml::Value) -> serde_json::Value {
    match toml {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(day) => day.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}
