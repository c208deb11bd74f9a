//! A trace as a Mermaid sequence diagram, which code forges draw inside a page of text.

use std::fmt::Write;

use super::changes::{Change, changes};
use super::{NotEnabled, Trace};
use pbft_model::Pbft;
use pbft_model::ids::ReplicaId;

/// Draws the steps: a note with what the replica did and changed, an arrow to each other replica for what it sent.
pub fn sequence_diagram(trace: &Trace, model: &Pbft) -> Result<String, NotEnabled> {
    let replicas = || (0..model.config().replicas()).map(ReplicaId);
    let mut text = format!("sequenceDiagram\n  %% {}\n", escape(&trace.headline()));
    for id in replicas() {
        let role = if model.is_byzantine(id) { " (Byzantine)" } else { "" };
        let _ = writeln!(text, "  participant p{} as {}", id.0, escape(&format!("{id}{role}")));
    }
    let states = trace.states(model)?;
    for (index, (pair, action)) in states.windows(2).zip(&trace.actions).enumerate() {
        let [before, after] = pair else { continue };
        let actor = action.replica();
        let changes = changes(model, before, after);
        let mut note = vec![format!("{}. {}", index + 1, action.name())];
        note.extend(changes.iter().filter(|change| !change.sends).map(|one| one.text.clone()));
        let note: Vec<_> = note.iter().map(|line| escape(line)).collect();
        let _ = writeln!(text, "  Note over p{}: {}", actor.0, note.join("<br/>"));
        for Change { replica, text: message, .. } in changes.iter().filter(|one| one.sends) {
            for other in replicas().filter(|other| other != replica) {
                let _ = writeln!(text, "  p{}->>p{}: {}", replica.0, other.0, escape(message));
            }
        }
    }
    if !trace.shows.is_empty() {
        let last = model.config().replicas() - 1;
        let shows = escape(&trace.shows.join(", "));
        let _ = writeln!(text, "  Note over p0,p{last}: violated: {shows}");
    }
    Ok(text)
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
