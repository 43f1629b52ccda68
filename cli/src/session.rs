//! What of a registry's word is relied on, and what is kept so that nobody can take it back? (design §8)
//!
//! A [`Session`] is one run's view of one commons. It begins from what this machine kept (the pinned root, the
//! verified commons log, the largest verified head of every log), moves forward by asking a registry, and believes
//! nothing that does not follow from there. Any registry, mirror or static host may be asked.
//!
//! | module | answers |
//! |---|---|
//! | [`store`] | what is kept where, and how is it written whole? |
//! | [`commons`] | who takes part, as of the newest head? |
//! | [`heads`] | may this publisher's head be relied on? |
//! | [`lookup`] | what does the index say of these bricks? |
//! | [`resolve`] | which releases meet the requirements, and what goes into the lockfile? |
//! | [`release`] | are these the bytes that the publisher signed? |
//! | [`vendor`] | how do releases lie in a directory, with their proofs? |
//! | [`project`] | what does the manifest or service here require? |

pub(crate) mod commons;
pub(crate) mod heads;
pub(crate) mod lookup;
mod progress;
pub(crate) mod project;
pub(crate) mod refusal;
pub(crate) mod release;
pub(crate) mod resolve;
pub(crate) mod store;
pub(crate) mod vendor;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use brick_client::{AskError, Client, Patience};
use brick_schemas::lockfile::Lockfile;
use brick_schemas::{FullName, PublisherName};
use brick_trust::Commons;
use tokio::runtime::Runtime;

use crate::context::Context;
use crate::failure::Failure;
use commons::Folded;
use heads::Log;
use lookup::LookedUp;
use progress::waiting_for;
use project::Project;
use refusal::{asked, cannot_begin};
use resolve::{Answer, Unlock};
use store::{Pin, Store};

/// Times that a registry is asked again while its answers are on the move: it lags behind what was seen before, or a
/// head moved between two files.
pub(crate) const MAX_TRIES: u32 = 6;
/// Pause before asking again; it doubles with each.
pub(crate) const FIRST_PAUSE_MS: u64 = 150;
/// Seconds to wait for a registry's next bytes.
const TIMEOUT_VARIABLE: &str = "BRICK_HTTP_TIMEOUT";
/// What it may be set to.
const TIMEOUT_BOUNDS_S: std::ops::RangeInclusive<f64> = 0.1..=3_600.0;
/// A whole answer may take so many times as long as its next bytes.
const WHOLE_ANSWER_TIMEOUTS: u32 = 10;
/// Releases and index files under way at once, at most.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

/// One run's view of one commons.
pub(crate) struct Session<'a> {
    pub(crate) ctx: &'a Context,
    store: Store,
    runtime: Rc<Runtime>,
    sources: Sources,
    folded: Folded,
    commons_age_s: Option<u64>,
    logs: BTreeMap<PublisherName, Log>,
    looked_up: BTreeMap<FullName, LookedUp>,
    is_synced: bool,
    has_warned_of_age: Cell<bool>,
}

/// The registries that can be asked.
struct Sources {
    /// The one chosen for this run; `None` when nothing may be asked.
    chosen: Option<Client>,
    others: RefCell<BTreeMap<String, Client>>,
}

impl<'a> Session<'a> {
    /// Begins from what is kept; asks the registry only where nothing of the commons is kept yet.
    ///
    /// - `lock`: says which commons is meant where several are trusted.
    ///
    /// # Errors
    /// [`Failure`]: no commons is trusted, no registry is known, or what is kept cannot be used.
    pub(crate) fn open(ctx: &'a Context, lock: Option<&Lockfile>) -> Result<Self, Failure> {
        let pin = store::choose_pin(ctx, lock)?;
        let chosen = match ctx.limits().offline {
            true => None,
            false => Some(new_client(ctx, &registry_url(ctx, Some(&pin))?)?),
        };
        Self::begin(ctx, pin, chosen)
    }

    /// Begins from what is kept and asks nobody.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when nothing is kept.
    pub(crate) fn open_kept(ctx: &'a Context, lock: Option<&Lockfile>) -> Result<Self, Failure> {
        Self::begin(ctx, store::choose_pin(ctx, lock)?, None)
    }

