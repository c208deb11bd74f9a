//! The scenes on real processes. Each has a cluster of its own.

use super::cluster::{NOTHING_HAPPENS, Scene, Seen, VIEW_TIMEOUT, ledgers_in_words, words};
use super::story::{Different, Story};
use pbft_ledger::Outcome;
use pbft_tests::direct::Direct;
use pbft_tests::process::run_pbft;
use rustix::process::Signal;

/// S1.1: fewer than four are refused; below a quorum nothing is decided, and nothing is lost.
pub(super) async fn too_few(story: &mut Story) -> Result<(), Different> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let made = run_pbft(directory.path(), &["testnet", "--replicas", "3"]);
    let message = String::from_utf8_lossy(&made.stderr).trim().replace('\n', "; ");
    let refused = made.status.code() == Some(2)
        && message.contains("at least 4")
        && !directory.path().join("cluster").exists();
    story.check(
        "pbft testnet --replicas 3",
        format!("exit {:?}: {message}", made.status.code().unwrap_or(-1)),
        "exit 2, with the reason; nothing is written",
        refused,
    )?;

    let mut scene = Scene::open(story).await?;
    scene.cluster.kill_replica(2);
    scene.cluster.kill_replica(3);
    let before = scene.look().await;
    let executed = before.answers().map(|one| one.last_executed).max();
    let waiting = scene.soon("deposit alice 7");
    tokio::time::sleep(NOTHING_HAPPENS).await;
    let seen = scene.look().await;
    let idle = seen.answers().all(|one| Some(one.last_executed) <= executed);
    let answered = if waiting.is_finished() { "an answer" } else { "no answer" };
    let seconds = NOTHING_HAPPENS.as_secs();
    scene.story.check(
        "kill -9 replicas 2 and 3; deposit alice 7",
        format!("{answered} within {seconds} s; {seen}"),
        "no answer, nothing more is executed: a quorum is 3",
        idle && !waiting.is_finished() && seen.answers().count() == 2,
    )?;
    let ledgers = scene.ledgers().await;
    scene.story.check(
        "ask each ledger for alice",
        ledgers_in_words(&ledgers),
        "100 100 - -: both that are left keep what they had",
        ledgers_in_words(&ledgers) == "100 100 - -",
    )?;

    scene.cluster.start_replica(2);
    let outcome = waiting.await.unwrap_or_else(|error| Err(error.to_string()));
    let seen = scene.until(|seen| seen.agree(3)).await;
    scene.story.check(
        "replica 2 returns",
        format!("the deposit that waited: {}; {seen}", words(&outcome)),
        "alice: 107; three replicas go on",
        outcome == Ok(Outcome::Balance(107)) && seen.agree(3),
    )?;
    scene.cluster.start_replica(3);
    let seen = scene.until(|seen| seen.agree(4)).await;
    let balance = scene.now("balance alice").await.0;
    scene.story.check(
        "replica 3 returns; balance alice",
        format!("{}; {seen}", words(&balance)),
        "alice: 107, executed once; all four agree",
        balance == Ok(Outcome::Balance(107)) && seen.agree(4),
    )
}

/// S1.4: a client that is not answered tells all replicas, and they depose the primary.
pub(super) async fn client_intervenes(story: &mut Story) -> Result<(), Different> {
    let mut scene = Scene::open(story).await?;
    scene.cluster.process(0).signal(Signal::STOP);
    scene.story.note(
        "kill -STOP replica 0, the primary",
        "its connections stay open; it says nothing any more",
    );
    let (outcome, took) = scene.now("deposit alice 5").await;
    let seen = scene.until(|seen| seen.agree(3)).await;
    scene.story.check(
        "deposit alice 5: to the primary, and after half a second to all; they relay it, and lose patience",
        format!("{} after {:.1} s; {seen}", words(&outcome), took.as_secs_f64()),
        "alice: 105, after more than the view timeout of 1 s; view 1",
        outcome == Ok(Outcome::Balance(105)) && took > VIEW_TIMEOUT && seen.all_in_view(1),
    )?;
    scene.cluster.process(0).signal(Signal::CONT);
    let seen = scene.until(|seen| seen.agree(4)).await;
    let balance = scene.now("balance alice").await.0;
    scene.story.check(
        "kill -CONT replica 0; balance alice",
        format!("{}; {seen}", words(&balance)),
        "alice: 105, executed once, though every replica had the request; all in view 1",
        balance == Ok(Outcome::Balance(105)) && seen.agree(4) && seen.all_in_view(1),
    )
}

/// S1.5: the primary is killed; another is killed; one returns.
pub(super) async fn primaries_fail(story: &mut Story) -> Result<(), Different> {
    let mut scene = Scene::open(story).await?;
    scene.cluster.kill_replica(0);
    let next = |seen: &Seen| seen.agree(3) && seen.all_in_view(1);
    let did = "kill -9 replica 0, the primary; ";
    scene.operate(did, "deposit alice 10", 110, ("three agree in view 1", next)).await?;

    scene.cluster.kill_replica(1);
    let waiting = scene.soon("deposit alice 1000");
    tokio::time::sleep(NOTHING_HAPPENS).await;
    let seen = scene.look().await;
    let leaderless = seen.answers().all(|report| !report.active) && !waiting.is_finished();
    scene.story.check(
        "kill -9 replica 1, the primary of view 1; deposit alice 1000",
        format!("no answer within {} s; {seen}", NOTHING_HAPPENS.as_secs()),
        "no new view: two of four are no quorum (a view in parentheses has not begun)",
        leaderless && seen.answers().count() == 2,
    )?;

    scene.cluster.start_replica(0);
    let outcome = waiting.await.unwrap_or_else(|error| Err(error.to_string()));
    let seen = scene.until(|seen| seen.agree(3)).await;
    scene.story.check(
        "replica 0 returns",
        format!("the deposit that waited: {}; {seen}", words(&outcome)),
        "alice: 1110; a view whose primary is alive",
        outcome == Ok(Outcome::Balance(1110)) && seen.agree(3) && seen.view() % 4 != 1,
    )?;
    scene.cluster.start_replica(1);
    let seen = scene.until(|seen| seen.agree(4)).await;
    scene.story.check("replica 1 returns", seen.to_string(), "all four agree", seen.agree(4))
}

