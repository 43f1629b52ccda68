//! Do the cosignatures hold: those of others on heads here, and this registry's own on the heads of others?

use brick_store::{CosignatureRow, Log, ReadError};
use brick_tlog::checkpoint::{Checkpoint, open_note};
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::{Algorithm, Note, SignatureLine, Vkey};

use super::{Checking, Kind, head_place};
use crate::problem::chain;
use crate::registry::{hash, witness_name};

impl Checking<'_> {
    /// Checks every kept cosignature of a log's heads. The records must have been read before.
    pub(super) async fn cosignatures(&mut self, log: &Log) -> Result<(), ReadError> {
        for size in self.store.cosigned_sizes(log.id).await? {
            let place = head_place(&log.origin, size);
            let Some(head) = self.store.checkpoint(log.id, size).await? else {
                self.report.note(Kind::Cosignature, place, "there is no head that they are on");
                continue;
            };
            let Ok(note) = Note::parse(&head.note) else { continue };
            for row in self.store.cosignatures(log.id, size).await? {
                self.report.checked.cosignatures += 1;
                if let Err(why) = self.holds(&note.text, &row) {
                    let place = format!("{} on {place}", row.name.escape_debug());
                    self.report.note(Kind::Cosignature, place, why);
                }
            }
        }
        Ok(())
    }

    fn holds(&self, text: &str, row: &CosignatureRow) -> Result<(), String> {
        let line = row.line.strip_suffix('\n').and_then(SignatureLine::parse);
        let line = line.ok_or("its line is not one")?;
        if line.name.as_str() != row.name || *line.id.as_bytes() != row.key_id.to_be_bytes() {
            return Err("its line names another key than the row".to_owned());
        }
        let vkey = self.witnesses.get(&(line.name.clone(), line.id));
        let vkey = vkey.ok_or("no record names its key")?.clone();
        let note = Note { text: text.to_owned(), signatures: vec![line] };
        let found = verify_cosignatures(&note, &[vkey]).map_err(|err| chain(&err))?;
        match found.first() {
            Some(found) if found.time == row.time => Ok(()),
            _ => Err("its line gives another time than the row".to_owned()),
        }
    }

    /// Checks what this registry remembers to have cosigned: forgetting it would cost the witness its key.
    pub(super) async fn witnessed(&mut self) {
        let own =
            Vkey::of(witness_name(&self.settings.id), Algorithm::CosignatureV1, &self.settings.witness_key);
        let origins = match self.store.witnessed().await {
            Ok(origins) => origins,
            Err(err) => return self.report.note(Kind::Witness, "what was cosigned", chain(&err)),
        };
        for origin in origins {
            let state = match self.store.witness_state(&origin).await {
                Ok(Some(state)) => state,
                Ok(None) => continue,
                Err(err) => {
                    self.report.note(Kind::Witness, origin.as_str(), chain(&err));
                    continue;
                }
            };
            self.report.checked.cosignatures += 1;
            let log = self.store.log(&origin).await.ok().flatten();
            let log = log.and_then(|log| Vkey::parse(&log.vkey).ok());
            let holds = || -> Result<(), String> {
                let note = Note::parse(&state.note).map_err(|err| chain(&err))?;
                let checkpoint = Checkpoint::parse(&note.text).map_err(|err| chain(&err))?;
                if checkpoint.origin.as_str() != origin.as_str()
                    || checkpoint.size != state.size
                    || checkpoint.root != hash(state.root)
                {
                    return Err("the cosigned note is not the head that the row names".to_owned());
                }
                if let Some(log) = &log {
                    open_note(note.clone(), log).map_err(|err| chain(&err))?;
                }
                let found =
                    verify_cosignatures(&note, std::slice::from_ref(&own)).map_err(|err| chain(&err))?;
                match found.iter().any(|found| found.time == state.time) {
                    true => Ok(()),
                    false => {
                        Err("the note does not bear this registry's cosignature of that time".to_owned())
                    }
                }
            };
            if let Err(why) = holds() {
                self.report.note(Kind::Witness, format!("what was cosigned of {origin}"), why);
            }
        }
    }

    /// Checks that kept evidence is what was kept.
    pub(super) async fn evidence(&mut self) {
        match self.store.damaged_evidence().await {
            Ok(origins) => {
                for origin in origins {
                    let why = "its two heads are not the ones that were kept";
                    self.report.note(Kind::Evidence, origin.escape_debug().to_string(), why);
                }
            }
            Err(err) => self.report.note(Kind::Evidence, "the evidence", chain(&err)),
        }
    }
}
