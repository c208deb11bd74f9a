//! A trace as a Mermaid sequence diagram, which code forges draw inside a page of text.

use std::fmt::Write;

use super::{NotEnabled, Trace};
use crate::svg::story::{Message, Story};
use pbft_model::Pbft;
use pbft_model::ids::ReplicaId;

/// Draws the steps by the rules of the picture in [`crate::svg`]: an arrow for each message that a step used, where it used it,
/// those of Byzantine replicas dashed; then a note with what the replica did and what that changed. What nobody used is
/// not drawn.
pub fn sequence_diagram(trace: &Trace, model: &Pbft) -> Result<String, NotEnabled> {
    let replicas = || (0..model.config().replicas()).map(ReplicaId);
    let mut text = format!("sequenceDiagram\n  %% {}\n", escape(&trace.headline()));
    for id in replicas() {
        let role = if model.is_byzantine(id) { " (Byzantine)" } else { "" };
        let _ = writeln!(text, "  participant p{} as {}", id.0, escape(&format!("{id}{role}")));
    }
    trace.states(model)?;
    for (index, step) in Story::new(model, &trace.actions).steps.iter().enumerate() {
        let actor = step.action.replica();
        // What a NEW-VIEW rests on reaches the primary that sent it.
        let new_view = step.uses.first().map_or(actor, |new_view| new_view.from);
        let behind = step.behind.iter().map(|message| (message, new_view));
        for (message, to) in behind.chain(step.uses.iter().map(|message| (message, actor))) {
            if let Some(arrow) = arrow(model, message, to) {
                let _ = writeln!(text, "  {arrow}");
            }
        }
        let prefix = format!("{actor}: ");
        let own = step.changes.iter().filter_map(|change| change.strip_prefix(&prefix));
        let mut note = vec![format!("{}. {}", index + 1, step.action.name())];
        note.extend(own.map(str::to_owned));
        let note: Vec<_> = note.iter().map(|line| escape(line)).collect();
        let _ = writeln!(text, "  Note over p{}: {}", actor.0, note.join("<br/>"));
    }
    if !trace.shows.is_empty() {
        let last = model.config().replicas() - 1;
        let shows = escape(&trace.shows.join(", "));
        let _ = writeln!(text, "  Note over p0,p{last}: violated: {shows}");
    }
    Ok(text)
}

/// A message on its way, unless nobody sent it or the sender keeps it.
fn arrow(model: &Pbft, message: &Message, to: ReplicaId) -> Option<String> {
    let Message { kind, from, sent_at, content } = message;
    if *from == to {
        return None;
    }
    let (line, sent) = match sent_at {
        Some(step) => ("->>", format!("sent in step {}", step + 1)),
        None if model.is_byzantine(*from) => ("-->>", "Byzantine".to_owned()),
        None => return None,
    };
    let said = if content.is_empty() { String::new() } else { format!("({content})") };
    let text = escape(&format!("{}{said}, {sent}", kind.name()));
    Some(format!("p{}{line}p{}: {text}", from.0, to.0))
}

/// Writes as character codes whatever might have a meaning in a diagram; the word `end` ends a block.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for (position, word) in text.split(' ').enumerate() {
        if position > 0 {
            escaped.push(' ');
        }
        if word.eq_ignore_ascii_case("end") {
            escaped += "#101;nd";
            continue;
        }
        for character in word.chars() {
            if character.is_alphanumeric() || "-_.,()=/→–§".contains(character) {
                escaped.push(character);
            } else {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_diagram_is_escaped() {
        assert_eq!(escape("P=[1:R1]; <b>"), "P=#91;1#58;R1#93;#59; #60;b#62;");
        assert_eq!(escape("the end\nloop #1"), "the end#10;loop #35;1");
        assert_eq!(escape("an end of it"), "an #101;nd of it");
    }
}
