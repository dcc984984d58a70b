//! From entries to the compiled policy of one endpoint.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::identity::{Identities, IdentityId, Labels};
use model::policy::{Direction, DirectionPolicy, EndpointPolicy, Enforcement, PolicyEntry};
use model::workload::{NamedPort, Protocol};

use crate::entry::{Action, Entry, EntryPeers, PeerSelector, Port, PortEntry};
use crate::selector::Selector;
use cover::{Cover, Kind};

mod cover;

/// The endpoint a policy is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// Its container ports, which ingress rules may name.
    pub named_ports: &'a [NamedPort],
}

/// Everybody it may talk to.
#[derive(Clone, Copy, Debug)]
pub struct Peers<'a> {
    /// Every known identity.
    pub identities: &'a Identities,
    /// Container ports by identity, which egress rules may name. Pods of one identity share
    /// theirs; a name that stands for two numbers there stands for none.
    pub named_ports: &'a HashMap<IdentityId, Vec<NamedPort>>,
}

/// Compiles what the entries say of one endpoint.
pub fn compile(subject: Subject<'_>, entries: &[Arc<Entry>], peers: Peers<'_>) -> EndpointPolicy {
    let selected: Vec<&Entry> =
        entries.iter().map(Arc::as_ref).filter(|entry| entry.subject.matches(subject.labels)).collect();
    let half = |direction| {
        let mine: Vec<&Entry> = selected.iter().copied().filter(|e| e.direction == direction).collect();
        compile_direction(direction, subject, &mine, peers)
    };
    EndpointPolicy { ingress: half(Direction::Ingress), egress: half(Direction::Egress) }
}

fn compile_direction(
    direction: Direction,
    subject: Subject<'_>,
    entries: &[&Entry],
    peers: Peers<'_>,
) -> DirectionPolicy {
    if let Some(closing) = entries.iter().find(|entry| entry.action == Action::Close) {
        let enforcement = Enforcement::Closed(closing.by.clone());
        return DirectionPolicy { enforcement, entries: HashMap::new() };
    }
    // Without labels nobody can tell which policies an endpoint is under: nothing passes.
    let unlabelled = subject.labels.is_reserved("init");
    if entries.is_empty() {
        let enforcement = if unlabelled { Enforcement::Enforced } else { Enforcement::Open };
        return DirectionPolicy { enforcement, entries: HashMap::new() };
    }
    let default_deny = unlabelled || entries.iter().any(|entry| entry.default_deny);
    let mut rules: Vec<Rule<'_>> = Vec::new();
    for entry in entries {
        rules_of(entry, subject, &mut rules);
    }
    let host = [PeerSelector::Labels(Selector::reserved("host"))];
    if !default_deny {
        // This lets every request pass, too: HTTP rules restrict nothing here.
        rules.push(Rule::built_in(Who::Everybody));
    } else if direction == Direction::Ingress && !subject.labels.is_reserved("host") {
        // The kubelet must reach the pods of its node: only a deny rule keeps the host out.
        rules.push(Rule::built_in(Who::Selected(&host)));
    }
    DirectionPolicy { enforcement: Enforcement::Enforced, entries: lists(&rules, peers) }
}

/// One port of one entry, or an entry without ports.
struct Rule<'a> {
    who: Who<'a>,
    ports: Ports<'a>,
    kind: Kind<'a>,
}

enum Who<'a> {
    Everybody,
    Selected(&'a [PeerSelector]),
}

enum Ports<'a> {
    /// Every protocol and port.
    Everything,
    /// Some ports of one protocol.
    Range(Protocol, u16, u16),
    /// The peer's port of that name.
    PeerNamed(Protocol, &'a str),
}

impl Rule<'_> {
    fn built_in(who: Who<'_>) -> Rule<'_> {
        Rule { who, ports: Ports::Everything, kind: Kind::Allow(None) }
    }
}

