//! Does the signed service entry say what `service.toml` says? The fields of the entry, computed from the file.

use super::{Part, ServiceManifest};
use crate::digest::Blob;
use crate::manifest::{Mismatch, same};
use crate::name::FullName;
use crate::predicate::Place;
use crate::predicate::service::{self, Locked, MAX_LOCKED, Service};
use crate::version::Requirement;

/// Why a service file could not become an entry, or is not what an entry says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// A part's brick is not locked in a version that will do.
    #[error("`{brick}` `{req}` is not in the lockfile")]
    NotLocked {
        /// The brick.
        brick: FullName,
        /// What the part asks for.
        req: Requirement,
    },
    /// More locked bricks than an entry holds.
    #[error("the service resolves to {found} bricks, at most {MAX_LOCKED} are allowed")]
    TooManyLocked {
        /// How many there are.
        found: usize,
    },
    /// The entry says something else.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

impl ServiceManifest {
    /// The service entry that this file stands for.
    ///
    /// - `locked`: everything that the parts resolve to, in any order; a part takes the highest version that will do.
    /// - `texts`: this file as a blob, if it is to be kept beside the log.
    ///
    /// # Errors
    /// [`ServiceError::NotLocked`] or [`ServiceError::TooManyLocked`].
    pub fn service(
        &self,
        place: Place,
        mut locked: Vec<Locked>,
        texts: Option<Blob>,
    ) -> Result<Service, ServiceError> {
        locked.sort();
        locked.dedup();
        if locked.len() > MAX_LOCKED {
            return Err(ServiceError::TooManyLocked { found: locked.len() });
        }
        let parts = self.part.iter().map(|part| entry_part(part, &locked)).collect::<Result<_, _>>()?;
        let text = |date: &crate::date::Date| date.to_string();
        Ok(Service {
            place,
            id: self.service.id.clone(),
            function: self.service.function.to_string(),
            body: self.service.body.to_string(),
            status: self.service.status,
            parts,
            locked,
            volumes: self
                .volume
                .iter()
                .map(|v| service::Volume {
                    from: text(&v.from),
                    to: text(&v.to),
                    channel: v.channel.clone(),
                    started: v.started,
                    completed: v.completed,
                    source: v.source.as_ref().map(ToString::to_string),
                })
                .collect(),
            costs: self
                .cost
                .iter()
                .map(|c| service::Cost {
                    from: text(&c.from),
                    to: text(&c.to),
                    what: c.what.as_str().to_owned(),
                    kind: c.kind.as_str().to_owned(),
                    amount: c.amount.to_string(),
                    currency: c.currency.to_string(),
                    price_year: c.price_year.clone(),
                    basis: c.basis.as_str().to_owned(),
                    scope: c.scope.clone(),
                    share_percent: c.share.as_ref().map(|share| share.percent.to_string()),
                    source: c.source.as_ref().map(ToString::to_string),
                })
                .collect(),
            contracts: self
                .contract
                .iter()
                .map(|c| service::Contract {
                    supplier: c.supplier.clone(),
                    ocid: c.ocid.clone(),
                    ends: c.ends.as_ref().map(text),
                    covers: c.covers.clone(),
                })
                .collect(),
            texts,
        })
    }

    /// Compares every field of `service` that its file decides with what this file says.
    ///
    /// `log`, `basis`, the digests in `locked`, and `texts` are compared with the logs by whoever has those.
    ///
    /// # Errors
    /// [`ServiceError`] with the first field that differs, or with the part whose brick the entry does not lock.
    pub fn matches(&self, service: &Service) -> Result<(), ServiceError> {
        // Listed without `..`: a new field of the entry must be given its place here.
        let Service { place, id, function, body, status, parts, locked, volumes, costs, contracts, texts } =
            service;
        let ours = self.service(place.clone(), locked.clone(), *texts)?;
        same("id", id, &ours.id)?;
        same("function", function, &ours.function)?;
        same("body", body, &ours.body)?;
        same("status", status, &ours.status)?;
        same("parts", parts, &ours.parts)?;
        same("locked", locked, &ours.locked)?;
        same("volumes", volumes, &ours.volumes)?;
        same("costs", costs, &ours.costs)?;
        same("contracts", contracts, &ours.contracts)?;
        Ok(())
    }
}

fn entry_part(part: &Part, locked: &[Locked]) -> Result<service::Part, ServiceError> {
    Ok(match part {
        Part::Brick { step, brick, version: req, features, .. } => {
            let fits = |l: &&Locked| l.name == *brick && req.matches(&l.version);
            let version = locked
                .iter()
                .filter(fits)
                .map(|l| &l.version)
                .max()
                .ok_or_else(|| ServiceError::NotLocked { brick: brick.clone(), req: req.clone() })?;
            service::Part::Brick {
                step: step.clone(),
                brick: brick.clone(),
                version: version.clone(),
                features: features.clone(),
            }
        }
        Part::Local { step, local, why, until, nearest } => service::Part::Local {
            step: step.clone(),
            local: local.clone(),
            why: *why,
            until: until.as_ref().map(ToString::to_string),
            nearest: nearest.clone(),
        },
    })
}
