//! Who cosigns the logs that this registry hosts? Every other registry is asked after each move, and again in time; each
//! by a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_client::{AddCheckpointAnswer, Client};
use brick_schemas::{Origin, PublisherName};
use brick_store::crash_point;
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::{Note, SignatureLine};
use brick_tlog::witness::AddCheckpoint;
use brick_trust::{HeadRules, open_head};
use tokio::sync::watch;

use crate::crew::{Crew, back_off, jittered};
use crate::heads::ShownHead;
use crate::nodes::Nodes;
use crate::problem::said;
use crate::registry::{Registry, RegistryError, now};
use crate::witness::RENEW_AFTER_S;

/// How often heads are looked over for renewal.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);
/// Wait after a witness could not be asked, doubled with each failure.
const AFTER_FAILURE: Duration = Duration::from_millis(700);
/// That wait at most.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Asks witnesses for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let (wake, woken) = watch::channel(());
    let mut crew = Crew::default();
    loop {
        let others =
            registry.registry_records().into_iter().filter(|record| record.id != registry.settings.id);
        let wanted = others.map(|record| (record.id.to_string(), record.id)).collect();
        crew.keep(wanted, |id| ask_on(registry.clone(), id, woken.clone()));
        wake.send_replace(());
        tokio::select! {
            () = registry.ask_witnesses.notified() => {}
            () = tokio::time::sleep(RENEWAL_INTERVAL) => {}
        }
    }
}

/// Asks one witness, whenever there is something to ask.
async fn ask_on(registry: Arc<Registry>, witness: PublisherName, mut woken: watch::Receiver<()>) {
    let mut asked = Asked { witness, sizes: BTreeMap::new(), sent: BTreeMap::new() };
    let mut failures = 0;
    loop {
        woken.mark_unchanged();
        let failed = asked.ask_all(&registry).await;
        failures = if failed { failures + 1 } else { 0 };
        let wait = match failed {
            true => back_off(AFTER_FAILURE, failures, MAX_WAIT),
            false => jittered(RENEWAL_INTERVAL),
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // One that does not answer is not asked more often because there is more to ask.
            changed = woken.changed(), if !failed => if changed.is_err() { return },
        }
    }
}

/// What is known of one witness.
struct Asked {
    witness: PublisherName,
    /// The size of each log that it cosigned last.
    sizes: BTreeMap<Origin, u64>,
    /// Size and count of lines of the head that it was sent last with a quorum.
    sent: BTreeMap<Origin, (u64, usize)>,
}

impl Asked {
    /// Asks for every hosted log. Returns whether one failed.
    async fn ask_all(&mut self, registry: &Arc<Registry>) -> bool {
        let mut failed = false;
        for (origin, head) in registry.heads() {
            if head.hosted
                && let Err(why) = self.ask_for(registry, &origin, &head).await
            {
                tracing::debug!(%origin, witness = %self.witness, why, "no cosignature");
                failed = true;
            }
        }
        failed
    }

    async fn ask_for(
        &mut self,
        registry: &Arc<Registry>,
        origin: &Origin,
        head: &ShownHead,
    ) -> Result<(), String> {
        let Ok(rules) = registry.rules(head.publisher.as_ref()) else { return Ok(()) };
        let Some(own) = rules.witnesses.iter().find(|witness| witness.registry == self.witness) else {
            return Ok(());
        };
        let note = Note::parse(&head.newest).map_err(|err| said(&err))?;
        let must_pass_on = self.must_pass_on(origin, head, &note, &rules);
        if cosigned_lately(&note, own) && !must_pass_on {
            return Ok(());
        }
        crash_point("cosignature-asked");
        let line = self.ask(registry, origin, head, &note).await?;
        crash_point("cosignature-came");
        if must_pass_on {
            self.sent.insert(origin.clone(), (head.size, note.signatures.len()));
        }
        let with_line = Note { text: note.text.clone(), signatures: vec![line] };
        let kept = registry.keep_cosignatures(origin, &with_line, head.size).await;
        if kept.map_err(|err: RegistryError| said(&err))? > 0 && !must_pass_on {
            // With this line there may be a quorum to tell the others of.
            registry.ask_witnesses.notify_one();
        }
        Ok(())
    }

    /// Whether the witness should be sent the others' lines too: they make its copy of the log worth as much as the home's.
    fn must_pass_on(&self, origin: &Origin, head: &ShownHead, note: &Note, rules: &HeadRules) -> bool {
        let is_new = self.sent.get(origin) != Some(&(head.size, note.signatures.len()));
        is_new
            && rules.witnesses.len() > 1
            && self.sizes.get(origin) == Some(&head.size)
            && open_head(&head.newest, rules).is_ok_and(|open| open.has_quorum(rules, now()))
    }

    /// Once with the size that is remembered, and once more with the one that the witness names.
    async fn ask(
        &mut self,
        registry: &Arc<Registry>,
        origin: &Origin,
        head: &ShownHead,
        note: &Note,
    ) -> Result<SignatureLine, String> {
        let client = self.client(registry)?;
        let mut old = self.sizes.get(origin).copied().unwrap_or(0);
        for _ in 0..2 {
            if old > head.size {
                // If that is true, signing on would be a second history: whoever says so is asked for the head.
                crate::own_heads::ask(registry, std::slice::from_ref(origin)).await;
                return Err(format!(
                    "it has cosigned {old} leaves, more than the {} that stand here",
                    head.size
                ));
            }
            let proof = match old {
                0 => Vec::new(),
                _ => Nodes::new(&registry.store, head.id)
                    .consistency(old, head.size)
                    .await
                    .map_err(|err| said(&err))?,
            };
            let request = AddCheckpoint::new(old, proof, note.clone()).map_err(|err| said(&err))?;
            match client.add_checkpoint(&request).await.map_err(|err| said(&err))? {
                AddCheckpointAnswer::Cosigned(lines) => {
                    self.sizes.insert(origin.clone(), head.size);
                    return lines.into_iter().next().ok_or_else(|| "it answered with no line".to_owned());
                }
                AddCheckpointAnswer::Conflict { size } => {
                    self.sizes.insert(origin.clone(), size);
                    old = size;
                }
                AddCheckpointAnswer::Refused { status, problem } => {
                    return Err(format!("answer {status}: {}", said(&problem)));
                }
            }
        }
        Err("it names another size each time".into())
    }

    fn client(&self, registry: &Registry) -> Result<Client, String> {
        let state = registry.commons();
        let record = state.commons.as_ref().and_then(|commons| commons.registry(&self.witness));
        let url = record.and_then(|record| record.urls.first()).ok_or("it has no address")?;
        registry.peer_client(url).map_err(|err| said(&err))
    }
}

fn cosigned_lately(note: &Note, witness: &brick_trust::head::Witness) -> bool {
    verify_cosignatures(note, std::slice::from_ref(&witness.vkey))
        .is_ok_and(|lines| lines.iter().any(|line| line.time.saturating_add(RENEW_AFTER_S) > now()))
}
