//! Where does what lie in the git repository? (design §9) One function a kind of file, and the way back from names.

use brick_schemas::{BrickName, PublisherName};

/// The branch that holds the commons.
pub const BRANCH: &str = "refs/heads/main";
/// The folder of the commons log.
pub const COMMONS: &str = "commons";
/// The folder of the publishers' logs.
pub const LOGS: &str = "logs";
/// Entries in one folder: those of one C2SP entry bundle.
pub const ENTRIES_PER_FOLDER: u64 = 256;

/// The folder of a publisher's log.
pub fn log(publisher: &PublisherName) -> String {
    format!("{LOGS}/{publisher}")
}

/// The head of the log in `folder`.
pub fn checkpoint(folder: &str) -> String {
    format!("{folder}/checkpoint")
}

/// Leaf `index` of the log in `folder`: `…/entries/<N>/<ddd>.json`.
pub fn entry(folder: &str, index: u64) -> String {
    format!(
        "{folder}/entries/{}/{:03}.json",
        brick_tlog::tile::encode_path_number(index / ENTRIES_PER_FOLDER),
        index % ENTRIES_PER_FOLDER
    )
}

/// A brick's index file.
pub fn index_file(publisher: &PublisherName, brick: &BrickName) -> String {
    format!("index/{publisher}/{brick}.jsonl")
}

/// A service's current entry, decoded for people.
pub fn service(publisher: &PublisherName, service: &BrickName) -> String {
    format!("services/{publisher}/{service}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_in_the_folders_of_their_bundles() {
        for (index, path) in [
            (0, "commons/entries/000/000.json"),
            (255, "commons/entries/000/255.json"),
            (256, "commons/entries/001/000.json"),
            (256_000, "commons/entries/x001/000/000.json"),
        ] {
            assert_eq!(entry(COMMONS, index), path);
        }
    }
}
