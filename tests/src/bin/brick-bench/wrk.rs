//! How fast does a server answer one request over and over? `wrk` asks, on a processor of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::machine::{Watch, cpu_seconds};
use crate::tools::Tools;
use crate::trouble::Trouble;

/// Connections that ask at a time, each again as soon as it is answered.
pub const CONNECTIONS: usize = 64;
/// The processor that asks; servers run on processor 0.
pub const ASKING_CPU: &str = "1";
/// The processor that answers.
pub const ANSWERING_CPU: &str = "0";

/// Pause before connections are opened.
const AFTER_OTHERS: Duration = Duration::from_millis(100);

/// `wrk`, found.
pub struct Wrk {
    program: PathBuf,
}

/// What is asked of which process.
pub struct Question {
    /// The server's process.
    pub pid: u32,
    /// The address.
    pub url: String,
    /// Headers, as `Name: value`.
    pub headers: Vec<String>,
}

/// How it was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answered {
    /// Answers a second.
    pub per_second: f64,
    /// The time that 99 of 100 answers did not exceed.
    pub p99_ms: f64,
    /// The server's processor time for one answer.
    pub cpu_us: f64,
    /// Processors that were busy with something else.
    pub foreign_cores: f64,
}

impl Wrk {
    /// Finds it, or installs it.
    ///
    /// # Errors
    /// [`Trouble::Missing`].
    pub fn find(tools: &Tools) -> Result<Self, Trouble> {
        tools.debian("taskset", "util-linux")?;
        Ok(Self { program: tools.debian("wrk", "wrk")? })
    }

    /// Asks for `time`, with [`CONNECTIONS`] connections.
    ///
    /// # Errors
    /// [`Trouble::Failed`] when not every answer was a success.
    pub fn ask(&self, question: &Question, time: Duration) -> Result<Answered, Trouble> {
        // A connection that asked a moment ago counts as busy, and a client may have no more of those than are opened here.
        std::thread::sleep(AFTER_OTHERS);
        let watch = Watch::start();
        let before = cpu_seconds(question.pid);
        let mut command = Command::new("taskset");
        command.args(["-c", ASKING_CPU]).arg(&self.program).args(["-t1", "--latency", "--timeout", "10s"]);
        command.arg(format!("-c{CONNECTIONS}")).arg(format!("-d{}s", time.as_secs().max(1)));
        for header in &question.headers {
            command.args(["-H", header]);
        }
        let output = command.arg(&question.url).output();
        let output = output.map_err(|err| Trouble::failed("wrk cannot be run", err))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seen = parse(&text).map_err(|why| Trouble::failed(format!("wrk at {}", question.url), why))?;
        let cpu_us = (cpu_seconds(question.pid) - before) * 1e6 / seen.requests;
        let foreign_cores = watch.foreign_cores();
        Ok(Answered { per_second: seen.per_second, p99_ms: seen.p99_ms, cpu_us, foreign_cores })
    }
}

/// What `wrk` printed.
#[derive(Debug, PartialEq)]
struct Seen {
    requests: f64,
    per_second: f64,
    p99_ms: f64,
}

fn parse(text: &str) -> Result<Seen, String> {
    let after = |mark: &str| {
        let rest = text.split_once(mark)?.1.trim_start();
        rest.split(|c: char| c.is_whitespace()).next()
    };
    if text.contains("Non-2xx or 3xx responses") || text.contains("Socket errors") {
        return Err(format!("not every answer was a success:\n{text}"));
    }
    let strange = || format!("its words are strange:\n{text}");
    let requests_line = text.lines().find(|line| line.contains(" requests in ")).ok_or_else(strange)?;
    let requests: f64 =
        requests_line.split_whitespace().next().and_then(|word| word.parse().ok()).ok_or_else(strange)?;
    let per_second = after("Requests/sec:").and_then(|word| word.parse().ok()).ok_or_else(strange)?;
    let p99 = text.lines().find_map(|line| line.trim_start().strip_prefix("99%"));
    let p99_ms = p99.and_then(|word| milliseconds(word.trim())).ok_or_else(strange)?;
    if requests < 1.0 {
        Err("nothing was answered".to_owned())
    } else {
        Ok(Seen { requests, per_second, p99_ms })
    }
}

/// `412.00us`, `2.41ms`, `1.02s` in milliseconds.
fn milliseconds(word: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 60e3)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((word.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/entry\n  1 threads and 64 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.02ms  700.00us  20.00ms   87.99%\n  \
        Latency Distribution\n     50%  812.00us\n     99%    2.41ms\n  145216 requests in 2.00s, 330.00MB read\n\
        Requests/sec:  72608.13\nTransfer/sec:    165.00MB\n";

    #[test]
    fn the_numbers_are_found_in_what_it_prints() {
        let seen = Seen { requests: 145_216.0, per_second: 72_608.13, p99_ms: 2.41 };
        assert_eq!(parse(GOOD), Ok(seen));
    }

    #[test]
    fn answers_that_are_no_success_are_no_result() {
        assert!(parse(&format!("{GOOD}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(parse(&format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n")).is_err());
        assert!(parse("unable to connect").is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(milliseconds("500.00us"), Some(0.5));
        assert_eq!(milliseconds("1.5s"), Some(1500.0));
        assert_eq!(milliseconds("1.5"), None);
    }
}
