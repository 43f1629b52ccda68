//! What do processes cost, and what else does the machine do meanwhile? As Linux tells below `/proc`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// Processes looked at below one, at most.
const MAX_PROCESSES: usize = 4_096;
/// Time that a server gets to finish what it does after its answers.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Time that a server gets to recover from a large load.
const RECOVERY_LIMIT: Duration = Duration::from_secs(1_800);
/// How often it is looked at; it has settled when it used next to nothing meanwhile.
const SETTLE_STEP: Duration = Duration::from_millis(400);

/// The load average of the last minute; nothing where the system does not tell.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Processor seconds that a process and all below it have used, those that have ended included.
pub fn cpu_seconds(pid: u32) -> f64 {
    tree(pid).into_iter().filter_map(|pid| ticks(&read(pid, "stat")?)).sum::<f64>() / per_second()
}

/// Processor seconds of programs that this one has started and that have ended, all below them included.
pub fn reaped_cpu_seconds() -> f64 {
    let stat = read(std::process::id(), "stat").unwrap_or_default();
    fields(&stat, 13..15).unwrap_or_default() / per_second()
}

/// Bytes of memory that a process and all below it hold now.
pub fn resident_bytes(pid: u32) -> u64 {
    tree(pid).into_iter().filter_map(|pid| kib(&read(pid, "status")?, "VmRSS:")).sum::<u64>() * 1024
}

/// `read` calls of a process on files and pipes; not those on sockets.
pub fn file_reads(pid: u32) -> Option<u64> {
    let io = read(pid, "io")?;
    io.lines().find_map(|line| line.strip_prefix("syscr: "))?.parse().ok()
}

/// Waits until a server rests after its answers, so that what it does later is counted too.
pub fn settle(pid: u32) {
    rest(pid, 4, SETTLE_LIMIT);
}

/// Waits until a server has done all that a large load left it with, such as putting its repository in order.
pub fn recover(pid: u32) {
    // A repository is put in order when nobody has published for a while.
    rest(pid, 12, RECOVERY_LIMIT);
}

/// - `steps`: looks in a row that must find it idle.
fn rest(pid: u32, steps: u32, limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut before = cpu_seconds(pid);
    let mut quiet = 0;
    // A registry gathers for a while before it writes to git: one quiet moment is not yet rest.
    while quiet < steps && Instant::now() < deadline {
        std::thread::sleep(SETTLE_STEP);
        let now = cpu_seconds(pid);
        quiet = if now - before <= 0.02 { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Looks at the machine from now on, to tell what others did on it.
pub struct Watch {
    began: Instant,
    busy: f64,
    ours: f64,
}

impl Watch {
    /// Begins to look.
    pub fn start() -> Self {
        Self { began: Instant::now(), busy: busy_seconds(), ours: cpu_seconds(std::process::id()) }
    }

    /// Processors that were busy with something else than this program and all below it, on average since the start.
    pub fn foreign_cores(&self) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let ours = cpu_seconds(std::process::id()) - self.ours;
        ((busy_seconds() - self.busy - ours) / seconds).max(0.0)
    }
}

/// Processor seconds that the whole machine has used, or that others took from it.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_ticks(&text).unwrap_or_default() / per_second()
}

/// User, nice, system, interrupts and stolen; idle and waiting for disks left out.
fn busy_ticks(stat: &str) -> Option<f64> {
    let numbers: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    Some([0, 1, 2, 5, 6, 7].iter().filter_map(|&at| numbers.get(at)).sum())
}

/// Ticks of a process and of its children that it has waited for.
fn ticks(stat: &str) -> Option<f64> {
    fields(stat, 11..15)
}

/// The sum of fields after the name, which is in parentheses and may hold anything.
fn fields(stat: &str, which: Range<usize>) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(which)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum())
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Ticks a second.
fn per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// A process and all below it.
fn tree(root: u32) -> BTreeSet<u32> {
    let (mut found, mut waiting) = (BTreeSet::from([root]), vec![root]);
    while let Some(pid) = waiting.pop() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
                if found.len() < MAX_PROCESSES && found.insert(child) {
                    waiting.push(child);
                }
            }
        }
    }
    found
}

fn read(pid: u32, name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_that_of_a_process_and_of_children_it_waited_for() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 900 800 0 0 11 7 5 3 20 0 4 0";
        assert_eq!(ticks(stat), Some(26.0));
        assert_eq!(ticks("42 (short) S 1"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 500 8 16 32 0 0\ncpu0 1 1 1 1"), Some(63.0));
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t   2048 kB\n", "VmRSS:"), Some(2048));
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(tree(pid).contains(&pid));
        assert!(resident_bytes(pid) > 1024 * 1024);
        let before = cpu_seconds(pid);
        let began = Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(100) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_seconds(pid) >= before);
    }
}
