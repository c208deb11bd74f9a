//! What is final stays provable: whoever has executed a batch proves to others that they may, also after a restart, until a
//! stable checkpoint covers it.

use crate::common::craft::{self, request};
use crate::common::{Cluster, Envelope, without};
use pbft_core::message::Message;
use pbft_core::types::{SeqNum, View};
use pbft_core::{Input, Record};
use std::sync::Arc;

/// A checkpoint after every fourth batch, and a window of two.
fn cluster() -> Cluster {
    Cluster::with(4, |params| (params.checkpoint_interval, params.window) = (4, 8))
}

/// One request a batch, in a row; what `pass` says no to is lost.
fn order(
    cluster: &mut Cluster,
    timestamps: std::ops::RangeInclusive<u64>,
    pass: impl Fn(&Envelope) -> bool,
) {
    for timestamp in timestamps {
        cluster.request(0, &request(1, timestamp)).expect("a new request");
        cluster.run_where(&pass);
    }
}

fn power_fails(cluster: &mut Cluster) {
    cluster.ids().for_each(|id| cluster.crash(id));
    cluster.queue.clear();
}

fn proved(cluster: &Cluster, id: u32) -> Vec<u64> {
    cluster.summary(id).committed.keys().map(|seq| seq.0).collect()
}

/// Replicas 0 and 1 have executed #37 to #43 with the help of replica 3, which lies: it signs no checkpoint, and is silent
/// from now on. Replica 2 had left the view alone before. Then the power goes at all of them.
fn two_know_what_is_final() -> Cluster {
    let mut cluster = cluster();
    order(&mut cluster, 1..=36, |_| true);
    cluster.assert_all_at(36);
    cluster.input(2, Input::Suspect).expect("always possible");
    cluster.queue.clear();
    let apart = without(&[2]);
    order(&mut cluster, 37..=43, |envelope| {
        let signs = envelope.from.0 == 3 && envelope.message.kind() == "checkpoint";
        apart(envelope) && !signs
    });
    assert_eq!([0, 1, 2].map(|id| cluster.executed(id).0), [43, 43, 36]);
    assert_eq!(cluster.summary(0).low_water_mark, SeqNum(36));
    power_fails(&mut cluster);
    cluster.corrupt(3);
    (0..3).for_each(|id| cluster.restart(id));
    cluster.queue.clear();
    cluster
}

/// Outside fault F2: Nobody could prove what was final after a restart, so a replica stayed behind while all was quiet.
#[test]
fn what_is_final_is_proved_after_a_restart() {
    let mut cluster = two_know_what_is_final();
    assert_eq!(proved(&cluster, 0), (37..=43).collect::<Vec<_>>());
    cluster.pass(300);
    assert_eq!(cluster.executed(2), SeqNum(43), "by its second STATUS");
    cluster.assert_all_at(43);
    assert_eq!([0, 1, 2].map(|id| cluster.view(id).0.0), [0, 0, 1], "no view was left for that");
    // Its checkpoint was all that #40 lacked.
    for id in 0..3 {
        assert_eq!(cluster.summary(id).low_water_mark, SeqNum(40));
        assert_eq!(proved(&cluster, id), [41, 42, 43]);
        let durable = &cluster.nodes[id as usize].durable;
        assert_eq!(durable.committed.keys().map(|seq| seq.0).collect::<Vec<_>>(), [41, 42, 43]);
    }
}

/// Outside fault F2: What a replica had executed by a certificate alone was lost at a restart, batch and all.
#[test]
fn a_batch_that_came_in_a_certificate_is_handed_on_and_served_after_a_restart() {
    let mut cluster = cluster();
    [0, 2, 3].into_iter().for_each(|id| cluster.corrupt(id));
    let batch = craft::batch(1);
    cluster.inject(0, 1, craft::committed(0, 1, &batch, &[0, 2, 3])).expect("final");
    for view in [0, 5] {
        while cluster.view(1).0 < View(view) {
            cluster.input(1, Input::Suspect).expect("always possible");
        }
        cluster.crash(1);
        cluster.restart(1);
        let asked = Message::FetchBatch(batch.digest());
        let served = cluster.inject(2, 1, asked).expect("it has the batch");
        let served: Vec<_> = served.iter().filter_map(sent).collect();
        assert_eq!(served, [&Message::Batch(Arc::clone(&batch))]);
        let told = cluster.inject(2, 1, craft::status(2, view, true, 0, 0)).expect("answered");
        let handed_on = craft::committed(0, 1, &batch, &[0, 2, 3]);
        assert!(told.iter().filter_map(sent).any(|message| *message == handed_on), "{told:?}");
    }
}

fn sent(effect: &pbft_core::Effect) -> Option<&Message> {
    match effect {
        pbft_core::Effect::Send { message, .. } => Some(message),
        _ => None,
    }
}

/// The batch of an accepted pre-prepare is on the disk already; it is written again only if it came in a certificate.
#[test]
fn a_batch_is_written_once_and_before_its_execution() {
    for accepted in [true, false] {
        let mut cluster = cluster();
        [0, 2, 3].into_iter().for_each(|id| cluster.corrupt(id));
        let batch = craft::batch(1);
        if accepted {
            cluster.inject(0, 1, craft::proposal(0, 1, &batch, 0)).expect("accepted");
        }
        let certificate = craft::committed(0, 1, &batch, &[0, 2, 3]);
        let effects = cluster.inject(0, 1, certificate).expect("final");
        let at = |wanted: fn(&pbft_core::Effect) -> bool| effects.iter().position(wanted);
        let record = at(|e| matches!(e, pbft_core::Effect::Persist(Record::Committed { .. })));
        let execution = at(|e| matches!(e, pbft_core::Effect::Execute { .. }));
        assert!(record.is_some() && record < execution, "{effects:?}");
        let Some(pbft_core::Effect::Persist(record)) = record.map(|at| &effects[at]) else {
            panic!("a record was found");
        };
        let Record::Committed { batch: written, .. } = record else { panic!("it is one") };
        assert_eq!(written.as_ref(), (!accepted).then_some(&batch));
        assert!(!record.is_binding(), "replies do not wait for it");
        assert_eq!(cluster.nodes[1].durable.committed[&SeqNum(1)].batch, batch);
    }
}
