//! How are the built programs run as a stranger would run them: an empty home, no environment, their own processes?

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time that one run to its end may take, however slow the machine.
pub const RUN_TIME_LIMIT: Duration = Duration::from_secs(300);
/// Output kept of one stream; what comes after is read and dropped, so that no program waits for us.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);
/// What programs still get of this process's environment: where programs and libraries are found.
pub const KEPT_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "SystemRoot", "TMPDIR"];

/// The path of a program of this workspace, beside the test or program that asks: `brick` or `brickyard`.
///
/// # Panics
/// When it has not been built; `./tests/run` and `cargo test --workspace` build it.
pub fn program(name: &str) -> PathBuf {
    let asking = std::env::current_exe().expect("a program has a path");
    // target/<profile>/deps/<test>, and the programs one folder up.
    let beside = asking.parent().expect("a program lies in a build folder");
    let built = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let path = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "there is no `{}`: build the programs with `cargo build --workspace --bins --tests`",
        path.display()
    );
    path
}

/// An address on loopback that nothing listened on a moment ago.
///
/// # Panics
/// When the machine has no free port.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}

/// A temporary machine: `home/` and `work/`, removed at the end, and the environment that programs get.
pub struct Room {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its results.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

impl Ended {
    /// The results of a program that must have succeeded.
    ///
    /// # Panics
    /// With what it said, when it did not.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "it said:\n{}{}", self.stderr, self.stdout);
        self.stdout
    }
}

impl Room {
    /// A room with an empty home and an empty working folder.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[allow(clippy::new_without_default, reason = "making folders is not a default")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("brick-").tempdir().expect("a temporary folder");
        for name in ["home", "work"] {
            std::fs::create_dir(dir.path().join(name)).expect("a folder in it");
        }
        let home = dir.path().join("home");
        // No BRICK_HOME: a stranger's home is found from HOME.
        let env = vec![
            ("HOME".to_owned(), home.to_string_lossy().into_owned()),
            ("USERPROFILE".to_owned(), home.to_string_lossy().into_owned()),
            ("LC_ALL".to_owned(), "C".to_owned()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ];
        Self { dir, env }
    }

    /// The same room with one more environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Where the programs find their home.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Where the programs start.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Writes a file below the working folder, with the folders on its way.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.work().join(path);
        let parent = path.parent().expect("a file lies in a folder");
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        self
    }

    /// A command line of `program`, with the room's environment and nothing else of this process's but where programs
    /// are found.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for name in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .args(args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// Runs a program of this workspace to its end.
    ///
    /// # Panics
    /// When it cannot be started, or takes more than [`RUN_TIME_LIMIT`].
    pub fn run(&self, name: &str, args: &[&str]) -> Ended {
        self.run_within(name, args, RUN_TIME_LIMIT)
    }

    /// The same for a program that may take so long.
    ///
    /// # Panics
    /// When it cannot be started, or takes more than `limit`.
    pub fn run_within(&self, name: &str, args: &[&str], limit: Duration) -> Ended {
        let mut running = self.start(name, args);
        let status = running.wait(limit).unwrap_or_else(|| {
            panic!("{name} {args:?} did not end:\n{}{}", running.stdout(), running.stderr())
        });
        running.ended(status)
    }

    /// Starts a program of this workspace and leaves it running; dropping the answer kills it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, name: &str, args: &[&str]) -> Running {
        Running::of(self.command(program(name), args))
    }
}

/// A program that runs, and all it has printed.
pub struct Running {
    child: Child,
    stdout: Arc<Heard>,
    stderr: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    text: String,
    is_closed: bool,
}

