use super::*;
use crate::store::{Identity, MemoryDisk, Store};
use pbft_core::types::{Digest, ReplicaId};
use proptest::prelude::*;

fn store() -> Store {
    Store::in_memory(&MemoryDisk::default(), Identity::new(Digest::default(), ReplicaId(0)))
        .expect("opened")
}

/// Executes operations one after the other and returns the results as text.
fn run(store: &mut Store, operations: &[&str]) -> Vec<String> {
    let mut transaction = store.begin().expect("begun");
    let results = transaction
        .with_state(|state| {
            operations
                .iter()
                .map(|operation| Ledger.execute(state, ClientId(0), operation.as_bytes()))
                .map(|result| String::from_utf8(result).expect("text"))
                .collect()
        })
        .expect("executed");
    transaction.commit().expect("committed");
    results
}

#[test]
fn money_moves() {
    let operations = [
        "open alice",
        "deposit alice 100",
        "deposit bob 1",
        "transfer alice bob 30",
        "withdraw bob 31",
        "balance alice",
        "balance bob",
    ];
    let results = ["ok 0", "ok 100", "ok 1", "ok 70 31", "ok 0", "ok 70", "ok 0"];
    assert_eq!(run(&mut store(), &operations), results);
}

#[test]
fn refusals_change_nothing() {
    let max = u64::MAX;
    let mut store = store();
    run(&mut store, &["deposit alice 50", &format!("deposit rich {max}")]);
    let before = store.state_digest().expect("read");
    let refused = [
        ("open alice", "refused account-exists alice".to_owned()),
        ("balance bob", "refused unknown-account bob".to_owned()),
        ("withdraw bob 1", "refused unknown-account bob".to_owned()),
        ("withdraw alice 51", "refused overdraft alice 50 51".to_owned()),
        ("transfer alice bob 1", "refused unknown-account bob".to_owned()),
        ("transfer bob alice 1", "refused unknown-account bob".to_owned()),
        ("transfer alice rich 50", format!("refused overflow rich {max} 50")),
        ("transfer alice rich 51", "refused overdraft alice 50 51".to_owned()),
        ("transfer alice alice 1", "refused same-account alice".to_owned()),
        ("deposit rich 1", format!("refused overflow rich {max} 1")),
        ("deposit alice 0", "refused malformed amount".to_owned()),
        ("deposit alice -500", "refused malformed amount".to_owned()),
        ("deposit alice 18446744073709551616", "refused malformed amount".to_owned()),
        ("deposit alice", "refused malformed form".to_owned()),
        ("deposit 100", "refused malformed form".to_owned()),
        ("deposit alice  100", "refused malformed form".to_owned()),
        ("deposit é 100", "refused malformed account".to_owned()),
        ("", "refused malformed form".to_owned()),
    ];
    for (operation, result) in refused {
        assert_eq!(run(&mut store, &[operation]), [result], "{operation}");
    }
    assert_eq!(store.state_digest().expect("read"), before);
}

#[test]
fn every_refusal_can_be_read() {
    let account = || Account::new("a").expect("a name");
    let (balance, amount) = (3, 4);
    let refusals = [
        Refusal::Malformed(OperationError::Form),
        Refusal::Malformed(OperationError::Amount),
        Refusal::Malformed(OperationError::Account(AccountError)),
        Refusal::UnknownAccount(account()),
        Refusal::AccountExists(account()),
        Refusal::SameAccount(account()),
        Refusal::Overdraft { account: account(), balance, amount },
        Refusal::Overflow { account: account(), balance, amount },
    ];
    for refusal in refusals {
        let outcome = Outcome::Refused(refusal);
        assert_eq!(Outcome::decode(&outcome.encode()), Some(outcome));
    }
    assert_eq!(Outcome::decode(b"ok"), None);
    assert_eq!(Outcome::decode(b"refused because"), None);
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut store = store();
        let mut transaction = store.begin().expect("begun");
        let result = transaction
            .with_state(|state| Ledger.execute(state, ClientId(0), &bytes))
            .expect("executed");
        prop_assert!(Outcome::decode(&result).is_some());
    }

    #[test]
    fn operations_have_one_form(text in "(open|deposit|withdraw|transfer|balance)( [a-c0-9é]{0,3}){0,4}") {
        if let Ok(operation) = Operation::parse(text.as_bytes()) {
            prop_assert_eq!(operation.encode(), text.into_bytes());
        }
    }

    #[test]
    fn transfers_keep_the_sum(moves in proptest::collection::vec((0..3usize, 0..3usize, 1..200u64), 0..30)) {
        let names = ["a", "b", "c"];
        let mut store = store();
        run(&mut store, &["deposit a 100", "deposit b 100", "deposit c 100"]);
        for (from, to, amount) in moves {
            run(&mut store, &[&format!("transfer {} {} {amount}", names[from], names[to])]);
        }
        let balances = run(&mut store, &["balance a", "balance b", "balance c"]);
        let sum: u64 = balances.iter().map(|b| b["ok ".len()..].parse::<u64>().expect("a number")).sum();
        prop_assert_eq!(sum, 300);
    }
}
