//! A flow record as one line for people.

use std::fmt::Write;
use std::time::Duration;

use model::flow::{FlowPeer, FlowRecord, FlowVerdict};
use model::identity::Identity;

use crate::labels::is_own;
use crate::reason::{reason_name, verdict_name};
use crate::time::rfc3339;

/// Appends the record as one line with its newline, without colour. Whatever a client chose is
/// escaped, so that it can neither end the line nor drive the terminal.
pub fn text(record: &FlowRecord, out: &mut String) {
    line(record, false, out);
}

/// As [`text`], the verdict coloured when `colour` is set.
pub(crate) fn line(record: &FlowRecord, colour: bool, out: &mut String) {
    let time = rfc3339(record.time_ns);
    out.push_str(std::str::from_utf8(&time).unwrap_or_default());
    out.push(' ');
    verdict(record, colour, out);
    if let Some(reason) = reason_name(record.reason) {
        let _ = write!(out, " ({reason})");
    }
    out.push(' ');
    peer(&record.source, false, out);
    out.push_str(" → ");
    peer(&record.destination, true, out);
    if let Some(backend) = &record.backend {
        out.push_str(" via ");
        peer(backend, true, out);
    }
    let _ = write!(out, " {}", record.protocol);
    if let Some(http) = &record.http {
        out.push(' ');
        printable(http.method.as_str(), out);
        out.push(' ');
        printable(http.authority.as_str(), out);
        printable(http.path.as_str(), out);
        if http.status != 0 {
            let _ = write!(out, " {}", http.status);
        }
    }
    // What the kernel part dropped has neither lasted nor carried anything.
    if record.latency_ns != 0 {
        let _ =
            write!(out, " {} in={} out={}", latency(record.latency_ns), record.bytes_in, record.bytes_out);
    }
    if let Some(route) = &record.route {
        let _ = write!(out, " route={}/{}[{}]", route.route.namespace, route.route.name, route.index);
    }
    for name in &record.header_mismatches {
        let _ = write!(out, " mismatch={name}");
    }
    if let Some(rule) = &record.rule {
        if let Some(direction) = record.direction {
            let _ = write!(out, " {direction}");
        }
        let _ = write!(out, " by {rule}");
    }
    out.push('\n');
}

/// Appends the line that stands where `count` records are missing.
pub(crate) fn text_lost(count: u64, out: &mut String) {
    let _ = writeln!(out, "{count} flow records lost: the reader is too slow");
}

fn verdict(record: &FlowRecord, colour: bool, out: &mut String) {
    let name = verdict_name(record.verdict);
    if !colour {
        out.push_str(name);
        return;
    }
    let code = match record.verdict {
        FlowVerdict::Forwarded => 32,
        FlowVerdict::Denied => 31,
        FlowVerdict::Failed => 33,
    };
    let _ = write!(out, "\x1b[{code}m{name}\x1b[0m");
}

/// The pod or else the address, and what policies know it by: `default/web (app=web, id 257)`.
fn peer(peer: &FlowPeer, port: bool, out: &mut String) {
    match &peer.workload {
        Some(workload) => {
            printable(&workload.namespace, out);
            out.push('/');
            printable(&workload.name, out);
            if port {
                let _ = write!(out, ":{}", peer.address.port());
            }
        }
        None if port => {
            let _ = write!(out, "{}", peer.address);
        }
        None => {
            let _ = write!(out, "{}", peer.address.ip());
        }
    }
    if let Some(identity) = &peer.identity {
        out.push_str(" (");
        labels(identity, out);
        let _ = write!(out, "id {})", identity.id);
    }
}

fn labels(identity: &Identity, out: &mut String) {
    for label in identity.labels.iter().filter(|label| is_own(label)) {
        if !matches!(&*label.source, "k8s" | "reserved") {
            printable(&label.source, out);
            out.push(':');
        }
        printable(&label.key, out);
        if !label.value.is_empty() {
            out.push('=');
            printable(&label.value, out);
        }
        out.push_str(", ");
    }
}

fn latency(ns: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(ns))
}

/// Escapes what is not printable: control characters, and the invisible ones that reorder text.
fn printable(text: &str, out: &mut String) {
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c == '\\' || c.is_control() || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests;
