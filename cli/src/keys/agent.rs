//! Signing with a key that an SSH agent holds: the secret never comes here.

use std::path::Path;
use std::sync::Mutex;

use brick_schemas::PublicKey;
use brick_trust::Signer;
use brick_trust::envelope::SignError;
use brick_trust::key::{checked_key, parse_public_key};
use ed25519_dalek::Verifier;
use ssh_agent_client_rs::{Client, Identity};

use crate::context::Context;
use crate::failure::Failure;

/// An ed25519 key of the agent.
pub(crate) struct AgentKey {
    /// Its public half.
    pub(crate) public: PublicKey,
    /// What its owner called it.
    pub(crate) comment: String,
    identity: ssh_key::PublicKey,
}

/// An agent's key, ready to sign.
pub(crate) struct AgentSigner {
    key: AgentKey,
    client: Mutex<Client>,
}

/// The agent's ed25519 keys, in its order.
///
/// # Errors
/// [`Failure`] when there is no agent or it does not answer.
pub(crate) fn list(ctx: &Context) -> Result<Vec<AgentKey>, Failure> {
    list_with(&mut connect(ctx)?)
}

/// The agent's key that `wanted` names by comment or public key; without it, the only one that fits.
///
/// - `fitting`: the keys whose signature would count; empty: any.
///
/// # Errors
/// [`Failure`] which names the keys to choose from.
pub(crate) fn choose(
    ctx: &Context,
    wanted: Option<&str>,
    fitting: &[PublicKey],
) -> Result<AgentSigner, Failure> {
    let mut client = connect(ctx)?;
    let mut keys = list_with(&mut client)?;
    if wanted.is_none() && keys.iter().any(|key| fitting.contains(&key.public)) {
        keys.retain(|key| fitting.contains(&key.public));
    }
    let names: Vec<String> = keys.iter().map(|key| format!("{} ({})", key.comment, key.public)).collect();
    let wanted_key = wanted.and_then(|text| parse_public_key(text).ok());
    let mut chosen: Vec<AgentKey> = keys
        .into_iter()
        .filter(|key| wanted.is_none_or(|text| key.comment == text || Some(key.public) == wanted_key))
        .collect();
    match (chosen.pop(), chosen.len()) {
        (Some(key), 0) => Ok(AgentSigner { key, client: Mutex::new(client) }),
        (Some(_), _) => Err(Failure::usage("the SSH agent holds more than one key that fits")
            .help(format!("choose one with `--key COMMENT` or `--key PUBLIC-KEY`: {}", names.join(", ")))),
        (None, _) if names.is_empty() => {
            Err(Failure::yours("the SSH agent holds no ed25519 key").help("add one with `ssh-add FILE`"))
        }
        (None, _) => {
            Err(Failure::yours(format!("the SSH agent holds no key `{}`", wanted.unwrap_or_default()))
                .help(format!("choose one of {}", names.join(", "))))
        }
    }
}

fn connect(ctx: &Context) -> Result<Client, Failure> {
    let default = cfg!(windows).then(|| std::ffi::OsStr::new(r"\\.\pipe\openssh-ssh-agent"));
    let Some(socket) = ctx.env("SSH_AUTH_SOCK").or(default) else {
        return Err(Failure::yours("there is no SSH agent to ask").reason("SSH_AUTH_SOCK is not set").help(
            "start one with `eval $(ssh-agent)` and add a key with `ssh-add FILE`, or leave `--agent` out",
        ));
    };
    Client::connect(Path::new(socket)).map_err(|err| {
        Failure::yours(format!("cannot reach the SSH agent at `{}`", socket.display()))
            .because(&err)
            .help("check SSH_AUTH_SOCK, or start an agent with `eval $(ssh-agent)`")
    })
}

fn list_with(client: &mut Client) -> Result<Vec<AgentKey>, Failure> {
    let identities = client
        .list_all_identities()
        .map_err(|err| Failure::yours("the SSH agent does not say which keys it holds").because(&err))?;
    let mut keys = Vec::new();
    for identity in identities {
        // Certificates and other algorithms sign nothing here.
        let Identity::PublicKey(key) = identity else { continue };
        let identity = key.into_owned();
        if let Some(public) = identity.key_data().ed25519() {
            let public = PublicKey::from(public.0);
            keys.push(AgentKey { public, comment: identity.comment().to_owned(), identity });
        }
    }
    Ok(keys)
}

impl Signer for AgentSigner {
    fn public(&self) -> PublicKey {
        self.key.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let fail = |reason: String| SignError { key: self.key.public, reason };
        let identity = Identity::from(self.key.identity.clone());
        let mut client = self.client.lock().map_err(|_| fail("the agent's connection broke".into()))?;
        let signature = client
            .sign(identity, message)
            .map_err(|err| fail(format!("the SSH agent refused or failed: {err}")))?;
        let bytes: [u8; 64] = match (signature.algorithm(), signature.as_bytes().try_into()) {
            (ssh_key::Algorithm::Ed25519, Ok(bytes)) => bytes,
            _ => return Err(fail("the SSH agent answered with another kind of signature".into())),
        };
        // An agent is another program: what it made is checked before anybody else sees it.
        let verifying = checked_key(&self.key.public).map_err(|err| fail(err.to_string()))?;
        verifying
            .verify(message, &ed25519_dalek::Signature::from_bytes(&bytes))
            .map_err(|_| fail("the SSH agent's signature does not verify".into()))?;
        Ok(bytes)
    }
}
