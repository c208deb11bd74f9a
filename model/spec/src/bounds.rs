//! What the bounds of a configuration make possible: which witnesses, events and properties it is large enough for.

use crate::config::Config;
use crate::ids::{ReplicaId, Slot, View};

/// Whatever the bounds.
pub(crate) const fn always(_: &Config) -> bool {
    true
}

/// Whether there is a Byzantine replica.
pub(crate) const fn has_byzantine(config: &Config) -> bool {
    config.byzantine_count() > 0
}

/// Whether there is a view to change to.
pub(crate) const fn has_view_changes(config: &Config) -> bool {
    config.max_view().0 >= 1
}

/// Whether there are two views to change to.
pub(crate) const fn has_two_view_changes(config: &Config) -> bool {
    config.max_view().0 >= 2
}

/// The views.
pub(crate) fn views(config: &Config) -> impl Iterator<Item = u8> + use<> {
    0..=config.max_view().0
}

/// The views that can be left.
pub(crate) fn views_before_last(config: &Config) -> impl Iterator<Item = u8> + use<> {
    0..config.max_view().0
}

/// Whether the primary of the view is honest.
pub(crate) fn honest_leads(config: &Config, view: u8) -> bool {
    !config.is_byzantine(ReplicaId(view % config.replicas()))
}

/// Whether a Byzantine replica is a backup in the view.
pub(crate) fn byzantine_backs(config: &Config, view: u8) -> bool {
    config.byzantine_count() > u8::from(!honest_leads(config, view))
}

/// Whether some view has an honest primary.
pub(crate) fn has_honest_view(config: &Config) -> bool {
    views(config).any(|view| honest_leads(config, view))
}

/// Whether some view after the first has an honest primary.
pub(crate) fn has_honest_later_view(config: &Config) -> bool {
    views(config).skip(1).any(|view| honest_leads(config, view))
}

/// Whether some view has a Byzantine primary.
pub(crate) fn byzantine_leads(config: &Config) -> bool {
    leads_below(config, config.max_view().next())
}

/// Whether some view after the first has a Byzantine primary.
pub(crate) fn byzantine_leads_later(config: &Config) -> bool {
    views(config).skip(1).any(|view| !honest_leads(config, view))
}

/// Whether a Byzantine replica can say something in a view change.
pub(crate) fn changes_view_among_byzantines(config: &Config) -> bool {
    has_view_changes(config) && has_byzantine(config)
}

/// Whether a Byzantine replica can have certificates of two views for different requests at a slot.
pub(crate) fn has_two_certificates(config: &Config) -> bool {
    has_two_view_changes(config) && has_byzantine(config) && config.requests() >= 2
}

/// Whether a faulty primary has two slots in which to order one request.
pub(crate) fn has_duplicates(config: &Config) -> bool {
    config.last_slot() >= Slot(2) && config.window() >= 2 && byzantine_leads(config)
}

/// Whether the first checkpoint is within reach: there are requests enough, or a faulty primary that orders one twice.
pub(crate) fn has_checkpoints(config: &Config) -> bool {
    let enough =
        |interval| interval <= config.requests() || leads_below(config, config.max_view().next());
    config.checkpoint_interval().is_some_and(enough)
}

/// Whether something can be accepted above the first checkpoint by a replica that has not executed so far.
pub(crate) fn has_slots_above_a_checkpoint(config: &Config) -> bool {
    let above = |interval| config.last_slot() > Slot(interval) && config.window() > interval;
    has_checkpoints(config)
        && config.checkpoint_interval().is_some_and(above)
        && (config.requests() >= 2 || byzantine_leads(config))
}

/// Whether a Byzantine replica is primary of a view below `view`.
pub(crate) fn leads_below(config: &Config, view: View) -> bool {
    (0..view.0).any(|view| config.is_byzantine(ReplicaId(view % config.replicas())))
}

/// Whether a certificate can stand above a slot without one: an honest primary proposes two requests, or a faulty one
/// skips a slot.
pub(crate) fn has_gap(config: &Config) -> bool {
    config.last_slot() >= Slot(2)
        && config.window() >= 2
        && config.max_view() > View(0)
        && (config.requests() >= 2 || leads_below(config, config.max_view()))
}
