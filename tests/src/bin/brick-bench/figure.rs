//! What is a figure, and does it hold?

use std::fmt;

use crate::statistics::{median, spread};

/// Processors that others may keep busy while a figure of wall time still counts.
pub const MAX_FOREIGN_CORES: f64 = 0.25;

/// One line of the table: something of ours beside the same of others, a few times in turn.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What is measured.
    pub name: String,
    /// In what, as it stands after a number: `/s`, `ms`, `µs CPU`, `MiB`.
    pub unit: &'static str,
    /// What ours stands beside; empty where the number itself is judged.
    pub other: String,
    /// What a busy machine does to it.
    pub kind: Kind,
    /// Below this the figure falls short; without one it is only told.
    pub must: Option<Bound>,
    /// What one would like to reach.
    pub aim: Option<Bound>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a busy machine does to a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Time on the clock: others on the machine spoil it.
    Wall,
    /// Processor time, bytes, counts: judged whatever else runs.
    Own,
}

/// What a ratio, or a number without other, is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

/// What came of measuring.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Numbers, one for each round; never empty.
    Measured(Vec<Round>),
    /// No numbers, because something is not there.
    Skipped(String),
}

/// One round's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Ours.
    pub ours: f64,
    /// The other's in the same round; nothing where the number itself is judged.
    pub other: Option<f64>,
    /// Processors that were busy with something else meanwhile.
    pub foreign_cores: f64,
}

/// Whether a figure holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The must is met.
    Ok,
    /// It is not.
    Short,
    /// It may or may not be: the machine had other work.
    Busy,
    /// It was not measured.
    Skipped,
    /// It was measured and nothing is demanded.
    Told,
}

impl Bound {
    /// Whether `value` keeps to it; what is no number does not.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

impl Verdict {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Short => "short",
            Self::Busy => "busy",
            Self::Skipped => "skipped",
            Self::Told => "",
        }
    }
}

impl Round {
    /// The number that is judged: the ratio, or ours where there is no other.
    pub fn judged(&self) -> f64 {
        self.other.map_or(self.ours, |other| self.ours / other)
    }
}

impl Figure {
    /// A figure of wall time.
    pub fn wall(name: impl Into<String>, unit: &'static str, other: &str) -> Self {
        Self::new(name.into(), unit, other, Kind::Wall)
    }

    /// A figure that other work on the machine hardly moves.
    pub fn own(name: impl Into<String>, unit: &'static str, other: &str) -> Self {
        Self::new(name.into(), unit, other, Kind::Own)
    }

    fn new(name: String, unit: &'static str, other: &str, kind: Kind) -> Self {
        let outcome = Outcome::Skipped("it was not measured".to_owned());
        Self { name, unit, other: other.to_owned(), kind, must: None, aim: None, outcome }
    }

    /// What it has to reach.
    #[must_use]
    pub fn must(mut self, bound: Bound) -> Self {
        self.must = Some(bound);
        self
    }

    /// What one would like it to reach.
    #[must_use]
    pub fn aim(mut self, bound: Bound) -> Self {
        self.aim = Some(bound);
        self
    }

    /// With what was measured.
    #[must_use]
    pub fn measured(mut self, rounds: Vec<Round>) -> Self {
        if !rounds.is_empty() {
            self.outcome = Outcome::Measured(rounds);
        }
        self
    }

    /// Without numbers, because of `why`.
    #[must_use]
    pub fn skipped(mut self, why: &str) -> Self {
        self.outcome = Outcome::Skipped(why.to_owned());
        self
    }

    /// The rounds; none where it was skipped.
    pub fn rounds(&self) -> &[Round] {
        match &self.outcome {
            Outcome::Measured(rounds) => rounds,
            Outcome::Skipped(_) => &[],
        }
    }

    /// The median of what is judged, round by round.
    pub fn judged(&self) -> Option<f64> {
        median(self.rounds().iter().map(Round::judged))
    }

    /// From the smallest to the largest of what is judged.
    pub fn spread(&self) -> Option<(f64, f64)> {
        spread(self.rounds().iter().map(Round::judged))
    }

    /// Whether it holds.
    pub fn verdict(&self) -> Verdict {
        let Some(judged) = self.judged() else { return Verdict::Skipped };
        let Some(must) = self.must else { return Verdict::Told };
        let foreign = median(self.rounds().iter().map(|round| round.foreign_cores)).unwrap_or_default();
        match (self.kind, must.holds(judged)) {
            (Kind::Wall, _) if foreign > MAX_FOREIGN_CORES => Verdict::Busy,
            (_, true) => Verdict::Ok,
            (_, false) => Verdict::Short,
        }
    }

    /// Whether it reaches what one would like; nothing where there is no aim or no number.
    pub fn meets_aim(&self) -> Option<bool> {
        Some(self.aim?.holds(self.judged()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(numbers: &[(f64, f64)], foreign_cores: f64) -> Vec<Round> {
        numbers.iter().map(|&(ours, other)| Round { ours, other: Some(other), foreign_cores }).collect()
    }

    fn rate() -> Figure {
        Figure::wall("rate", "/s", "peer").must(Bound::AtLeast(0.8)).aim(Bound::AtLeast(1.0))
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine was slow in one round, for both.
        let figure = rate().measured(rounds(&[(90.0, 100.0), (9.0, 10.0), (80.0, 100.0)], 0.0));
        assert_eq!(figure.judged(), Some(0.9));
        assert_eq!(figure.spread(), Some((0.8, 0.9)));
        assert_eq!((figure.verdict(), figure.meets_aim()), (Verdict::Ok, Some(false)));
    }

    #[test]
    fn a_must_that_is_not_met_falls_short() {
        let figure = rate().measured(rounds(&[(70.0, 100.0)], 0.0));
        assert_eq!(figure.verdict(), Verdict::Short);
        let less = Figure::own("cpu", "µs", "peer").must(Bound::AtMost(1.3));
        assert_eq!(less.clone().measured(rounds(&[(13.0, 10.0)], 0.0)).verdict(), Verdict::Ok);
        assert_eq!(less.measured(rounds(&[(14.0, 10.0)], 0.0)).verdict(), Verdict::Short);
    }

    #[test]
    fn other_work_spoils_wall_time_alone() {
        let busy = rounds(&[(70.0, 100.0)], 1.0);
        assert_eq!(rate().measured(busy.clone()).verdict(), Verdict::Busy);
        let own = Figure::own("cpu", "µs", "peer").must(Bound::AtMost(1.0));
        assert_eq!(own.measured(busy).verdict(), Verdict::Ok);
    }

    #[test]
    fn what_was_not_measured_is_neither_ok_nor_short() {
        assert_eq!(rate().skipped("no peer").verdict(), Verdict::Skipped);
        assert_eq!(rate().measured(Vec::new()).verdict(), Verdict::Skipped);
        assert_eq!(rate().meets_aim(), None);
    }

    #[test]
    fn a_number_without_other_is_judged_itself() {
        let memory = Figure::own("memory", "MiB", "").must(Bound::AtMost(64.0));
        let round = Round { ours: 65.0, other: None, foreign_cores: 0.0 };
        assert_eq!(memory.measured(vec![round]).verdict(), Verdict::Short);
    }

    #[test]
    fn what_is_no_number_never_holds() {
        let figure = rate().measured(rounds(&[(0.0, 0.0)], 0.0));
        assert_eq!(figure.verdict(), Verdict::Short);
    }
}
