//! Brings a replica back that has lost its store: what the others say gives it a new one, from which it starts as a
//! learner that votes for nothing that it may have voted for before. What that means, and why it is safe, is in
//! [`pbft_core::amnesia`].
//!
//! The others are asked over fresh connections, in the handshake, so that their answers are of now. No other process
//! may use the replica's key any more when that begins; where a store is still there, its lock makes sure of that.

use crate::config::Cluster;
use crate::keys::SecretKey;
use crate::node::{Setup, StartError};
use crate::store::{Identity, Store, StoreError};
use crate::transport::{HandshakeError, TlsIdentity, client_config, greet};
use crate::voters::Voters;
use pbft_core::amnesia::AmnesiaError;
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Durable, Params, Position, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The pause between two attempts to reach a replica.
const RETRY: Duration = Duration::from_millis(200);

/// What the others answered.
pub type Answers = BTreeMap<ReplicaId, Result<Position, HandshakeError>>;

/// A replica that can be started again.
#[derive(Debug)]
pub struct Recovered {
    /// The replica.
    pub replica: ReplicaId,
    /// What the others said.
    pub answers: Answers,
    /// The first view that it may take part in.
    pub view: View,
    /// It does not vote before its stable checkpoint has come so far.
    pub abstains: SeqNum,
    /// Where the files of its old store are now, if there were any.
    pub set_aside: Option<PathBuf>,
}

/// Why a replica was not recovered. Nothing was changed, but for [`RecoverError::Store`].
#[derive(Debug, Error)]
pub enum RecoverError {
    /// Cluster file or key.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its store is as it should be.
    #[error(
        "{path}: this store is in order, so nothing is lost; start the replica. To recover it all the same would \
         make it forget its votes"
    )]
    Sound {
        /// The store's directory.
        path: PathBuf,
    },
    /// Too few of the others say how far they are, or one of them lies.
    #[error("{error}; start the others, or leave out one that lies with --without{}", reasons(.answers))]
    Unknown {
        /// What is wrong with the answers.
        error: AmnesiaError,
        /// The answers.
        answers: Answers,
    },
    /// With this replica a learner, nobody would execute anything.
    #[error(
        "this replica would vote for nothing until the others have executed more, and the others are too few for \
         that: {voters}; let those vote again first, or give this replica its own store back. To leave the cluster \
         standing still, say --accept-standstill"
    )]
    Standstill {
        /// Who would vote.
        voters: Voters,
    },
    /// The old store could not be looked at or moved, or the new one could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn reasons(answers: &Answers) -> String {
    let failed = answers.iter().filter_map(|(id, answer)| Some((id, answer.as_ref().err()?)));
    failed.map(|(id, error)| format!("\n  {id}: {error}")).collect()
}

/// What to do if too few of the others vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutQuorum {
    /// Nothing: a replica that is recovered votes for nothing until others have executed more, so nobody ever would.
    #[default]
    Refuse,
    /// Recover it all the same; the cluster stands still until others vote again.
    AcceptStandstill,
}

/// Makes a new store for the replica of `directory`, whose old one is lost. Waits up to `patience` for the others to
/// answer, and to vote; those in `without` are not asked, and count as if they did not vote.
pub async fn recover(
    directory: &Path,
    without: &BTreeSet<ReplicaId>,
    patience: Duration,
    without_quorum: WithoutQuorum,
) -> Result<Recovered, RecoverError> {
    let (cluster, key, replica) = Setup::owner(directory)?;
    let identity = Identity::new(cluster.id(), replica);
    match Store::open(directory, identity) {
        Ok(store) if store.durable().halted.is_some() => {
            tracing::info!(
                "{}: the replica has halted; its state is given up",
                directory.display()
            );
        }
        Ok(_) => return Err(RecoverError::Sound { path: directory.to_owned() }),
        Err(error) if error.is_lost() => tracing::info!("{error}"),
        Err(error) => return Err(error.into()),
    }
    let params = cluster.params(replica);
    let answers = ask(&cluster, &key, &params, without, patience).await?;
    let positions =
        answers.iter().filter_map(|(id, answer)| Some((*id, *answer.as_ref().ok()?))).collect();
    let durable = match Durable::after_amnesia(&params, &positions) {
        Ok(durable) => durable,
        Err(error) => return Err(RecoverError::Unknown { error, answers }),
    };
    let voters = voters(&params, &answers);
    if !voters.are_enough() && without_quorum == WithoutQuorum::Refuse {
        return Err(RecoverError::Standstill { voters });
    }
    let set_aside = Store::set_aside(directory)?;
    drop(Store::create_with(directory, identity, &durable)?);
    let (view, abstains) = (durable.view, durable.abstains.unwrap_or_default());
    Ok(Recovered { replica, answers, view, abstains, set_aside })
}

/// Who would vote beside a learner.
fn voters(params: &Params, answers: &Answers) -> Voters {
    let said = params.membership.others(params.replica).map(|id| {
        let said = match answers.get(&id) {
            Some(Ok(position)) => Ok((position.view, position.standing)),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("left out".to_owned()),
        };
        (id, said)
    });
    Voters::count(params.membership, said)
}

/// Whether somebody who stands like this may vote in a moment.
fn may_vote_soon(standing: Standing) -> bool {
    match standing {
        Standing::AwaitsView { .. } | Standing::FetchesState { .. } | Standing::NoSpace => true,
        Standing::Votes | Standing::Recovering { .. } | Standing::Halted => false,
    }
}

/// Asks each of the others how far it is. Asks again, while there is time, who does not answer or may vote soon.
async fn ask(
    cluster: &Cluster,
    key: &SecretKey,
    params: &Params,
    without: &BTreeSet<ReplicaId>,
    patience: Duration,
) -> Result<Answers, StartError> {
    let identity = TlsIdentity::new(key)?;
    let until = Instant::now() + patience;
    let mut asked = JoinSet::new();
    for id in params.membership.others(params.replica).filter(|id| !without.contains(id)) {
        let Some(info) = cluster.replicas().get(id.0 as usize) else { continue };
        let tls = Arc::new(client_config(&identity, info.key)?);
        let (address, cluster) = (info.address.clone(), cluster.id());
        asked.spawn(async move {
            loop {
                let answer = greet(&address, Arc::clone(&tls), cluster, 0).await;
                let is_final = match &answer {
                    Ok((_, position)) => !may_vote_soon(position.standing),
                    Err(_) => false,
                };
                if is_final || Instant::now() + RETRY > until {
                    return (id, answer.map(|(_, position)| position));
                }
                tokio::time::sleep(RETRY).await;
            }
        });
    }
    Ok(asked.join_all().await.into_iter().collect())
}