    fn begin(ctx: &'a Context, pin: Pin, chosen: Option<Client>) -> Result<Self, Failure> {
        let is_offline = chosen.is_none();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|err| Failure::bug("cannot start the network").because(&err))?;
        let store = Store::new(ctx.home(), pin);
        let folded = Folded::kept(&store, ctx)?;
        let is_empty = folded.is_empty();
        let mut session = Self {
            ctx,
            store,
            runtime: Rc::new(runtime),
            sources: Sources { chosen, others: RefCell::default() },
            folded,
            commons_age_s: None,
            logs: BTreeMap::new(),
            looked_up: BTreeMap::new(),
            is_synced: false,
            has_warned_of_age: Cell::new(false),
        };
        match (is_empty, is_offline) {
            (true, true) => return Err(cannot_begin(session.store.pin().origin.as_str())),
            (true, false) => session.sync()?,
            (false, _) => session.judge_kept_commons()?,
        }
        Ok(session)
    }

    /// The commons, as far as it was verified.
    pub(crate) fn commons(&self) -> &Commons {
        self.folded.commons()
    }

    /// The address of the registry that is asked; `None` offline.
    pub(crate) fn registry(&self) -> Option<&Client> {
        self.sources.chosen.as_ref()
    }

    /// Runs a future of this session to its end, with a sign of life on a terminal.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let whom = self.registry_name();
        self.runtime.block_on(waiting_for(self.ctx, &whom, future))
    }

    /// The address of the registry that is asked, for people.
    fn registry_name(&self) -> String {
        self.sources.chosen.as_ref().map_or_else(String::new, |client| client.base().to_string())
    }

    /// The chosen registry.
    ///
    /// # Errors
    /// [`Failure`] offline.
    pub(crate) fn online(&self) -> Result<&Client, Failure> {
        self.sources.chosen.as_ref().ok_or_else(nothing_offline)
    }

    /// What to do about a registry that did not give something: note why, and ask the next one. A registry that was named
    /// for this run may lack something; that it is down is the answer.
    ///
    /// - `why`: what will be told if no registry has it; that one is down tells more than that another lacks it.
    fn pass_over(&self, err: &AskError, why: &mut Option<Failure>) -> Result<(), Failure> {
        match err.is_missing() {
            true => drop(why.get_or_insert_with(|| asked(err))),
            false if self.ctx.is_registry_named() => return Err(asked(err)),
            false => *why = Some(asked(err)),
        }
        Ok(())
    }

    /// Registries that may hold what belongs to `publisher`, in the order to ask them: the chosen one, the
    /// publisher's home, then the others of the commons. None offline.
    fn sources_for(&self, publisher: &PublisherName) -> Vec<Client> {
        let Some(chosen) = &self.sources.chosen else { return Vec::new() };
        let commons = self.commons();
        let home = commons.publisher(publisher).and_then(|record| commons.registry(&record.home));
        let home_urls = home.into_iter().flat_map(|registry| &registry.urls);
        let all_urls = commons.registries().flat_map(|registry| &registry.urls);
        let mut clients = vec![chosen.clone()];
        for url in home_urls.chain(all_urls) {
            if let Some(client) = self.sources.other(self.ctx, url)
                && clients.iter().all(|known| known.base() != client.base())
            {
                clients.push(client);
            }
        }
        clients
    }
}

/// A project that has been resolved, and the session that did it. The lockfile is not written yet.
pub(crate) struct Resolved<'a> {
    /// What was verified on the way.
    pub(crate) session: Session<'a>,
    /// What was chosen.
    pub(crate) answer: Answer,
    old: Option<Lockfile>,
}

impl Resolved<'_> {
    /// The lockfile as it should be.
    pub(crate) fn lock(&self) -> &Lockfile {
        &self.answer.lock
    }

    /// Writes the lockfile unless `--locked`, and says what changed. Whoever fetches does it after everything that
    /// was fetched has been verified, so that a refusal writes nothing.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be written.
    pub(crate) fn keep_lock(&self, project: &Project) -> Result<(), Failure> {
        if !self.session.ctx.limits().locked {
            project.keep_lock(&self.answer.lock)?;
        }
        self.session.say_changes(self.old.as_ref(), &self.answer);
        Ok(())
    }
}

/// Resolves a project; nothing is written. `None`, and a note, where it requires nothing.
///
/// # Errors
/// [`Failure`].
pub(crate) fn resolved_session<'a>(
    ctx: &'a Context,
    project: &Project,
) -> Result<Option<Resolved<'a>>, Failure> {
    if project.is_alone() {
        ctx.note(format_args!("{} requires no bricks", project.name()));
        return Ok(None);
    }
    let old = project.lock(ctx)?;
    let mut session = Session::open(ctx, old.as_ref())?;
    let answer = session.resolve(project, old.as_ref(), &Unlock::Nothing)?;
    Ok(Some(Resolved { session, answer, old }))
}

