//! `pbft-sim matrix`.

use super::{Common, usage};
use pbft_checker::run::ExitCode;
use pbft_output::errln;
use pbft_sim::matrix::{ROWS, Tried, to_markdown, try_row};

pub(super) fn matrix(common: &Common, rows: &[u8]) -> ExitCode {
    if let Some(unknown) = rows.iter().find(|number| ROWS.iter().all(|row| row.number != **number))
    {
        return usage(&format!("there is no row {unknown}; the rows are 1 to {}", ROWS.len()));
    }
    let mut tried: Vec<Tried> = Vec::new();
    for row in ROWS.iter().filter(|row| rows.is_empty() || rows.contains(&row.number)) {
        errln!("{:>2}: {}", row.number, row.fault);
        tried.push(try_row(row));
    }
    common.run.print(&tried, |tried| to_markdown(tried));
    match tried.iter().all(Tried::holds) {
        true => ExitCode::Holds,
        false => ExitCode::Finding,
    }
}
