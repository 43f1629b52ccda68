//! What has a peer said of its logs, and what of that is still to be looked at? Its word says only where a look may pay:
//! whoever lies in it is followed late, or in vain.

use std::collections::BTreeMap;

use brick_client::{Heads, LogPath};
use brick_schemas::PublisherName;
use brick_schemas::api::LogHead;

/// The list of one peer, and how far it has come to something.
#[derive(Default)]
pub struct PeerHeads {
    etag: Option<String>,
    lines: BTreeMap<LogPath, Line>,
    /// The size of the commons log here when the lines were looked at.
    commons_size: u64,
}

struct Line {
    head: LogHead,
    /// Whether the log was taken, or refused for good, as the line says it is.
    is_settled: bool,
}

impl PeerHeads {
    /// What to ask with the next time.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Takes over a new list. What it says nothing new of stays as it is; paths that name no log are passed over.
    pub fn listed(&mut self, heads: Heads) {
        self.etag = heads.etag;
        let mut before = std::mem::take(&mut self.lines);
        for head in heads.list.heads {
            let Some(path) = LogPath::parse(&head.path) else { continue };
            let is_settled = before.remove(&path).is_some_and(|line| line.is_settled && line.head == head);
            self.lines.insert(path, Line { head, is_settled });
        }
    }

    /// Begins a look with a commons log of so many leaves here: other records than before judge everything anew.
    pub fn begin(&mut self, commons_size: u64) {
        if self.commons_size != commons_size {
            self.commons_size = commons_size;
            self.lines.values_mut().for_each(|line| line.is_settled = false);
        }
    }

    /// Whether a log is to be looked at.
    pub fn is_due(&self, path: &LogPath) -> bool {
        self.lines.get(path).is_some_and(|line| !line.is_settled)
    }

    /// The publishers whose logs are to be looked at, in order.
    pub fn due_publishers(&self) -> Vec<PublisherName> {
        let due = self.lines.iter().filter(|(_, line)| !line.is_settled);
        due.filter_map(|(path, _)| match path {
            LogPath::Publisher(publisher) => Some(publisher.clone()),
            LogPath::Commons => None,
        })
        .collect()
    }

    /// Notes what a look at a log came to.
    pub fn settle(&mut self, path: &LogPath, is_settled: bool) {
        if let Some(line) = self.lines.get_mut(path) {
            line.is_settled = is_settled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brick_schemas::api::HeadsList;

    fn heads(lines: &[(&str, u64, &str)], etag: &str) -> Heads {
        let head = |(path, size, note): &(&str, u64, &str)| LogHead {
            path: (*path).to_owned(),
            size: *size,
            note: (*note).to_owned(),
        };
        let list = HeadsList { heads: lines.iter().map(head).collect() };
        Heads { list, etag: Some(etag.to_owned()) }
    }

    fn due(heads: &PeerHeads) -> Vec<String> {
        heads.due_publishers().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_changed_or_failed_is_looked_at() {
        let mut known = PeerHeads::default();
        known.listed(heads(
            &[("commons", 3, "a"), ("logs/a.example", 1, "a"), ("logs/b.example", 2, "b")],
            "1",
        ));
        known.begin(3);
        assert!(known.is_due(&LogPath::Commons));
        assert_eq!(due(&known), ["a.example", "b.example"]);
        known.settle(&LogPath::Commons, true);
        for (name, is_settled) in [("logs/a.example", true), ("logs/b.example", false)] {
            known.settle(&LogPath::parse(name).unwrap(), is_settled);
        }
        known.begin(3);
        assert_eq!(due(&known), ["b.example"], "what failed");
        // The same size with another cosignature, and a log that is new.
        let again = [
            ("commons", 3, "a"),
            ("logs/a.example", 1, "c"),
            ("logs/b.example", 2, "b"),
            ("logs/c.example", 1, "d"),
        ];
        known.listed(heads(&again, "2"));
        assert_eq!(known.etag(), Some("2"));
        assert!(!known.is_due(&LogPath::Commons));
        assert_eq!(due(&known), ["a.example", "b.example", "c.example"]);
    }

    #[test]
    fn other_records_judge_every_log_anew() {
        let mut known = PeerHeads::default();
        known.listed(heads(&[("commons", 3, "a"), ("logs/a.example", 1, "a")], "1"));
        known.begin(3);
        known.settle(&LogPath::Commons, true);
        known.settle(&LogPath::parse("logs/a.example").unwrap(), true);
        known.begin(3);
        assert!(due(&known).is_empty());
        known.begin(4);
        assert_eq!(due(&known), ["a.example"]);
        assert!(known.is_due(&LogPath::Commons));
    }

    #[test]
    fn what_names_no_log_is_passed_over() {
        let mut known = PeerHeads::default();
        known.listed(heads(
            &[("logs/../x", 1, "a"), ("", 1, "b"), ("logs/a.example/", 1, "c"), ("/commons", 1, "d")],
            "1",
        ));
        known.begin(0);
        assert!(due(&known).is_empty() && !known.is_due(&LogPath::Commons));
    }
}