/// The lockfile that a project should have; not written. `None` where it requires nothing and has none.
///
/// # Errors
/// [`Failure`].
pub(crate) fn resolve_project(
    ctx: &Context,
    project: &Project,
    old: Option<&Lockfile>,
    unlock: &Unlock,
) -> Result<Option<Lockfile>, Failure> {
    if project.is_alone() {
        return Ok(old.map(|old| Lockfile::new(old.commons.clone(), Vec::new(), Vec::new())));
    }
    let mut session = Session::open(ctx, old)?;
    let answer = session.resolve(project, old, unlock)?;
    session.say_changes(old, &answer);
    Ok(Some(answer.lock))
}

impl Sources {
    /// A client for an address from a record; `None` where it is none that can be asked.
    fn other(&self, ctx: &Context, url: &str) -> Option<Client> {
        if let Some(client) = self.others.borrow().get(url) {
            return Some(client.clone());
        }
        let client = new_client(ctx, url).ok()?;
        self.others.borrow_mut().insert(url.to_owned(), client.clone());
        Some(client)
    }
}

/// The registry to ask: the option or environment, `config.toml`, or the one that the pin came from.
fn registry_url(ctx: &Context, pin: Option<&Pin>) -> Result<String, Failure> {
    if let Some(url) = ctx.registry_option() {
        return Ok(url.to_owned());
    }
    if let Some(url) = store::Config::read(ctx.home())?.registry {
        return Ok(url);
    }
    pin.and_then(|pin| pin.urls.first().cloned()).ok_or_else(|| {
        Failure::usage("no registry is chosen")
            .help("name one with `--registry URL`, in BRICK_REGISTRY, or as `registry` in config.toml")
    })
}

/// The registry, for questions whose answers nothing vouches for.
///
/// # Errors
/// [`Failure`] offline, or where no registry is known.
pub(crate) fn plain_client(ctx: &Context) -> Result<Client, Failure> {
    if ctx.limits().offline {
        return Err(nothing_offline());
    }
    new_client(ctx, &registry_url(ctx, store::pins(ctx.home())?.first())?)
}

fn nothing_offline() -> Failure {
    Failure::network("this needs a registry, and nothing may be asked with `--offline`")
        .help("run it again without `--offline` or `--frozen`")
}

/// A client for an address that a person or a record gave.
///
/// # Errors
/// [`Failure`] with the rule that the address breaks.
pub(crate) fn new_client(ctx: &Context, url: &str) -> Result<Client, Failure> {
    Client::with_patience(url, patience(ctx)?).map_err(|err| match err {
        brick_client::NewClientError::Address { .. } => Failure::usage(err.to_string())
            .help("give a registry's address, as in `--registry https://registry.example`"),
        brick_client::NewClientError::Setup { .. } => Failure::network(err.to_string())
            .because(&err)
            .help("check this machine's certificates and its proxy settings"),
    })
}

/// How long registries are waited for: `BRICK_HTTP_TIMEOUT`, else `[http] timeout` of `config.toml`, for the next bytes
/// of an answer; ten times that for a whole one.
///
/// # Errors
/// [`Failure`] where what is set is no such time.
fn patience(ctx: &Context) -> Result<Patience, Failure> {
    let usual = Patience::default();
    let (seconds, place) = match ctx.env(TIMEOUT_VARIABLE) {
        Some(text) => (text.to_str().and_then(|text| text.trim().parse().ok()), TIMEOUT_VARIABLE),
        None => match store::Config::read(ctx.home())?.http.timeout {
            Some(seconds) => (Some(seconds), "`timeout` in config.toml"),
            None => return Ok(usual),
        },
    };
    let idle = seconds
        .filter(|seconds: &f64| TIMEOUT_BOUNDS_S.contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            Failure::usage(format!("{place} is no time to wait")).help(format!(
                "give seconds from {} to {}, as in {TIMEOUT_VARIABLE}=60",
                TIMEOUT_BOUNDS_S.start(),
                TIMEOUT_BOUNDS_S.end()
            ))
        })?;
    Ok(Patience { connect: usual.connect.min(idle), idle, total: idle * WHOLE_ANSWER_TIMEOUTS, ..usual })
}
