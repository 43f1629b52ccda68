//! Where does what lie in the git repository? (design §9) One function a kind of file, and the way back from names.

use brick_schemas::{BrickName, PublisherName};
use brick_tlog::snapshot::bucket_of;

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

/// The folder of a publisher's index files.
pub fn index(publisher: &PublisherName) -> String {
    format!("index/{publisher}")
}

/// A brick's index file: `index/<publisher>/<xx>/<brick>.jsonl`, `<xx>` being the first byte of the SHA-256 of the name in
/// hexadecimal. A commit writes each folder on the way anew, so none may grow with the publisher.
pub fn index_file(publisher: &PublisherName, brick: &BrickName) -> String {
    format!("{}/{:02x}/{brick}.jsonl", index(publisher), bucket_of(brick.as_str()) >> 8)
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

    #[test]
    fn index_files_are_spread_by_the_digest_of_their_names() {
        let publisher = PublisherName::parse("north.example").unwrap();
        // printf missed-bin | sha256sum | cut -c 1-2
        let brick = BrickName::parse("missed-bin").unwrap();
        assert_eq!(index_file(&publisher, &brick), "index/north.example/17/missed-bin.jsonl");
    }
}
