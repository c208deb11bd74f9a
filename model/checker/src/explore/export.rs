//! A path to take away: as a page in one file, and in the forms of [`crate::trace`].

use std::fmt::Write;

use serde::Serialize;
use stateright::Model;

use super::ExploreError;
use super::front::{PAGE, SCRIPTS, STYLE};
use super::next::Next;
use super::opening::Opening;
use super::view::{About, PathView};
use crate::mutant_record::active;
use crate::trace::{Trace, itf, test_source};
use crate::{output, svg};
use pbft_model::Pbft;
use pbft_model::action::Action;
use pbft_model::state::State;

/// What a file may do: nothing but show itself. Files are opened in places that this program knows nothing of.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// A form of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Svg,
    Itf,
    Text,
    Test,
    Html,
}

impl Form {
    pub(super) const ALL: [Self; 5] = [Self::Svg, Self::Itf, Self::Text, Self::Test, Self::Html];

    /// Its name in addresses and on the page.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Svg => "SVG",
            Self::Itf => "ITF",
            Self::Text => "text",
            Self::Test => "test",
            Self::Html => "HTML",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Itf => "application/json",
            Self::Text | Self::Test => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// The name of a file with the path in it.
    pub(super) fn file_name(self, model: &Pbft) -> String {
        let mutant = active().map_or(String::new(), |name| format!("-{name}"));
        let stem = format!("{}{mutant}", model.config());
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let stem: String = stem.chars().map(plain).collect();
        let ending = match self {
            Self::Svg => "trace.svg",
            Self::Itf => "trace.itf.json",
            Self::Text => "trace.txt",
            Self::Test => "rs",
            Self::Html => "trace.html",
        };
        format!("{stem}.{ending}")
    }

    /// Writes a path in this form.
    pub(super) fn write(self, opening: &Opening) -> Result<String, ExploreError> {
        let (model, actions) = (&opening.model, &opening.actions);
        let trace = || Trace::new(model, actions);
        Ok(match self {
            Self::Svg => svg::swim_lanes(model, actions) + "\n",
            Self::Itf => itf::write(&trace())?,
            Self::Text => output::trace_text(&trace(), model),
            Self::Test => test_source::rust_test(&trace())?,
            Self::Html => page(opening)?,
        })
    }
}

/// All that the page would ask a server for.
#[derive(Serialize)]
struct Data {
    about: About,
    view: PathView,
    /// What can happen in each state of the path.
    next: Vec<Next>,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    form: &'static str,
    name: String,
    content_type: &'static str,
    content: String,
}

/// The page as one file that needs no server: it shows the path that the Explorer would open at, and nothing beside it.
pub fn page(opening: &Opening) -> Result<String, ExploreError> {
    let (model, actions) = (&opening.model, &opening.actions);
    let mut files = Vec::new();
    for form in Form::ALL.into_iter().filter(|form| *form != Form::Html) {
        let (name, content) = (form.file_name(model), form.write(opening)?);
        files.push(File { form: form.name(), name, content_type: form.content_type(), content });
    }
    let data = Data {
        about: About::of(opening),
        view: PathView::of(model, actions),
        next: states(model, actions).iter().map(|state| Next::of(model, state)).collect(),
        files,
    };
    // No text can end the element that holds it.
    let data =
        serde_json::to_string(&data).map_err(|error| ExploreError::Page(error.to_string()))?;
    let data = data.replace('<', "\\u003c");
    let mut scripts = String::new();
    let _ = writeln!(scripts, "<script type=\"application/json\" id=\"data\">{data}</script>");
    let mut page = PAGE.to_owned();
    for (name, script) in SCRIPTS {
        let _ = writeln!(scripts, "<script>\n{script}</script>");
        page = page.replacen(&format!("  <script src=\"{name}\" defer></script>\n"), "", 1);
    }
    scripts += "</body>";
    let policy = format!(
        "<meta charset=\"utf-8\">\n  <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">"
    );
    for (place, content) in [
        ("<meta charset=\"utf-8\">", policy),
        ("  <link rel=\"icon\" type=\"image/svg+xml\" href=\"/icon.svg\">\n", String::new()),
        ("<link rel=\"stylesheet\" href=\"/page.css\">", format!("<style>\n{STYLE}</style>")),
        ("</body>", scripts),
    ] {
        page = page.replacen(place, &content, 1);
    }
    Ok(page)
}

/// The states along a path, whose steps are enabled.
fn states(model: &Pbft, actions: &[Action]) -> Vec<State> {
    let mut states = model.init_states();
    for action in actions {
        let next = states.last().map(|state| model.stepped(state, *action));
        states.extend(next);
    }
    states
}
