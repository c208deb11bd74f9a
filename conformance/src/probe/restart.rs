//! What a crash and a restart bring back.

use super::{Place, repeating};
use crate::divergence::{Difference, Kind};
use crate::refinement::state::Local;
use crate::signpost::Fact;
use crate::signpost::deeds::Field;
use crate::signpost::given::Given;
use crate::subject::{Restarted, Subject};
use pbft_core::Footprint;
use pbft_core::message::Message;

/// A crash and a restart change nothing that the protocol knows, and an unfinished VIEW-CHANGE is repeated.
pub(crate) fn compare_restart<S: Subject>(
    place: &Place<'_>,
    subject: &mut S,
) -> Result<(), Difference> {
    let vocabulary = place.source.vocabulary;
    let (before, held) = (subject.summary(), subject.footprint());
    let restarted = subject.after_restart(vocabulary);
    let restarted = restarted.map_err(|difference| difference.given(Given::Start))?;
    let Some(Restarted { summary: after, footprint, said }) = restarted else {
        return Ok(());
    };
    let kept = |of: &Footprint| [("bodies", of.bodies), ("replies", of.replies)];
    if before == after && kept(&held) != kept(&footprint) {
        let diff = vec![format!("- {:?}", kept(&held)), format!("+ {:?}", kept(&footprint))];
        let wrong = Difference::new(Kind::Restart, "a restart forgets what is to be served");
        let wrong = wrong.with_diff(diff).given(Given::Start);
        return Err(wrong.with(Fact::Restarted).with(Fact::Field(Field::Held)));
    }
    if before == after {
        let as_before = repeating::check_said(place, &said);
        as_before.map_err(|wrong| wrong.with(Fact::Restarted).given(Given::Start))?;
        let repeats = said.iter().any(|message| matches!(message, Message::ViewChange(_)));
        return match repeats || after.active {
            true => Ok(()),
            false => {
                let wrong = Difference::new(Kind::Restart, "the VIEW-CHANGE is not repeated");
                Err(wrong.with(Fact::Field(Field::OwnViewChange)).given(Given::Start))
            }
        };
    }
    let what = "a crash and a restart from what is durable change the replica";
    let image = |summary| Local::of_core(vocabulary, summary, &subject.history());
    let diff = match (image(&before), image(&after)) {
        (Ok(before), Ok(after)) => before.diff(&after),
        (_, _) => vec![format!("- {before:?}"), format!("+ {after:?}")],
    };
    let difference = Difference::new(Kind::Restart, what).with_diff(diff).given(Given::Start);
    let fields = Field::between(&before, &after).into_iter().map(Fact::Field);
    Err(fields.fold(difference, Difference::with))
}