/// S1.6: there is no heartbeat; a replica that was away learns the view from the others' status.
pub(super) async fn rejoining(story: &mut Story) -> Result<(), Different> {
    let mut scene = Scene::open(story).await?;
    scene.cluster.kill_replica(0);
    let next = |seen: &Seen| seen.agree(3) && seen.all_in_view(1);
    let did = "kill -9 replica 0, the primary; ";
    scene.operate(did, "deposit alice 10", 110, ("three agree in view 1", next)).await?;
    let before = scene.look().await;
    let executed = before.answers().map(|one| one.last_executed).max();
    scene.cluster.start_replica(0);
    let seen = scene.until(|seen| seen.agree(4)).await;
    let quiet = seen.answers().all(|one| Some(one.last_executed) == executed);
    scene.story.check(
        "replica 0, which led view 0 when it died, returns; no client asks for anything",
        seen.to_string(),
        "it takes part in view 1, with the others' state",
        seen.agree(4) && seen.all_in_view(1) && quiet,
    )?;
    let all = |seen: &Seen| seen.agree(4) && seen.all_in_view(1);
    scene.operate("", "deposit alice 1", 111, ("still view 1", all)).await
}

/// S1.7: one that lags is brought up; a primary of the past cannot undo what was committed without it.
pub(super) async fn catching_up(story: &mut Story) -> Result<(), Different> {
    const MISSED: u64 = 40;
    let mut scene = Scene::open(story).await?;
    scene.cluster.kill_replica(3);
    for number in 1..=MISSED {
        let (outcome, _) = scene.now("deposit alice 1").await;
        if outcome != Ok(Outcome::Balance(100 + number)) {
            let saw = words(&outcome);
            return scene.story.check("deposit alice 1", saw, "one more", false);
        }
    }
    let ahead = scene.until(|seen| seen.agree(3)).await;
    let low = ahead.answers().map(|one| one.low_water_mark.0).max().unwrap_or_default();
    scene.story.check(
        format!("kill -9 replica 3; {MISSED} deposits"),
        format!("{ahead}; the others' logs begin after {low}"),
        "what replica 3 missed is in nobody's log any more",
        ahead.agree(3) && low > 16,
    )?;
    scene.cluster.start_replica(3);
    let seen = scene.until(|seen| seen.agree(4)).await;
    scene.story.check(
        "replica 3 returns",
        seen.to_string(),
        "it fetches the checkpoint's state; all four agree, still in view 0",
        seen.agree(4) && seen.all_in_view(0),
    )?;

    scene.cluster.process(0).signal(Signal::STOP);
    let next = |seen: &Seen| seen.agree(3) && seen.all_in_view(1);
    let did = "kill -STOP replica 0, the primary; ";
    scene.operate(did, "deposit alice 60", 200, ("three agree in view 1", next)).await?;
    scene.cluster.process(0).signal(Signal::CONT);
    let seen = scene.until(|seen| seen.agree(4)).await;
    let ledgers = scene.ledgers().await;
    let kept = ledgers_in_words(&ledgers) == "200 200 200 200";
    scene.story.check(
        "kill -CONT replica 0, which still believes that it leads view 0",
        format!("{seen}; alice has {}", ledgers_in_words(&ledgers)),
        "it takes over what was committed without it: all four have alice: 200, in view 1",
        seen.agree(4) && seen.all_in_view(1) && kept,
    )
}

/// S1.8: a backup that alone gets a request forwards it to the primary.
pub(super) async fn forwarding(story: &mut Story) -> Result<(), Different> {
    let scene = Scene::open(story).await?;
    let mut direct = Direct::dial(&scene.cluster, 1, 2).await;
    direct.request(0, 1, "deposit alice 11").await;
    let outcome = direct.reply(VIEW_TIMEOUT).await;
    let seen = scene.until(|seen| seen.agree(4)).await;
    scene.story.check(
        "another client sends deposit alice 11 to replica 2, a backup, and to nobody else",
        format!("replica 2 answers {}; {seen}", words(&outcome)),
        "alice: 111 within the view timeout; all four execute it in view 0",
        outcome == Ok(Outcome::Balance(111)) && seen.agree(4) && seen.all_in_view(0),
    )
}

/// S1.10, on processes: nothing is asked, nothing happens.
pub(super) async fn idle(story: &mut Story) -> Result<(), Different> {
    let idle = VIEW_TIMEOUT * 6;
    let mut scene = Scene::open(story).await?;
    tokio::time::sleep(idle).await;
    let seen = scene.look().await;
    scene.story.check(
        format!("nobody asks for anything for {} s, six times the view timeout", idle.as_secs()),
        seen.to_string(),
        "all in view 0",
        seen.agree(4) && seen.all_in_view(0),
    )?;
    let same = |seen: &Seen| seen.agree(4) && seen.all_in_view(0);
    scene.operate("", "deposit alice 1", 101, ("still view 0", same)).await
}
