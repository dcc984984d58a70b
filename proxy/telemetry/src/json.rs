//! A flow record as one line of JSON. Written by hand because it is done for every request: no
//! intermediate value, no allocation beyond the reused buffer, and what was written before is copied.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::flow::{FlowPeer, FlowRecord, HttpFlow};
use model::identity::Label;
use model::policy::{Direction, RuleRef};
use model::route::RouteRule;
use model::service::ObjectRef;
use model::workload::Protocol;

use crate::json::known::{Known, PeerKey, addresses_of};
use crate::labels::is_own;
use crate::reason::{reason_name, verdict_name};
use crate::time::Clock;

mod known;

/// Writes records as JSON, and remembers what it has written of pods and rules.
#[derive(Debug, Default)]
pub struct Json {
    clock: Clock,
    peers: Known<PeerKey>,
    rules: Known<Arc<RuleRef>>,
}

impl Json {
    /// Appends the record as one JSON object and a newline. Field names are in `docs/flows.md`;
    /// what is not known is left out.
    pub fn write(&mut self, record: &FlowRecord, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.clock.rfc3339(record.time_ns));
        head(record, out);
        self.peer(b",\"source\":{\"ip\":\"", &record.source, out);
        self.peer(b",\"destination\":{\"ip\":\"", &record.destination, out);
        if let Some(backend) = &record.backend {
            self.peer(b",\"backend\":{\"ip\":\"", backend, out);
        }
        if let Some(by) = &record.rule {
            let addresses = (Arc::as_ptr(by) as usize, 0);
            out.extend_from_slice(self.rules.text(addresses, || by.clone(), |out| rule(by, out)));
        }
        tail(record, out);
    }

    fn peer(&mut self, key: &[u8], peer: &FlowPeer, out: &mut Vec<u8>) {
        out.extend_from_slice(key);
        address(peer.address, out);
        number(b"\",\"port\":", u64::from(peer.address.port()), out);
        let addresses = addresses_of(peer);
        if addresses != (0, 0) {
            let key = || (peer.identity.clone(), peer.workload.clone());
            out.extend_from_slice(self.peers.text(addresses, key, |out| known_of(peer, out)));
        }
        out.push(b'}');
    }
}

fn head(record: &FlowRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\",\"verdict\":\"");
    out.extend_from_slice(verdict_name(record.verdict).as_bytes());
    out.push(b'"');
    if let Some(reason) = reason_name(record.reason) {
        out.extend_from_slice(b",\"reason\":\"");
        out.extend_from_slice(reason.as_bytes());
        out.push(b'"');
    }
    if let Some(direction) = record.direction {
        out.extend_from_slice(match direction {
            Direction::Ingress => b",\"direction\":\"ingress\"",
            Direction::Egress => b",\"direction\":\"egress\"",
        });
    }
    out.extend_from_slice(b",\"protocol\":\"");
    out.extend_from_slice(protocol_name(record.protocol));
    out.push(b'"');
}

fn tail(record: &FlowRecord, out: &mut Vec<u8>) {
    if let Some(taken) = &record.route {
        route(taken, out);
    }
    if let Some(request) = &record.http {
        http(request, out);
    }
    if !record.header_mismatches.is_empty() {
        mismatches(&record.header_mismatches, out);
    }
    number(b",\"latency_us\":", record.latency_ns / 1000, out);
    number(b",\"bytes_in\":", record.bytes_in, out);
    number(b",\"bytes_out\":", record.bytes_out, out);
    out.extend_from_slice(b"}\n");
}

/// Appends the line that stands where `count` records are missing.
pub(crate) fn json_lost(count: u64, out: &mut Vec<u8>) {
    number(b"{\"lost\":", count, out);
    out.extend_from_slice(b"}\n");
}

fn protocol_name(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Icmp => b"ICMP",
        Protocol::Tcp => b"TCP",
        Protocol::Udp => b"UDP",
        Protocol::IcmpV6 => b"ICMPv6",
        Protocol::Sctp => b"SCTP",
    }
}

/// What is known of a peer beside its address.
fn known_of(peer: &FlowPeer, out: &mut Vec<u8>) {
    if let Some(identity) = &peer.identity {
        number(b",\"identity\":", u64::from(identity.id.0), out);
        out.extend_from_slice(b",\"labels\":[");
        for (index, one) in identity.labels.iter().filter(|label| is_own(label)).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            label(one, out);
        }
        out.push(b']');
    }
    if let Some(workload) = &peer.workload {
        string(b",\"namespace\":", &workload.namespace, out);
        string(b",\"pod\":", &workload.name, out);
    }
}

fn mismatches(names: &[Arc<str>], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"header_mismatches\":[");
    for (index, name) in names.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        escaped(name, out);
        out.push(b'"');
    }
    out.push(b']');
}

/// An address without its port. IPv4 by hand: the standard formatter costs as much as the rest.
fn address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            out.extend_from_slice(itoa::Buffer::new().format(a).as_bytes());
            for octet in [b, c, d] {
                out.push(b'.');
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => {
            // Writing to a Vec does not fail.
            let _ = write!(out, "{ip}");
        }
    }
}

fn label(label: &Label, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(&label.source, out);
    out.push(b':');
    escaped(&label.key, out);
    if !label.value.is_empty() {
        out.push(b'=');
        escaped(&label.value, out);
    }
    out.push(b'"');
}

fn rule(rule: &RuleRef, out: &mut Vec<u8>) {
    object(b",\"rule\":{\"kind\":", &rule.policy, out);
    string(b",\"place\":", &rule.place, out);
    out.push(b'}');
}

fn route(route: &RouteRule, out: &mut Vec<u8>) {
    object(b",\"route\":{\"kind\":", &route.route, out);
    number(b",\"rule\":", u64::from(route.index), out);
    if let Some(name) = &route.name {
        string(b",\"rule_name\":", name, out);
    }
    out.push(b'}');
}

/// Kind, namespace and name, after `key`, which opens the object and names the kind.
fn object(key: &[u8], object: &ObjectRef, out: &mut Vec<u8>) {
    string(key, object.kind, out);
    if !object.namespace.is_empty() {
        string(b",\"namespace\":", &object.namespace, out);
    }
    string(b",\"name\":", &object.name, out);
}

fn http(http: &HttpFlow, out: &mut Vec<u8>) {
    string(b",\"http\":{\"method\":", http.method.as_str(), out);
    string(b",\"authority\":", http.authority.as_str(), out);
    string(b",\"path\":", http.path.as_str(), out);
    if http.status != 0 {
        number(b",\"status\":", u64::from(http.status), out);
    }
    out.push(b'}');
}

fn number(key: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn string(key: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.push(b'"');
    escaped(value, out);
    out.push(b'"');
}

/// The inside of a JSON string (RFC 8259 section 7). DEL is escaped too: it may end up on a terminal.
fn escaped(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f;
    let bytes = text.as_bytes();
    // Without an early exit the compiler checks many bytes at once; nearly all texts are plain.
    if !bytes.iter().fold(false, |any, &byte| any | special(byte)) {
        return out.extend_from_slice(bytes);
    }
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !special(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests;
