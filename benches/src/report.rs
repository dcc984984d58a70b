//! Medians, ratios and targets: the tables people read and the JSON that is kept.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::figure::{Figures, Metric, Target, median};
use crate::row::Row;

/// What came of a row.
#[derive(Debug)]
pub(crate) struct Outcome {
    row: &'static Row,
    /// By subject, a turn a round.
    turns: Vec<(&'static str, Vec<Figures>)>,
    /// Why a subject has no figures.
    not_served: Vec<(&'static str, String)>,
}

/// The whole of the JSON.
#[derive(Debug, Serialize)]
struct Json<'a> {
    machine: &'a str,
    figures: Vec<FigureJson>,
    targets: Vec<TargetJson>,
    not_served: Vec<NotServedJson>,
}

/// The median of a figure over the rounds.
#[derive(Debug, Serialize)]
struct FigureJson {
    row: &'static str,
    subject: &'static str,
    metric: &'static str,
    value: f64,
    rounds: usize,
}

/// A target, and whether it is met; null where it was not measured.
#[derive(Debug, Serialize)]
struct TargetJson {
    row: &'static str,
    subject: &'static str,
    metric: &'static str,
    against: Option<&'static str>,
    max: f64,
    value: Option<f64>,
    met: Option<bool>,
}

/// Why a subject has no figures in a row.
#[derive(Debug, Serialize)]
struct NotServedJson {
    row: &'static str,
    subject: &'static str,
    reason: String,
}

impl Outcome {
    /// Nothing yet.
    pub(crate) fn new(row: &'static Row) -> Self {
        Self { row, turns: Vec::new(), not_served: Vec::new() }
    }

    /// Notes a turn.
    pub(crate) fn add(&mut self, subject: &'static str, figures: Figures) {
        match self.turns.iter_mut().find(|(name, _)| *name == subject) {
            Some((_, turns)) => turns.push(figures),
            None => self.turns.push((subject, vec![figures])),
        }
    }

    /// Notes why a subject has no figures, and drops those it had.
    pub(crate) fn skip(&mut self, subject: &'static str, reason: String) {
        eprintln!("bench: {}: {subject} not served: {reason}", self.row.name);
        self.turns.retain(|(name, _)| *name != subject);
        self.not_served.push((subject, reason));
    }

    /// Notes why nobody has figures.
    pub(crate) fn skip_all(&mut self, reason: &str) {
        for subject in self.row.subjects {
            if !self.not_served.iter().any(|(name, _)| *name == subject.name) {
                self.skip(subject.name, reason.to_owned());
            }
        }
    }

    fn turns(&self, subject: &str) -> &[Figures] {
        self.turns.iter().find(|(name, _)| *name == subject).map_or(&[], |(_, turns)| turns)
    }

    /// The median of a figure; not a number if there is none.
    fn value(&self, subject: &str, metric: &Metric) -> f64 {
        median(self.turns(subject).iter().filter_map(|turn| turn.get(metric)).collect())
    }

    /// The median, over the rounds, of a subject's figure divided by another's of the same round.
    fn ratio(&self, subject: &str, against: &str, metric: &Metric) -> f64 {
        let pairs = self.turns(subject).iter().zip(self.turns(against));
        median(pairs.filter_map(|(ours, theirs)| Some(ours.get(metric)? / theirs.get(metric)?)).collect())
    }

    /// What a target is about; none where it was not measured.
    fn reached(&self, target: &Target) -> Option<f64> {
        let value = match target.against {
            Some(against) => self.ratio(target.subject, against, target.metric),
            None => self.value(target.subject, target.metric),
        };
        value.is_finite().then_some(value)
    }

