//! How are figures shown: to a person, to a program, in a page?

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figure::{Figure, Outcome, Verdict};
use crate::statistics::{median, spread};

/// Columns of the table, as headed.
pub const COLUMNS: [&str; 8] = ["figure", "ours", "other", "ratio", "spread", "must", "aim", "verdict"];
/// Their widths for a person; the last one may run on.
const WIDTHS: [usize; 8] = [58, 13, 32, 8, 17, 7, 7, 0];

/// What the program ends with: 1 where a must falls short, else 2 where one could not be judged.
pub fn exit_code(figures: &[Figure]) -> u8 {
    let any = |verdict| figures.iter().any(|figure| figure.verdict() == verdict);
    if any(Verdict::Short) {
        1
    } else if any(Verdict::Busy) {
        2
    } else {
        0
    }
}

/// The heading of the lines for a person.
pub fn heading() -> String {
    padded(&COLUMNS.map(str::to_owned))
}

/// A figure in one line for a person.
pub fn line(figure: &Figure) -> String {
    match &figure.outcome {
        Outcome::Skipped(why) => format!("{}  skipped: {why}", pad(&whole_name(figure), WIDTHS[0])),
        Outcome::Measured(_) => padded(&cells(figure)),
    }
}

/// Figures as a table of Markdown.
pub fn markdown(figures: &[Figure]) -> String {
    let mut out = format!("| {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    for figure in figures {
        let row = match &figure.outcome {
            Outcome::Skipped(why) => {
                let mut cells = [const { String::new() }; 8];
                cells[0] = whole_name(figure);
                cells[7] = format!("skipped: {why}");
                cells
            }
            Outcome::Measured(_) => cells(figure),
        };
        let _ = writeln!(out, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    out
}

/// Figures for a program: every round of each.
pub fn json(figures: &[Figure]) -> Value {
    let bound = |bound: Option<crate::figure::Bound>| bound.map(|bound| bound.to_string());
    let each = figures.iter().map(|figure| {
        let rounds: Vec<Value> = figure
            .rounds()
            .iter()
            .map(|round| {
                json!({ "ours": round.ours, "other": round.other, "foreign_cores": round.foreign_cores })
            })
            .collect();
        let skipped = match &figure.outcome {
            Outcome::Skipped(why) => Some(why),
            Outcome::Measured(_) => None,
        };
        json!({
            "name": figure.name,
            "unit": figure.unit,
            "other": figure.other,
            "judged": figure.judged(),
            "spread": figure.spread().map(|(low, high)| [low, high]),
            "must": bound(figure.must),
            "aim": bound(figure.aim),
            "meets_aim": figure.meets_aim(),
            "verdict": figure.verdict().word(),
            "skipped": skipped,
            "rounds": rounds,
        })
    });
    Value::Array(each.collect())
}

/// The name, with what it was to stand beside.
fn whole_name(figure: &Figure) -> String {
    if figure.other.is_empty() { figure.name.clone() } else { format!("{} ({})", figure.name, figure.other) }
}

fn cells(figure: &Figure) -> [String; 8] {
    let rounds = figure.rounds();
    let ours = median(rounds.iter().map(|round| round.ours)).map_or_else(String::new, number);
    let others = median(rounds.iter().filter_map(|round| round.other));
    let (other, ratio) = match others {
        None => (String::new(), String::new()),
        Some(other) => (
            format!("{} ({})", number(other), figure.other),
            figure.judged().map_or_else(String::new, number),
        ),
    };
    let between = spread(rounds.iter().map(crate::figure::Round::judged));
    let between =
        between.map_or_else(String::new, |(low, high)| format!("{} – {}", number(low), number(high)));
    let bound =
        |bound: Option<crate::figure::Bound>| bound.map_or_else(String::new, |bound| bound.to_string());
    let verdict = figure.verdict();
    let word = match figure.meets_aim() {
        Some(true) if verdict == Verdict::Ok => "ok, aim met".to_owned(),
        _ => verdict.word().to_owned(),
    };
    let ours = format!("{ours} {}", figure.unit);
    [figure.name.clone(), ours, other, ratio, between, bound(figure.must), bound(figure.aim), word]
}

/// Three digits that count.
fn number(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn padded(cells: &[String; 8]) -> String {
    let padded: Vec<String> = cells.iter().zip(WIDTHS).map(|(cell, width)| pad(cell, width)).collect();
    padded.join("  ").trim_end().to_owned()
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Bound, Round};

    fn figure(ours: f64, foreign_cores: f64) -> Figure {
        Figure::wall("index GET", "/s", "nginx")
            .must(Bound::AtLeast(0.8))
            .aim(Bound::AtLeast(1.0))
            .measured(vec![Round { ours, other: Some(100.0), foreign_cores }])
    }

    #[test]
    fn falling_short_counts_more_than_not_knowing() {
        assert_eq!(exit_code(&[figure(90.0, 0.0)]), 0);
        assert_eq!(exit_code(&[figure(90.0, 0.0), figure(90.0, 2.0)]), 2);
        assert_eq!(exit_code(&[figure(90.0, 2.0), figure(70.0, 0.0)]), 1);
        assert_eq!(exit_code(&[figure(0.0, 0.0).skipped("no nginx")]), 0);
        assert_eq!(exit_code(&[]), 0);
    }

    #[test]
    fn a_line_says_all_there_is_to_say() {
        let line = line(&figure(123.4, 0.0));
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        assert_eq!(
            words,
            ["index GET", "123 /s", "100 (nginx)", "1.23", "1.23 – 1.23", "≥ 0.8", "≥ 1", "ok, aim met"]
        );
    }

    #[test]
    fn a_skipped_line_says_why() {
        let skipped = figure(1.0, 0.0).skipped("there is no nginx");
        assert!(line(&skipped).ends_with("  skipped: there is no nginx"));
        assert!(markdown(&[skipped]).ends_with("| skipped: there is no nginx |\n"));
    }

    #[test]
    fn a_table_has_a_row_for_each_figure_and_as_many_cells_as_columns() {
        let table = markdown(&[figure(70.0, 0.0), figure(90.0, 3.0)]);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.matches('|').count() == COLUMNS.len() + 1), "{table}");
        assert!(rows[2].ends_with("| short |") && rows[3].ends_with("| busy |"), "{table}");
    }

    #[test]
    fn a_program_gets_every_round() {
        let value = json(&[figure(90.0, 0.5)]);
        assert_eq!(value[0]["rounds"][0]["ours"], 90.0);
        assert_eq!(value[0]["verdict"], "busy");
        assert_eq!(value[0]["must"], "≥ 0.8");
    }

    #[test]
    fn numbers_keep_three_digits_that_count() {
        let shown: Vec<String> = [72_608.4, 13.62, 1.2, 0.058].map(number).to_vec();
        assert_eq!(shown, ["72608", "13.6", "1.20", "0.058"]);
    }
}
