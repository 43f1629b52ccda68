//! Reading a policy file.

use std::collections::{HashMap, HashSet};
use std::str;

use crate::lines::decimal;
use crate::note::{Algorithm, Vkey, VkeyError};

use super::{Group, Member, Policy, PolicyLog, PolicyWitness};

/// The longest policy that is read.
pub const MAX_POLICY_BYTES: usize = 1024 * 1024;

/// The most logs, witnesses, and groups, each. The specification asks for at least 32.
pub const MAX_POLICY_ITEMS: usize = 1024;

/// The name that asks for no cosignature.
const NO_QUORUM: &str = "none";

/// Why bytes are not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePolicyError {
    /// Over [`MAX_POLICY_BYTES`].
    #[error("the policy is longer than {MAX_POLICY_BYTES} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the policy is not UTF-8")]
    NotUtf8,
    /// The last line does not end.
    #[error("the policy's last line does not end in a line end")]
    UnfinishedLine,
    /// No quorum line.
    #[error("the policy does not say its quorum")]
    NoQuorum,
    /// A line that does not make sense.
    #[error("line {line} of the policy does not make sense")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        problem: LineProblem,
    },
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// A control character other than tab.
    #[error("it has control characters")]
    ControlCharacter,
    /// Its first word is none of the four.
    #[error("it begins with `{word}`, not with log, witness, group or quorum")]
    Keyword {
        /// The first word.
        word: String,
    },
    /// Too few words, or too many.
    #[error("it must read `{form}`")]
    Form {
        /// How such a line is written.
        form: &'static str,
    },
    /// The key cannot be read.
    #[error("its key is refused")]
    Key(#[source] VkeyError),
    /// A key for cosignatures as a log's, or the other way round.
    #[error("its key is not of the type a {role} has")]
    KeyType {
        /// Log or witness.
        role: &'static str,
    },
    /// A public key that stands in an earlier line.
    #[error("its public key stands in the policy already")]
    RepeatedKey,
    /// A name defined in an earlier line, or the reserved one.
    #[error("the name `{name}` is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name not defined in an earlier line.
    #[error("the name `{name}` is not defined above")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// A name that is a member already, of this group or another.
    #[error("`{name}` is a member of a group already")]
    RepeatedMember {
        /// The name.
        name: String,
    },
    /// Neither all, any nor a number from 1 to the count of members.
    #[error("`{text}` is not all, any, or a number from 1 to {members}")]
    Threshold {
        /// What stands there.
        text: String,
        /// How many members the group has.
        members: usize,
    },
    /// A second quorum line.
    #[error("the quorum is defined already")]
    RepeatedQuorum,
    /// Over [`MAX_POLICY_ITEMS`].
    #[error("there are more than {MAX_POLICY_ITEMS} logs, witnesses or groups")]
    TooMany,
}

impl Policy {
    /// The policy that `bytes` spell.
    ///
    /// # Errors
    /// [`ParsePolicyError`], with the number of the line at fault.
    pub fn parse(bytes: &[u8]) -> Result<Policy, ParsePolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(ParsePolicyError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| ParsePolicyError::NotUtf8)?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(ParsePolicyError::UnfinishedLine);
        }
        let mut draft = Draft::default();
        for (at, line) in text.split_terminator('\n').enumerate() {
            draft.read_line(line).map_err(|problem| ParsePolicyError::Line { line: at + 1, problem })?;
        }
        let Draft { logs, witnesses, groups, quorum, .. } = draft;
        let quorum = quorum.ok_or(ParsePolicyError::NoQuorum)?;
        Ok(Policy { logs, witnesses, groups, quorum })
    }
}

/// What the lines so far add up to.
#[derive(Default)]
struct Draft {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// Set by the quorum line; within it `None` asks for no cosignature.
    quorum: Option<Option<Member>>,
    names: HashMap<String, Member>,
    members: HashSet<Member>,
    keys: HashSet<[u8; 32]>,
}

