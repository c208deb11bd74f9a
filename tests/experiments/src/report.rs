//! An experiment's results as files: CSV, JSON, charts as SVG, and a page that has everything in one file.

use super::measure::Measurement;
use super::table;
use clap::Args;
use pbft_checker::run::say;
use pbft_cli::chart::Chart;
use pbft_output::{errln, escape_xml};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where results go.
#[derive(Clone, Debug, Default, Args)]
pub struct Outputs {
    /// Write the measurements as CSV; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write them as JSON; `-` as above
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the charts as SVG into this directory
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Write one page with tables and charts in it
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Add what this machine took: time on the wall, processor time, memory. Without it, the same seed gives the same
    /// bytes
    #[arg(long)]
    pub measured: bool,
}

/// A file that cannot be written.
#[derive(Debug, Error)]
#[error("{path}: {error}; choose another place", path = .path.display())]
pub struct WriteError {
    path: PathBuf,
    error: std::io::Error,
}

/// A table of a report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Its lines, the first with the names of the columns.
    pub rows: Vec<Vec<String>>,
}

/// What an experiment has to say.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What it is.
    pub title: String,
    /// Whether what was expected is so, in a sentence.
    pub conclusion: String,
    /// How the comparison is to be read.
    pub notes: Vec<String>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Charts, each with the name of its file.
    pub charts: Vec<(String, Chart)>,
    /// Every run.
    pub measurements: Vec<Measurement>,
}

impl Report {
    /// The report as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let _ = writeln!(text, "{}\n{}", table.title, table::columns(&table.rows));
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let _ = writeln!(text, "{}", self.conclusion);
        text
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self, measured: bool) -> serde_json::Value {
        serde_json::json!({
            "title": self.title,
            "conclusion": self.conclusion,
            "notes": self.notes,
            "tables": self.tables,
            "runs": table::json(&self.measurements, measured),
        })
    }

    /// The report as a page that needs nothing else.
    #[must_use]
    pub fn to_html(&self, measured: bool) -> String {
        let title = escape_xml(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{title}</title>\n\
             <meta name='viewport' content='width=device-width'>\n<style>{PAGE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n<p class='verdict'>{}</p>\n",
            escape_xml(&self.conclusion)
        );
        for table in &self.tables {
            let _ = writeln!(
                html,
                "<h2>{}</h2>\n{}",
                escape_xml(&table.title),
                html_table(&table.rows)
            );
        }
        if !self.notes.is_empty() {
            html += "<h2>How to read it</h2>\n<ul>\n";
            for note in &self.notes {
                let _ = writeln!(html, "<li>{}</li>", escape_xml(note));
            }
            html += "</ul>\n";
        }
        for (_, chart) in &self.charts {
            let _ = writeln!(html, "<figure>{}</figure>", chart.to_svg());
        }
        html += "<h2>Every run</h2>\n";
        html += &html_table(&table::rows(&self.measurements, measured));
        html + "\n</body>\n</html>\n"
    }

    /// Writes what was asked for. True if standard output is taken.
    pub fn write(&self, outputs: &Outputs) -> Result<bool, WriteError> {
        let measured = outputs.measured;
        let mut taken = false;
        let pairs: [(&Option<PathBuf>, &dyn Fn() -> String); 3] = [
            (&outputs.csv, &|| table::csv(&self.measurements, measured)),
            (&outputs.json, &|| format!("{:#}\n", self.to_json(measured))),
            (&outputs.html, &|| self.to_html(measured)),
        ];
        for (path, text) in pairs {
            match path {
                Some(path) if path.as_os_str() == "-" => {
                    say(&text());
                    taken = true;
                }
                Some(path) => write(path, &text())?,
                None => {}
            }
        }
        if let Some(directory) = &outputs.svg {
            std::fs::create_dir_all(directory)
                .map_err(|error| WriteError { path: directory.clone(), error })?;
            for (name, chart) in &self.charts {
                write(&directory.join(format!("{name}.svg")), &chart.to_svg())?;
            }
        }
        Ok(taken)
    }
}

fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    std::fs::write(path, text).map_err(|error| WriteError { path: path.to_owned(), error })?;
    errln!("{} written", path.display());
    Ok(())
}

fn html_table(rows: &[Vec<String>]) -> String {
    let mut html = "<div class='scroll'><table>\n".to_owned();
    for (number, row) in rows.iter().enumerate() {
        let tag = if number == 0 { "th" } else { "td" };
        html += "<tr>";
        for cell in row {
            let is_number = cell.trim_end_matches([' ', '%']).parse::<f64>().is_ok();
            let class = if is_number && row.len() > 2 { " class='n'" } else { "" };
            let _ = write!(html, "<{tag}{class}>{}</{tag}>", escape_xml(cell));
        }
        html += "</tr>\n";
    }
    html + "</table></div>"
}

/// The style of the page.
const PAGE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,'DejaVu Sans',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1c2230;background:#fff}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}\
.verdict{font-weight:600;border-left:.3rem solid #0072b2;padding:.3rem .8rem}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}\
th,td{padding:.2rem .6rem;border-bottom:1px solid #d3d7de;text-align:left;white-space:nowrap}\
td.n{text-align:right;font-variant-numeric:tabular-nums}\
figure{margin:1.5rem 0}svg{max-width:100%;height:auto}\
@media(prefers-color-scheme:dark){body{color:#e3e7ef;background:#12151c}th,td{border-color:#343b49}\
.verdict{border-color:#56b4e9}}";
