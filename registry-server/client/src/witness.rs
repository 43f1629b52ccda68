//! Asking for cosignatures (C2SP tlog-witness).

use brick_tlog::note::{KeyName, MAX_NOTE_BYTES, Note, SignatureLine};
use brick_tlog::witness::{AddCheckpoint, SIZE_CONTENT_TYPE, log_id, parse_response, parse_size};
use reqwest::{Method, StatusCode};

use crate::client::{Client, content_type, problem_of, read_bounded};
use crate::error::AskError;

const MAX_SIZE_BYTES: usize = 64;

/// What a witness answers.
#[derive(Debug)]
pub enum AddCheckpointAnswer {
    /// Its signature lines, to be believed only after they verify.
    Cosigned(Vec<SignatureLine>),
    /// It cosigned another size last: make the proof from there.
    Conflict {
        /// That size.
        size: u64,
    },
    /// It will not, and no other proof would change that.
    Refused {
        /// The HTTP status, which tlog-witness gives a meaning.
        status: u16,
        /// The answer as an error, with the witness's words.
        problem: AskError,
    },
}

impl Client {
    /// Asks the registry's witness to cosign a head. Sent once: a cosignature that gets lost is asked for again later.
    ///
    /// # Errors
    /// [`AskError`] when there is no answer, or one that is none of a witness's.
    pub async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<AddCheckpointAnswer, AskError> {
        let path = "witness/add-checkpoint";
        let url = self.url(path);
        let request = self
            .request(Method::POST, url.clone())
            .header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(request.to_string());
        let response = self.send(&url, request).await?;
        let status = response.status();
        match status {
            StatusCode::OK => {
                let body = read_bounded(&url, response, MAX_NOTE_BYTES).await?;
                let lines = parse_response(&body).map_err(|err| self.not_a_registry(path, err))?;
                Ok(AddCheckpointAnswer::Cosigned(lines))
            }
            StatusCode::CONFLICT if content_type(response.headers()) == Some(SIZE_CONTENT_TYPE) => {
                let body = read_bounded(&url, response, MAX_SIZE_BYTES).await?;
                let size = parse_size(&body)
                    .ok_or_else(|| self.not_a_registry(path, "it names no size that it cosigned"))?;
                Ok(AddCheckpointAnswer::Conflict { size })
            }
            _ if status.is_client_error() => Ok(AddCheckpointAnswer::Refused {
                status: status.as_u16(),
                problem: problem_of(&url, response).await,
            }),
            _ if status.is_server_error() => Err(problem_of(&url, response).await),
            _ => Err(self.not_a_registry(path, format_args!("status {}", status.as_u16()))),
        }
    }

    /// The head of a log that the registry's witness cosigned last; `None` if it never did.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn witness_checkpoint(&self, origin: &KeyName) -> Result<Option<Note>, AskError> {
        let path = format!("witness/{}/checkpoint", log_id(origin));
        match self.read_if_there(&path, MAX_NOTE_BYTES).await? {
            Some(bytes) => Note::parse(&bytes).map(Some).map_err(|err| self.not_a_registry(&path, err)),
            None => Ok(None),
        }
    }
}
