//! `weir explain`: asked of files here, or of the running Weir through its admin socket.

use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use model::Snapshot;
use objects::Severity;
use serde_json::{Value, json};

use crate::admin;
use crate::cli::{AnswerForm, ExplainArgs};
use crate::explain;
use crate::offline;
use crate::state::StateDir;

/// Prints the answer.
pub(crate) fn explain(args: &ExplainArgs) -> Result<u8> {
    let answer = if args.paths.is_empty() { ask(args)? } else { from_files(args)? };
    let mut out = match args.output {
        AnswerForm::Text => answer["text"].as_str().unwrap_or_default().trim_end().to_owned(),
        AnswerForm::Json => answer["explanation"].to_string(),
    };
    out.push('\n');
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(0)
}

fn from_files(args: &ExplainArgs) -> Result<Value> {
    let offline = offline::load(&args.paths, args.node.as_deref(), &args.cluster_name)?;
    for problem in offline.problems.iter().filter(|problem| problem.severity == Severity::Error) {
        tracing::warn!("{problem}");
    }
    answer(&offline.snapshot, &args.question)
}

fn ask(args: &ExplainArgs) -> Result<Value> {
    let state = StateDir::open(&args.state_dir)?;
    let words = serde_json::to_string(&to_words(&args.question))?;
    let text = admin::ask(&state.admin(), &format!("explain {words}"))?;
    let answer: Value = serde_json::from_str(&text).with_context(|| format!("unexpected answer: {text}"))?;
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    Ok(answer)
}

/// The answer to `explain WORDS` of the admin socket.
pub(crate) fn respond(snapshot: &Snapshot, words: &str) -> Value {
    let question = serde_json::from_str::<Vec<String>>(words)
        .context("arguments of explain")
        .and_then(|words| Ok(Question::try_parse_from(words)?));
    match question.and_then(|question| answer(snapshot, &question.args)) {
        Ok(answer) => answer,
        Err(error) => json!({ "error": format!("{error:#}") }),
    }
}

fn answer(snapshot: &Snapshot, question: &explain::Args) -> Result<Value> {
    let explanation = explain::run(snapshot, question)?;
    Ok(json!({
        "allowed": explanation.allowed(),
        "text": explanation.text(),
        "explanation": explanation.json(),
    }))
}

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Question {
    #[command(flatten)]
    args: explain::Args,
}

/// The words that parse to this question.
fn to_words(args: &explain::Args) -> Vec<String> {
    let protocol = args.protocol.to_possible_value();
    let mut words = vec![
        format!("--from={}", args.from),
        format!("--to={}", args.to),
        format!("--protocol={}", protocol.as_ref().map_or("tcp", |value| value.get_name())),
    ];
    let optional = [("method", &args.method), ("path", &args.path), ("host", &args.host)];
    for (name, value) in optional {
        words.extend(value.iter().map(|value| format!("--{name}={value}")));
    }
    words.extend(args.headers.iter().map(|header| format!("--header={header}")));
    words
}

#[cfg(test)]
mod tests;