fn rules_of<'a>(entry: &'a Entry, subject: Subject<'_>, rules: &mut Vec<Rule<'a>>) {
    let who = || match &entry.peers {
        EntryPeers::Nobody => None,
        EntryPeers::Unsaid => entry.has_ports.then_some(Who::Everybody),
        EntryPeers::Selected(list) if list.iter().any(PeerSelector::is_wildcard) => Some(Who::Everybody),
        EntryPeers::Selected(list) => Some(Who::Selected(list)),
    };
    if !entry.has_ports {
        let kind =
            if entry.action == Action::Deny { Kind::Deny(&entry.by) } else { Kind::Allow(Some(&entry.by)) };
        rules.extend(who().map(|who| Rule { who, ports: Ports::Everything, kind }));
        return;
    }
    for port in &entry.ports {
        for protocol in protocols(port) {
            let Some(ports) = ports_of(entry.direction, subject, port, protocol) else { continue };
            let kind = match entry.action {
                Action::Deny => Kind::Deny(&port.by),
                _ if port.http.is_empty() => Kind::Allow(Some(&port.by)),
                _ => Kind::Http(&port.http),
            };
            rules.extend(who().map(|who| Rule { who, ports, kind }));
        }
    }
}

fn protocols(port: &PortEntry) -> Vec<Protocol> {
    port.protocol
        .map_or_else(|| vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp], |protocol| vec![protocol])
}

/// The ports a rule covers; none when the subject lacks the named one.
fn ports_of<'a>(
    direction: Direction,
    subject: Subject<'_>,
    port: &'a PortEntry,
    protocol: Protocol,
) -> Option<Ports<'a>> {
    match &port.port {
        Port::All => Some(Ports::Range(protocol, 0, u16::MAX)),
        Port::Range(first, last) => Some(Ports::Range(protocol, *first, *last)),
        Port::Named(name) if direction == Direction::Egress => Some(Ports::PeerNamed(protocol, name)),
        Port::Named(name) => {
            let number = named(subject.named_ports, name, protocol)?;
            Some(Ports::Range(protocol, number, number))
        }
    }
}

/// The number a name stands for; none when it stands for several.
fn named(ports: &[NamedPort], name: &str, protocol: Protocol) -> Option<u16> {
    let mut numbers = ports
        .iter()
        .filter(|port| port.protocol == protocol && port.name.eq_ignore_ascii_case(name))
        .map(|port| port.port);
    let number = numbers.next()?;
    numbers.all(|other| other == number).then_some(number)
}

/// The rules on one peer by number, each with the port that the peer gives the rule's name; 0 for
/// rules that name none.
type Selection = Vec<(usize, u16)>;

/// The lists of entries by peer. Peers under the same rules share one list.
fn lists(rules: &[Rule<'_>], peers: Peers<'_>) -> HashMap<IdentityId, Arc<[PolicyEntry]>> {
    let mut lists = HashMap::new();
    let mut known: BTreeMap<Selection, Arc<[PolicyEntry]>> = BTreeMap::new();
    let everybody: Selection = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| matches!(rule.who, Who::Everybody) && !matches!(rule.ports, Ports::PeerNamed(..)))
        .map(|(at, _)| (at, 0))
        .collect();
    let mut list = |selected: &Selection| {
        let build =
            || cover::entries(&selected.iter().map(|at| cover_of(rules, *at)).collect::<Vec<_>>()).into();
        known.entry(selected.clone()).or_insert_with(build).clone()
    };
    if !everybody.is_empty() {
        lists.insert(IdentityId::UNKNOWN, list(&everybody));
    }
    for (id, identity) in peers.identities {
        let ports = peers.named_ports.get(id).map_or(&[][..], Vec::as_slice);
        let selects = |rule: &Rule<'_>| match rule.who {
            Who::Everybody => true,
            Who::Selected(list) => list.iter().any(|peer| peer.matches(identity)),
        };
        let selected: Selection = (0..rules.len())
            .filter_map(|at| match rules[at].ports {
                Ports::PeerNamed(protocol, name) => Some((at, named(ports, name, protocol)?)),
                _ => Some((at, 0)),
            })
            .filter(|(at, _)| selects(&rules[*at]))
            .collect();
        if selected != everybody {
            lists.insert(*id, list(&selected));
        }
    }
    lists
}

fn cover_of<'a>(rules: &[Rule<'a>], (at, number): (usize, u16)) -> Cover<'a> {
    let rule = &rules[at];
    let (protocol, ports) = match rule.ports {
        Ports::Everything => (None, (0, u16::MAX)),
        Ports::Range(protocol, first, last) => (Some(protocol), (first, last)),
        Ports::PeerNamed(protocol, _) => (Some(protocol), (number, number)),
    };
    Cover { protocol, ports, kind: rule.kind }
}

#[cfg(test)]
mod tests;