impl Draft {
    fn read_line(&mut self, line: &str) -> Result<(), LineProblem> {
        if line.chars().any(|character| character.is_ascii_control() && character != '\t') {
            return Err(LineProblem::ControlCharacter);
        }
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return Ok(()) };
        let words: Vec<&str> = words.collect();
        match keyword {
            _ if keyword.starts_with('#') => Ok(()),
            "log" => self.read_log(&words),
            "witness" => self.read_witness(&words),
            "group" => self.read_group(&words),
            "quorum" => self.read_quorum(&words),
            word => Err(LineProblem::Keyword { word: word.to_owned() }),
        }
    }

    fn read_log(&mut self, words: &[&str]) -> Result<(), LineProblem> {
        let (key, url) = match words {
            [key] => (key, None),
            [key, url] => (key, Some((*url).to_owned())),
            _ => return Err(LineProblem::Form { form: "log <vkey> [<url>]" }),
        };
        check_room(self.logs.len())?;
        let key = self.new_key(key, Algorithm::Ed25519, "log")?;
        self.logs.push(PolicyLog { key, url });
        Ok(())
    }

    fn read_witness(&mut self, words: &[&str]) -> Result<(), LineProblem> {
        let (name, key, url) = match words {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some((*url).to_owned())),
            _ => return Err(LineProblem::Form { form: "witness <name> <vkey> [<url>]" }),
        };
        check_room(self.witnesses.len())?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        let key = self.new_key(key, Algorithm::CosignatureV1, "witness")?;
        self.witnesses.push(PolicyWitness { name: (*name).to_owned(), key, url });
        Ok(())
    }

    fn read_group(&mut self, words: &[&str]) -> Result<(), LineProblem> {
        let [name, threshold, members @ ..] = words else { return Err(GROUP_FORM) };
        if members.is_empty() {
            return Err(GROUP_FORM);
        }
        check_room(self.groups.len())?;
        let threshold = parse_threshold(threshold, members.len())?;
        let members = members.iter().map(|member| self.new_member(member)).collect::<Result<_, _>>()?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name: (*name).to_owned(), threshold, members });
        Ok(())
    }

    fn read_quorum(&mut self, words: &[&str]) -> Result<(), LineProblem> {
        let [name] = words else { return Err(LineProblem::Form { form: "quorum <name>|none" }) };
        if self.quorum.is_some() {
            return Err(LineProblem::RepeatedQuorum);
        }
        self.quorum = Some(if *name == NO_QUORUM { None } else { Some(self.member(name)?) });
        Ok(())
    }

    fn new_key(&mut self, text: &str, algorithm: Algorithm, role: &'static str) -> Result<Vkey, LineProblem> {
        let key = Vkey::parse(text).map_err(LineProblem::Key)?;
        if key.algorithm() != algorithm {
            return Err(LineProblem::KeyType { role });
        }
        if !self.keys.insert(key.key().to_bytes()) {
            return Err(LineProblem::RepeatedKey);
        }
        Ok(key)
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), LineProblem> {
        if name == NO_QUORUM || self.names.contains_key(name) {
            return Err(LineProblem::NameTaken { name: name.to_owned() });
        }
        self.names.insert(name.to_owned(), member);
        Ok(())
    }

    fn member(&self, name: &str) -> Result<Member, LineProblem> {
        self.names.get(name).copied().ok_or_else(|| LineProblem::UnknownName { name: name.to_owned() })
    }

    fn new_member(&mut self, name: &str) -> Result<Member, LineProblem> {
        let member = self.member(name)?;
        if !self.members.insert(member) {
            return Err(LineProblem::RepeatedMember { name: name.to_owned() });
        }
        Ok(member)
    }
}

const GROUP_FORM: LineProblem = LineProblem::Form { form: "group <name> all|any|<k> <member>..." };

fn check_room(taken: usize) -> Result<(), LineProblem> {
    if taken < MAX_POLICY_ITEMS { Ok(()) } else { Err(LineProblem::TooMany) }
}

fn parse_threshold(text: &str, members: usize) -> Result<usize, LineProblem> {
    let threshold = match text {
        "all" => Some(members),
        "any" => Some(1),
        number => decimal(number, members as u64).filter(|k| *k != 0).map(|k| k as usize),
    };
    threshold.ok_or_else(|| LineProblem::Threshold { text: text.to_owned(), members })
}