impl Running {
    /// Starts `command` and listens to both its streams.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("{}: {err}", command.get_program().to_string_lossy()));
        let stdout = listen(child.stdout.take().expect("it was piped"));
        let stderr = listen(child.stderr.take().expect("it was piped"));
        Self { child, stdout, stderr }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Results printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().text.clone()
    }

    /// Talk printed so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().text.clone()
    }

    /// Waits for the first whole line of results that contains `part`.
    ///
    /// # Panics
    /// When the program stops talking or `limit` passes before; everything it said is in the panic.
    pub fn wait_for_line(&self, part: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        let mut said = self.stdout.lock();
        loop {
            let whole = said.text.rfind('\n').map_or("", |end| &said.text[..end]);
            if let Some(line) = whole.lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.is_closed || left.is_zero() {
                let heard = said.text.clone();
                drop(said);
                panic!("no line with {part:?} came:\n{heard}\n{}", self.stderr());
            }
            said = self.stdout.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end; `None` when `limit` passes before.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills it at once, as a power cut would, and returns what it had said.
    pub fn kill(mut self) -> Ended {
        // It may have ended by itself.
        let _ = self.child.kill();
        let status = self.child.wait().expect("a killed child ends");
        self.ended(status)
    }

    /// Asks it to stop, as Ctrl-C or a service manager does (`signal`: `INT` or `TERM`), and waits for its end.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    #[cfg(unix)]
    pub fn stop(mut self, signal: &str, limit: Duration) -> Ended {
        let asked = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "cannot signal {}", self.pid());
        let Some(status) = self.wait(limit) else {
            panic!("it did not stop:\n{}{}", self.stdout(), self.stderr());
        };
        self.ended(status)
    }

    /// What there is to say after the end. A grandchild that holds a stream open is not waited for.
    fn ended(&mut self, status: ExitStatus) -> Ended {
        const REST: Duration = Duration::from_secs(5);
        let rest = |heard: &Heard| {
            let said = heard.lock();
            let (said, _) = heard
                .more
                .wait_timeout_while(said, REST, |said| !said.is_closed)
                .unwrap_or_else(PoisonError::into_inner);
            said.text.clone()
        };
        Ended { code: status.code(), stdout: rest(&self.stdout), stderr: rest(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a stream to its end in a thread of its own.
fn listen(stream: impl Read + Send + 'static) -> Arc<Heard> {
    let heard = Arc::new(Heard::default());
    let ours = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let mut said = ours.lock();
            if said.text.len() < MAX_KEPT_BYTES {
                said.text.push_str(&String::from_utf8_lossy(&line));
            }
            drop(said);
            line.clear();
            ours.more.notify_all();
        }
        ours.lock().is_closed = true;
        ours.more.notify_all();
    });
    heard
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(room: &Room, script: &str) -> Running {
        Running::of(room.command("sh", &["-c", script]))
    }

    #[test]
    fn nothing_of_our_environment_is_seen() {
        let room = Room::new().with("BRICK_REGISTRY", "http://127.0.0.1:1");
        let mut running = shell(&room, "env; pwd");
        let status = running.wait(RUN_TIME_LIMIT).unwrap();
        let ended = running.ended(status);
        let names: Vec<&str> =
            ended.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
        assert!(names.contains(&"BRICK_REGISTRY") && names.contains(&"HOME"), "{names:?}");
        assert!(ended.stdout.contains("/work\n"), "{}", ended.stdout);
    }

    #[test]
    fn a_line_is_waited_for_and_a_kill_ends_it() {
        let room = Room::new();
        let running = shell(&room, "echo starting; echo listening on port 1; exec sleep 600");
        assert_eq!(running.wait_for_line("listening", RUN_TIME_LIMIT), "listening on port 1");
        let ended = running.kill();
        assert_eq!((ended.code, ended.stdout.as_str()), (None, "starting\nlistening on port 1\n"));
    }

    #[test]
    #[should_panic(expected = "no line with \"ready\" came:\nhello\n\noops")]
    fn a_program_that_ends_without_its_line_is_quoted() {
        let room = Room::new();
        let mut running = shell(&room, "echo oops >&2; echo hello");
        running.wait(RUN_TIME_LIMIT);
        while !running.stderr.lock().is_closed {
            std::thread::sleep(POLL);
        }
        running.wait_for_line("ready", RUN_TIME_LIMIT);
    }

    #[test]
    fn a_program_that_is_asked_to_stop_may_answer() {
        let room = Room::new();
        let running = shell(&room, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        running.wait_for_line("ready", RUN_TIME_LIMIT);
        let ended = running.stop("TERM", RUN_TIME_LIMIT);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(7), "ready\nbye\n"));
    }

    #[test]
    fn files_are_written_where_programs_start() {
        let room = Room::new();
        room.write("a/b.txt", "text");
        let mut running = shell(&room, "cat a/b.txt");
        let status = running.wait(RUN_TIME_LIMIT).unwrap();
        assert_eq!(running.ended(status).stdout, "text");
    }
}
