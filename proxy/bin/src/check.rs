//! `weir check`: the problems of a configuration, one a line.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use objects::{Problem, Severity};

use crate::cli::CheckArgs;
use crate::offline;

/// Prints the problems and a summary; the code to exit with.
pub(crate) fn run(args: &CheckArgs) -> Result<u8> {
    let offline = offline::load(&args.paths, args.node.as_deref(), &args.cluster_name)?;
    let (report, failed) = report(&offline.problems, args.strict);
    // An empty or a wrong folder has no problems either.
    let read = count(offline.objects, "object");
    write!(std::io::stdout(), "{read} read\n{report}")?;
    Ok(u8::from(failed))
}

/// The text, and whether the check fails.
pub(crate) fn report(problems: &[Problem], strict: bool) -> (String, bool) {
    let mut text = String::new();
    let mut errors = 0;
    for problem in problems {
        let severity = if strict { Severity::Error } else { problem.severity };
        errors += usize::from(severity == Severity::Error);
        writeln!(text, "{severity}: {problem}").expect("a String takes all");
    }
    let warnings = problems.len() - errors;
    writeln!(text, "{}, {}", count(errors, "error"), count(warnings, "warning")).expect("a String takes all");
    (text, errors > 0)
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests;
