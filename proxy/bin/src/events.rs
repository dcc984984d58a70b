//! The adapter from what the kernel reports to flow records.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::Snapshot;
use model::flow::{FlowPeer, FlowReason, FlowRecord, FlowVerdict};
use model::identity::IdentityId;
use model::policy::{Direction, RuleRef};
use model::workload::{EndpointId, Protocol};
use policy::ConnectionVerdict;
use redirect::{Event, EventKind, Reason};

/// The record of an event, or `None` for a protocol that has no name here. The rule is found in
/// `snapshot`, as the kernel keeps only its verdict.
pub(crate) fn record(event: &Event, snapshot: &Snapshot, time_ns: u64) -> Option<FlowRecord> {
    let protocol = protocol(event.protocol)?;
    let direction = match event.direction {
        redirect::Direction::Ingress => Direction::Ingress,
        redirect::Direction::Egress => Direction::Egress,
    };
    let policed =
        matches!(event.reason, Reason::None | Reason::DefaultDeny | Reason::DenyRule | Reason::Closed);
    let rule = if policed { rule(event, snapshot, direction, protocol) } else { None };
    Some(FlowRecord {
        time_ns,
        source: peer(snapshot, event.source, event.source_identity),
        destination: peer(snapshot, event.destination, event.destination_identity),
        backend: None,
        protocol,
        verdict: match event.kind {
            EventKind::Forwarded => FlowVerdict::Forwarded,
            EventKind::Dropped => FlowVerdict::Denied,
        },
        reason: reason(event.reason),
        direction: policed.then_some(direction),
        rule,
        route: None,
        http: None,
        latency_ns: 0,
        bytes_in: 0,
        bytes_out: 0,
        header_mismatches: Vec::new(),
    })
}

fn rule(
    event: &Event,
    snapshot: &Snapshot,
    direction: Direction,
    protocol: Protocol,
) -> Option<Arc<RuleRef>> {
    let policy = snapshot.policies.get(&EndpointId(event.endpoint))?;
    let other = match direction {
        Direction::Ingress => event.source_identity,
        Direction::Egress => event.destination_identity,
    };
    let port = match protocol {
        Protocol::Icmp | Protocol::IcmpV6 => event.icmp_type.into(),
        _ => event.destination.port(),
    };
    let half = policy.direction(direction);
    match policy::connection(half, IdentityId(other), protocol, port) {
        ConnectionVerdict::Allow(by) => by.cloned(),
        ConnectionVerdict::Deny { by, .. } => by.cloned(),
        ConnectionVerdict::Http(_) => None,
    }
}

fn peer(snapshot: &Snapshot, address: SocketAddr, identity: u32) -> FlowPeer {
    let ip: IpAddr = address.ip();
    let known = snapshot.identities.get(&IdentityId(identity));
    FlowPeer {
        address,
        identity: known.or_else(|| snapshot.identity_of(ip).1).cloned(),
        workload: snapshot.workload(ip).cloned(),
    }
}

fn reason(reason: Reason) -> FlowReason {
    match reason {
        Reason::None => FlowReason::None,
        Reason::DefaultDeny => FlowReason::PolicyDefaultDeny,
        Reason::DenyRule => FlowReason::PolicyDenyRule,
        Reason::Closed => FlowReason::PolicyRefused,
        Reason::Spoofed => FlowReason::Spoofed,
        Reason::Unreadable => FlowReason::Unreadable,
        Reason::NoProxy => FlowReason::NoProxy,
    }
}

fn protocol(number: u8) -> Option<Protocol> {
    [Protocol::Icmp, Protocol::Tcp, Protocol::Udp, Protocol::IcmpV6, Protocol::Sctp]
        .into_iter()
        .find(|protocol| *protocol as u8 == number)
}

#[cfg(test)]
mod tests;
