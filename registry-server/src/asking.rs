//! Who cosigns the logs that this registry hosts? Every other registry is asked after each move, and again in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_client::{AddCheckpointAnswer, Client};
use brick_schemas::{Origin, PublisherName};
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::Note;
use brick_tlog::witness::AddCheckpoint;
use brick_trust::HeadRules;

use crate::nodes::Nodes;
use crate::registry::{Registry, RegistryError, ShownHead, now};
use crate::witness::RENEW_AFTER_S;

/// How often heads are looked over for renewal.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);
/// Rounds of asking for one head, before the next move or renewal.
const MAX_ROUNDS: usize = 4;
/// Wait between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(700);

/// Asks witnesses for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let mut asked = Asked::default();
    loop {
        tokio::select! {
            () = registry.ask_witnesses.notified() => {}
            () = tokio::time::sleep(RENEWAL_INTERVAL) => {}
        }
        for round in 0..MAX_ROUNDS {
            let mut lacking = false;
            for (origin, head) in registry.heads() {
                if !head.hosted {
                    continue;
                }
                match asked.ask_all(&registry, &origin, &head).await {
                    Ok(complete) => lacking |= !complete,
                    Err(err) => {
                        tracing::warn!(%origin, err = &err as &dyn std::error::Error, "cannot ask witnesses")
                    }
                }
            }
            if !lacking {
                break;
            }
            tokio::time::sleep(BETWEEN_ROUNDS * (round as u32 + 1)).await;
        }
    }
}

/// What is known of the witnesses: clients, and the size each cosigned last of each log.
#[derive(Default)]
struct Asked {
    clients: BTreeMap<String, Client>,
    sizes: BTreeMap<(PublisherName, Origin), u64>,
    /// Heads whose complete lines each witness has been sent.
    complete: BTreeMap<(PublisherName, Origin), (u64, usize)>,
}

impl Asked {
    /// Asks every witness that has not cosigned the newest head lately. Returns whether all have.
    async fn ask_all(
        &mut self,
        registry: &Registry,
        origin: &Origin,
        head: &ShownHead,
    ) -> Result<bool, RegistryError> {
        let rules = registry.rules(head.publisher.as_ref())?;
        let Ok(note) = Note::parse(&head.newest) else { return Ok(true) };
        let mut all = true;
        let mut moved = false;
        for witness in &rules.witnesses {
            if cosigned_lately(&note, witness) {
                continue;
            }
            match self.ask(registry, origin, head, &note, &witness.registry).await {
                Ok(Some(line)) => {
                    let with_line = Note { text: note.text.clone(), signatures: vec![line] };
                    moved |= registry.keep_cosignatures(origin, &with_line, head.size).await? > 0;
                }
                Ok(None) => all = false,
                Err(why) => {
                    tracing::debug!(%origin, witness = %witness.registry, why, "no cosignature");
                    all = false;
                }
            }
        }
        if moved || all {
            self.pass_on(registry, origin, &rules).await;
        }
        Ok(all)
    }

    /// Sends the head with all its lines to the witnesses, so that their copies have a quorum too.
    async fn pass_on(&mut self, registry: &Registry, origin: &Origin, rules: &HeadRules) {
        let Some(head) = registry.head(origin) else { return };
        let Ok(note) = Note::parse(&head.newest) else { return };
        for witness in &rules.witnesses {
            let key = (witness.registry.clone(), origin.clone());
            let state = (head.size, note.signatures.len());
            if rules.witnesses.len() < 2 || self.complete.get(&key) == Some(&state) {
                continue;
            }
            if self.sizes.get(&key) == Some(&head.size)
                && let Ok(Some(_)) = self.ask(registry, origin, &head, &note, &witness.registry).await
            {
                self.complete.insert(key, state);
            }
        }
    }

    async fn ask(
        &mut self,
        registry: &Registry,
        origin: &Origin,
        head: &ShownHead,
        note: &Note,
        witness: &PublisherName,
    ) -> Result<Option<brick_tlog::note::SignatureLine>, String> {
        let records = registry.registry_records();
        let url = records
            .iter()
            .find(|record| record.id == *witness)
            .and_then(|record| record.urls.first())
            .ok_or("it has no address")?;
        let client = match self.clients.get(url) {
            Some(client) => client.clone(),
            None => {
                let client = Client::new(url).map_err(|err| err.to_string())?;
                self.clients.insert(url.clone(), client.clone());
                client
            }
        };
        let key = (witness.clone(), origin.clone());
        let mut old = self.sizes.get(&key).copied().unwrap_or(0);
        // Once with what is remembered, and once more with the size that the witness names.
        for _ in 0..2 {
            if old > head.size {
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
                    .map_err(|err| err.to_string())?,
            };
            let request = AddCheckpoint::new(old, proof, note.clone()).map_err(|err| err.to_string())?;
            match client.add_checkpoint(&request).await.map_err(|err| crate::problem::chain(&err))? {
                AddCheckpointAnswer::Cosigned(lines) => {
                    self.sizes.insert(key, head.size);
                    return Ok(lines.into_iter().next());
                }
                AddCheckpointAnswer::Conflict { size } => {
                    self.sizes.insert(key.clone(), size);
                    old = size;
                }
                AddCheckpointAnswer::Refused { status, problem } => {
                    return Err(format!("answer {status}: {}", crate::problem::chain(&problem)));
                }
            }
        }
        Err("it names another size each time".into())
    }
}

fn cosigned_lately(note: &Note, witness: &brick_trust::head::Witness) -> bool {
    verify_cosignatures(note, std::slice::from_ref(&witness.vkey))
        .is_ok_and(|lines| lines.iter().any(|line| line.time.saturating_add(RENEW_AFTER_S) > now()))
}
