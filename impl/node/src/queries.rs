//! Questions to one replica's state. Nothing of them is ordered: they are answered beside the execution, from a
//! snapshot of what is committed, and cannot hold the protocol up.

use crate::frame::{QueryAnswer, RefusalReason};
use crate::service::Service;
use crate::store::{StateReader, StoreError};
use pbft_core::types::ClientId;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most queries that are answered at a time. More than that wait; a connection has one under way.
const AT_A_TIME: usize = 2;

/// What is answered in place of an answer that is longer than the cluster's `result_bytes_max`.
const ANSWER_TOO_LARGE: &[u8] = b"refused: the answer is larger than result_bytes_max";

/// Answers queries for one replica.
#[derive(Clone)]
pub struct Queries {
    service: Arc<dyn Service>,
    reader: StateReader,
    turns: Arc<Semaphore>,
    bytes_max: usize,
}

impl std::fmt::Debug for Queries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queries").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Queries {
    /// Answers with `service` from what `reader` sees, in at most `bytes_max` bytes.
    pub fn new(service: Arc<dyn Service>, reader: StateReader, bytes_max: usize) -> Self {
        Self { service, reader, turns: Arc::new(Semaphore::new(AT_A_TIME)), bytes_max }
    }

    /// Answers one query.
    pub async fn answer(&self, client: ClientId, query: Vec<u8>) -> QueryAnswer {
        let Ok(_turn) = self.turns.acquire().await else { return Err(RefusalReason::Unanswered) };
        let own = self.clone();
        let answered = tokio::task::spawn_blocking(move || own.read(client, &query)).await;
        match answered {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(RefusalReason::Unanswered),
            Ok(Err(error)) => {
                tracing::warn!(%client, "a query was not answered: {error}");
                Err(RefusalReason::Unanswered)
            }
            Err(panic) => {
                tracing::error!(%client, "the service cannot answer a query: {panic}");
                Err(RefusalReason::Unanswered)
            }
        }
    }

    fn read(
        &self,
        client: ClientId,
        query: &[u8],
    ) -> Result<Option<(pbft_core::types::SeqNum, Vec<u8>)>, StoreError> {
        let Some(mut view) = self.reader.view()? else { return Ok(None) };
        let mut answer = self.service.query(&mut view, client, query);
        if answer.len() > self.bytes_max {
            answer = ANSWER_TOO_LARGE.iter().take(self.bytes_max).copied().collect();
        }
        let seq = view.seq();
        view.finish()?;
        Ok(Some((seq, answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceId;
    use crate::state::{State, StateView};
    use crate::store::{Identity, MemoryDisk, Store};
    use pbft_core::types::{Digest, ReplicaId, SeqNum};

    /// Answers with as many bytes as are asked for, or not at all.
    struct Talker;

    impl Service for Talker {
        fn id(&self) -> ServiceId {
            ServiceId::new("talker", 1)
        }

        fn execute(&self, _: &mut State<'_>, _: ClientId, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }

        fn query(&self, state: &mut StateView, _: ClientId, query: &[u8]) -> Vec<u8> {
            assert!(!query.is_empty(), "the test's panic");
            [state.get(b"key").unwrap_or_default(), query.to_vec()].concat()
        }
    }

    #[tokio::test]
    async fn queries_are_answered_bounded_and_may_fail_alone() {
        let identity = Identity::new(Digest::default(), ReplicaId(0));
        let mut store = Store::in_memory(&MemoryDisk::default(), identity).expect("opened");
        let mut transaction = store.begin();
        transaction.with_state(|state| state.put(b"key", b"v")).expect("open").expect("small");
        transaction.commit().expect("committed");
        let queries = Queries::new(Arc::new(Talker), store.reader(), 60);
        let ask = |query: &[u8]| queries.answer(ClientId(1), query.to_vec());
        assert_eq!(ask(b"x").await, Ok((SeqNum(0), b"vx".to_vec())));
        let (_, long) = ask(&[7; 60]).await.expect("an answer");
        assert_eq!(long, ANSWER_TOO_LARGE);
        assert_eq!(ask(b"").await, Err(RefusalReason::Unanswered), "a panic of the service");
        assert!(ask(b"x").await.is_ok(), "the next one is answered");
        drop(store);
        assert_eq!(ask(b"x").await, Err(RefusalReason::Unanswered), "the store is closed");
    }
}
