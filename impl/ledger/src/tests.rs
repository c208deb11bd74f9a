use super::*;
use pbft_core::types::{Digest, ReplicaId};
use pbft_node::store::{Identity, MemoryDisk, Store};
use proptest::prelude::*;

fn store() -> Store {
    Store::in_memory(&MemoryDisk::default(), Identity::new(Digest::default(), ReplicaId(0)))
        .expect("opened")
}

/// Executes operations one after the other and returns the results as text.
fn run(store: &mut Store, operations: &[&str]) -> Vec<String> {
    let mut transaction = store.begin();
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
fn a_statement_shows_the_last_entries() {
    let mut store = store();
    let results = run(
        &mut store,
        &[
            "open alice",
            "deposit alice 100",
            "deposit bob 1",
            "transfer alice bob 30",
            "withdraw bob 2",
            "statement alice",
            "statement bob",
            "accounts",
            "accounts alice",
            "audit",
            "echo so",
        ],
    );
    assert_eq!(
        results[5..],
        [
            "statement 70 3 opened deposit:100 to:bob:30",
            "statement 29 3 deposit:1 from:alice:30 withdrawal:2",
            "accounts alice:70 bob:29",
            "accounts bob:29",
            "audit 2 99 101 2",
            "echo so",
        ]
    );
    for amount in 1..=40 {
        run(&mut store, &[&format!("deposit alice {amount}")]);
    }
    let statement = run(&mut store, &["statement alice"]).remove(0);
    let Some(Outcome::Statement(record)) = Outcome::decode(statement.as_bytes()) else {
        panic!("{statement}")
    };
    assert_eq!((record.balance, record.count), (70 + 820, 43));
    let kept: Vec<Entry> = (25..=40).map(Entry::Deposit).collect();
    assert_eq!(record.entries, kept);
}

#[test]
fn an_audit_adds_up_every_account() {
    let mut store = store();
    // More accounts than are read at a time, and than one list shows.
    let operations: Vec<String> =
        (0..2 * PAGE + 7).map(|i| format!("deposit a{i} {i}")).skip(1).collect();
    run(&mut store, &operations.iter().map(String::as_str).collect::<Vec<_>>());
    run(&mut store, &["withdraw a7 7"]);
    let (accounts, sum) = (2 * PAGE + 6, (1..2 * PAGE + 7).sum::<usize>());
    assert_eq!(run(&mut store, &["audit"]), [format!("audit {accounts} {} {sum} 7", sum - 7)]);
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|(account, _): &(Account, u64)| format!(" {account}"));
        let page = run(&mut store, &[&format!("accounts{}", after.unwrap_or_default())]).remove(0);
        let Some(Outcome::Accounts(page)) = Outcome::decode(page.as_bytes()) else {
            panic!("{page}")
        };
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), accounts);
    assert_eq!(listed.iter().map(|(_, balance)| *balance as usize).sum::<usize>(), sum - 7);
    let unbalanced = Audit { accounts: 1, sum: 5, totals: Totals { deposited: 6, withdrawn: 0 } };
    assert!(!unbalanced.is_balanced() && Audit::default().is_balanced());
}

#[test]
fn queries_read_and_change_nothing() {
    let mut store = store();
    run(&mut store, &["deposit alice 100"]);
    let before = store.state_digest().expect("read");
    let query = |query: &str| {
        let mut view = store.reader().view().expect("read").expect("open");
        let answer = Ledger.query(&mut view, ClientId(0), query.as_bytes());
        String::from_utf8(answer).expect("text")
    };
    assert_eq!(query("balance alice"), "ok 100");
    assert_eq!(query("statement alice"), "statement 100 1 deposit:100");
    assert_eq!(query("accounts"), "accounts alice:100");
    assert_eq!(query("audit"), "audit 1 100 100 0");
    assert_eq!(query("balance bob"), "refused unknown-account bob");
    assert_eq!(query("deposit alice 1"), "refused not-a-query");
    assert_eq!(query("rob alice"), "refused malformed form");
    assert_eq!(store.state_digest().expect("read"), before);
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
        Refusal::NotAQuery,
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
    fn any_bytes_are_a_record_or_not(bytes in proptest::collection::vec(0..6u8, 0..60)) {
        if let Some(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut store = store();
        let mut transaction = store.begin();
        let result = transaction
            .with_state(|state| Ledger.execute(state, ClientId(0), &bytes))
            .expect("executed");
        prop_assert!(Outcome::decode(&result).is_some());
    }

    #[test]
    fn operations_have_one_form(text in "(open|deposit|withdraw|transfer|balance|statement|accounts|audit|echo)( [a-c0-9é]{0,3}){0,4}") {
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