    /// The aligned table of the row.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("\n{}: {}\n", self.row.name, self.row.title);
        let metrics: Vec<&'static Metric> =
            self.turns.iter().filter_map(|(_, turns)| turns.first()).flat_map(Figures::metrics).fold(
                Vec::new(),
                |mut all, metric| {
                    if !all.iter().any(|known: &&Metric| known.key == metric.key) {
                        all.push(metric);
                    }
                    all
                },
            );
        if let Some(first) = metrics.first() {
            let _ = write!(out, "  {:<11}", "");
            for metric in &metrics {
                let _ = write!(out, " {:>16}", metric.heading);
            }
            for reference in self.row.references {
                let _ = write!(out, " {:>10}", format!("× {reference}"));
            }
            out.push('\n');
            for (subject, _) in &self.turns {
                self.line(&mut out, subject, &metrics, first);
            }
        }
        for (subject, reason) in &self.not_served {
            let _ = writeln!(out, "  {subject:<11} not served: {reason}");
        }
        for target in self.row.targets {
            let _ = writeln!(out, "  {}", self.verdict(target));
        }
        out
    }

    fn line(&self, out: &mut String, subject: &str, metrics: &[&Metric], first: &Metric) {
        let _ = write!(out, "  {subject:<11}");
        for metric in metrics {
            let value = self.value(subject, metric);
            let shown = if value.is_finite() { format!("{value:.*}", metric.digits) } else { "-".into() };
            let _ = write!(out, " {shown:>16}");
        }
        for reference in self.row.references {
            let ratio = self.ratio(subject, reference, first);
            let shown = if ratio.is_finite() { format!("{ratio:.2}") } else { "-".into() };
            let _ = write!(out, " {shown:>10}");
        }
        out.push('\n');
    }

    /// `weir CPU µs/req ≤ 0.90 × haproxy: 0.85, met`.
    fn verdict(&self, target: &Target) -> String {
        let Target { metric, subject, against, max } = target;
        let bound = against.map_or(format!("{max}"), |against| format!("{max:.2} × {against}"));
        let outcome = match self.reached(target) {
            None => "not measured".to_owned(),
            Some(value) if value <= *max => format!("{value:.3}, met"),
            Some(value) => format!("{value:.3}, MISSED"),
        };
        format!("target: {subject} {} ≤ {bound}: {outcome}", metric.heading)
    }

    fn target_json(&self, target: &Target) -> TargetJson {
        let Target { metric, subject, against, max } = *target;
        let value = self.reached(target);
        let met = value.map(|value| value <= max);
        TargetJson {
            row: self.row.name,
            subject,
            metric: metric.key,
            against,
            max,
            value: value.map(rounded),
            met,
        }
    }

    fn figures_json(&self) -> Vec<FigureJson> {
        let mut all = Vec::new();
        for (subject, turns) in &self.turns {
            for metric in turns.first().into_iter().flat_map(Figures::metrics) {
                let value = rounded(self.value(subject, metric));
                let (row, rounds) = (self.row.name, turns.len());
                all.push(FigureJson { row, subject, metric: metric.key, value, rounds });
            }
        }
        all
    }
}

/// The targets of all rows, each with what came of it.
pub(crate) fn targets(outcomes: &[Outcome]) -> String {
    let mut out = String::from("\ntargets\n");
    for outcome in outcomes {
        for target in outcome.row.targets {
            let _ = writeln!(out, "  {:<27} {}", outcome.row.name, outcome.verdict(target));
        }
    }
    out
}

/// Writes medians, targets and what was not served.
pub(crate) fn write_json(path: &Path, machine: &str, outcomes: &[Outcome]) -> Result<()> {
    let not_served = outcomes.iter().flat_map(|outcome| {
        let row = outcome.row.name;
        outcome.not_served.iter().map(move |(subject, reason)| NotServedJson {
            row,
            subject,
            reason: reason.clone(),
        })
    });
    let json = Json {
        machine,
        figures: outcomes.iter().flat_map(Outcome::figures_json).collect(),
        targets: outcomes.iter().flat_map(|o| o.row.targets.iter().map(|t| o.target_json(t))).collect(),
        not_served: not_served.collect(),
    };
    let text = serde_json::to_string_pretty(&json)?;
    std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
}

/// To what the measurement can tell apart.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
