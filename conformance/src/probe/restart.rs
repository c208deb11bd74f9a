//! What a crash and a restart bring back.

use super::{Place, repeating};
use crate::divergence::{Difference, Kind};
use crate::refinement::state::Local;
use crate::subject::{Restarted, Subject};
use pbft_core::message::Message;

/// A crash and a restart change nothing that the protocol knows, and an unfinished VIEW-CHANGE is repeated.
pub(crate) fn compare_restart<S: Subject>(
    place: &Place<'_>,
    subject: &mut S,
) -> Result<(), Difference> {
    let vocabulary = place.source.vocabulary;
    let before = subject.summary();
    let Some(Restarted { summary: after, said }) = subject.after_restart(vocabulary)? else {
        return Ok(());
    };
    if before == after {
        repeating::check_said(place, &said)?;
        let repeats = said.iter().any(|message| matches!(message, Message::ViewChange(_)));
        return match repeats || after.active {
            true => Ok(()),
            false => Err(Difference::new(Kind::Restart, "the VIEW-CHANGE is not repeated")),
        };
    }
    let what = "a crash and a restart from what is durable change the replica";
    let image = |summary| Local::of_core(vocabulary, summary, &subject.history());
    let diff = match (image(&before), image(&after)) {
        (Ok(before), Ok(after)) => before.diff(&after),
        (_, _) => vec![format!("- {before:?}"), format!("+ {after:?}")],
    };
    Err(Difference::new(Kind::Restart, what).with_diff(diff))
}
