//! One guide: its blocks made into one shell script, what each block printed, and what the page says it prints.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use brick_tests::process::{Room, program};

use crate::page_text::{Block, blocks, read, shown, top};

/// Time that a whole page may take, however slow the machine.
const TIME_LIMIT: Duration = Duration::from_secs(900);
/// How often the script is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A page that runs.
pub struct Guide {
    path: PathBuf,
    steps: Vec<Step>,
}

/// Something that the page says, in its order.
enum Step {
    /// A block `sh`.
    Run(Block),
    /// A block `console`: what the block before printed.
    Shows(Block),
    /// `<!-- meanwhile: … -->`: something that somebody else does.
    Meanwhile(String),
}

impl Guide {
    /// Reads `docs/guide/<name>.md`.
    pub fn read(name: &str) -> Self {
        let path = top().join("docs/guide").join(format!("{name}.md"));
        let text = read(&path);
        let mut steps: Vec<(usize, Step)> = blocks(&text)
            .into_iter()
            .filter_map(|block| match block.language() {
                "sh" => Some((block.line, Step::Run(block))),
                "console" => Some((block.line, Step::Shows(block))),
                _ => None,
            })
            .collect();
        for (at, line) in crate::page_text::prose(&text) {
            let what = line.strip_prefix("<!-- meanwhile: ").and_then(|rest| rest.strip_suffix(" -->"));
            steps.extend(what.map(|what| (at, Step::Meanwhile(what.to_owned()))));
        }
        steps.sort_by_key(|(at, _)| *at);
        let steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
        assert!(!steps.is_empty(), "{name} has blocks that run");
        Self { path, steps }
    }

    /// Runs the page in one shell, in an empty home and folder.
    ///
    /// - `variables`: what the page takes as given.
    /// - `meanwhile`: does what others do.
    pub fn run(&self, variables: &[(String, String)], meanwhile: impl Fn(&Errand)) {
        let mut room = Room::new();
        for (name, value) in variables {
            room = room.with(name, value);
        }
        let told = room.home().with_file_name("told");
        std::fs::create_dir(&told).expect("a folder for what is printed");
        room.write("../script", self.script(&told.to_string_lossy()));
        let mut command = room.command("sh", &["../script"]);
        let programs = program("brick");
        let programs = programs.parent().expect("programs lie in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs.display()));
        let group = Group::start(command);
        let deadline = Instant::now() + TIME_LIMIT;
        for (at, step) in self.steps.iter().enumerate() {
            let (begun, done) = (told.join(format!("{at}.begun")), told.join(format!("{at}.done")));
            match step {
                Step::Run(block) => {
                    while !done.exists() {
                        assert!(
                            Instant::now() < deadline,
                            "{}: took too long\n{}",
                            self.at(block),
                            self.printed(&told, at)
                        );
                        assert!(
                            group.is_running() || done.exists(),
                            "{}: failed\n{}",
                            self.at(block),
                            self.printed(&told, at)
                        );
                        std::thread::sleep(POLL);
                    }
                }
                Step::Shows(block) => {
                    let printed = self.printed(&told, at.checked_sub(1).expect("a block comes before"));
                    if let Err(line) = compare(&block.body, &printed) {
                        panic!("{}: does not show `{line}`:\n{printed}", self.at(block));
                    }
                }
                Step::Meanwhile(what) => {
                    while !begun.exists() {
                        assert!(
                            Instant::now() < deadline && group.is_running(),
                            "{}: {what}",
                            shown(&self.path)
                        );
                        std::thread::sleep(POLL);
                    }
                    meanwhile(&Errand { what: what.clone(), home: room.home() });
                    std::fs::write(&done, "").expect("a file that can be written");
                }
            }
        }
    }

    /// What a block printed: results and talk, as they came.
    fn printed(&self, told: &std::path::Path, at: usize) -> String {
        std::fs::read(told.join(format!("{at}.out")))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn at(&self, block: &Block) -> String {
        format!("{}:{}", shown(&self.path), block.line)
    }

    /// The page as one script, in which folders and variables last from block to block.
    fn script(&self, told: &str) -> String {
        let mut script = "set -eu\n".to_owned();
        for (at, step) in self.steps.iter().enumerate() {
            let wrote = match step {
                Step::Run(block) => match block.value("ends") {
                    None => write!(
                        script,
                        "{{\n{}}} >'{told}/{at}.out' 2>&1\n: >'{told}/{at}.done'\n",
                        block.body
                    ),
                    Some(code) => write!(
                        script,
                        "set +e\n{{\n{}}} >'{told}/{at}.out' 2>&1\ncode=$?\nset -e\n\
                         [ $code = {code} ] || {{ echo \"(ended with $code)\" >>'{told}/{at}.out'; exit 1; }}\n\
                         : >'{told}/{at}.done'\n",
                        block.body
                    ),
                },
                Step::Meanwhile(_) => write!(
                    script,
                    ": >'{told}/{at}.begun'\nwhile [ ! -e '{told}/{at}.done' ]; do sleep 0.05; done\n"
                ),
                Step::Shows(_) => Ok(()),
            };
            wrote.expect("writing to a string");
        }
        script
    }
}

/// What somebody else is to do, and whose page it is.
pub struct Errand {
    /// The words of the page.
    pub what: String,
    /// The reader's home.
    pub home: PathBuf,
}

/// The shell and whatever it started; all of it ends with this.
struct Group {
    child: std::cell::RefCell<std::process::Child>,
}

impl Group {
    fn start(mut command: Command) -> Self {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Self { child: std::cell::RefCell::new(command.spawn().expect("there is a shell")) }
    }

    fn is_running(&self) -> bool {
        self.child.borrow_mut().try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.borrow().id());
        let _ =
            Command::new("kill").args(["-KILL", "--", &group]).stderr(std::process::Stdio::null()).status();
        let _ = self.child.borrow_mut().wait();
    }
}

/// Holds what was printed against what the page shows. `…` stands for anything in a line, and alone for any lines; spaces
/// at the ends of lines do not count.
///
/// # Errors
/// The first shown line that was not found.
fn compare<'s>(shown: &'s str, printed: &str) -> Result<(), &'s str> {
    let mut printed = printed.lines().map(str::trim_end);
    let mut may_skip = false;
    for line in shown.lines().map(str::trim_end) {
        if line == "…" {
            may_skip = true;
            continue;
        }
        let found = match may_skip {
            true => printed.any(|candidate| is_like(line, candidate)),
            false => printed.next().is_some_and(|candidate| is_like(line, candidate)),
        };
        if !found {
            return Err(line);
        }
        may_skip = false;
    }
    match printed.next() {
        Some(_) if !may_skip => Err("(nothing more)"),
        _ => Ok(()),
    }
}

/// Whether `line` is `pattern` with something for each `…`.
fn is_like(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_shown_may_leave_things_out() {
    for (shown, printed, is_same) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a\n…\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\nc\n", true),
        ("…\nc\n", "a\nb\n", false),
        ("a … c\n", "a b c\n", true),
        ("a … c\n", "a b d\n", false),
        ("a … c … e\n", "a b c d e\n", true),
        ("a…\n", "a\n", true),
        ("  a\n", "a\n", false),
    ] {
        assert_eq!(compare(shown, printed).is_ok(), is_same, "{shown:?} {printed:?}");
    }
}
