//! Why may a figure stay without numbers?

/// Why something was not measured.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What it needs is not on this machine: its lines are left out.
    #[error("{0}")]
    Missing(String),
    /// Something that is there did not do what it should: no figure of this run is worth anything.
    #[error("{what}")]
    Failed {
        /// What failed.
        what: String,
        /// Why.
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Trouble {
    /// Something that should have worked.
    pub fn failed(what: impl Into<String>, err: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed { what: what.into(), err: err.into() }
    }
}
