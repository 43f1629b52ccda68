//! What was asked for on the command line?

use clap::Parser;

use crate::parts::{LONG_PARTS, PARTS};

/// Measures this registry beside others, in turn, and says where it falls short
///
/// One line a figure: what is measured, ours, the other's, the median and the spread of their ratio round by round, what the
/// ratio must and what it should reach, and `ok`, `short`, `busy` (somebody else kept the processors busy) or `skipped`.
/// A figure without other is held against the bound itself.
///
/// Ends with 0 when every must is met, 1 when one is not, 2 when the machine was too busy to judge one, 3 when something
/// that is measured did not work, 64 when the command line is not understood.
#[derive(Parser, Debug)]
#[command(name = "tests/bench", max_term_width = 110)]
pub struct Options {
    /// Parts to measure; all but the long ones (overload, soak) when none is named
    #[arg(value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(PARTS.iter().chain(&LONG_PARTS).map(|part| part.name)))]
    pub names: Vec<String>,
    /// Fewer and shorter rounds, fewer releases: a look, not a verdict
    #[arg(long)]
    pub quick: bool,
    /// Print JSON with the numbers of every round
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print a table of Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Say which parts there are
    #[arg(long)]
    pub list: bool,
    /// Compare with what is installed; leave out the others
    #[arg(long)]
    pub no_install: bool,
    /// Rounds [default: 5; 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: Option<u64>,
    /// Releases of the large registry in growth, memory, start, git and mirror [default: 10000; 3000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    releases: Option<u64>,
}

impl Options {
    /// Rounds in which each is measured in turn.
    pub fn rounds(&self) -> usize {
        let default = if self.quick { 2 } else { 5 };
        self.rounds.map_or(default, |rounds| usize::try_from(rounds).unwrap_or(default))
    }

    /// Releases of the large registry.
    pub fn releases(&self) -> usize {
        let default = if self.quick { 3_000 } else { 10_000 };
        self.releases.map_or(default, |releases| usize::try_from(releases).unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from(["tests/bench"].iter().chain(words))
    }

    #[test]
    fn five_rounds_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().rounds(), 5);
        assert_eq!(parse(&["--quick"]).unwrap().rounds(), 2);
        assert_eq!(parse(&["--quick", "--rounds", "7"]).unwrap().rounds(), 7);
        assert_eq!(parse(&["--releases", "100000"]).unwrap().releases(), 100_000);
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for words in
            [&["no-such-part"][..], &["--rounds", "0"], &["--releases", "7"], &["--json", "--markdown"]]
        {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(parse(&["read", "publish"]).is_ok());
    }
}
