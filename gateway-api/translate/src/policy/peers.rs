//! The peers of a rule: by label, by network, by class.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::cilium::CidrRule;
use policy::{EntryPeers, Operator, PeerSelector, Requirement, Selector};

use super::evaluation::Fault;
use super::rule::{Scope, later};
use super::selector;
use crate::identity::CLUSTER;

/// The lists of peers of one rule, as written.
pub(super) struct Lists<'a> {
    /// `from` or `to`.
    pub(super) way: &'static str,
    pub(super) endpoints: Option<&'a [LabelSelector]>,
    pub(super) cidr: Option<&'a [String]>,
    pub(super) cidr_set: Option<&'a [CidrRule]>,
    pub(super) entities: Option<&'a [String]>,
}

/// The peers of a rule. A list that is there and empty selects nobody; no list at all leaves the
/// peers unsaid.
pub(super) fn peers(
    scope: &Scope<'_>,
    about_init: bool,
    place: &str,
    lists: &Lists<'_>,
) -> Result<EntryPeers, Fault> {
    let way = lists.way;
    let lengths = [
        ("Endpoints", lists.endpoints.map(<[_]>::len)),
        ("CIDR", lists.cidr.map(<[_]>::len)),
        ("CIDRSet", lists.cidr_set.map(<[_]>::len)),
        ("Entities", lists.entities.map(<[_]>::len)),
    ];
    let filled: Vec<&str> =
        lengths.iter().filter(|(_, len)| len.is_some_and(|n| n > 0)).map(|(n, _)| *n).collect();
    if let [first, second, ..] = filled[..] {
        let message =
            format!("{way}{first} and {way}{second} cannot be combined in one rule; write two rules");
        return Err(Fault::new(place, message));
    }
    let mut selected = Vec::new();
    for (at, endpoint) in lists.endpoints.unwrap_or_default().iter().enumerate() {
        let field = format!("{place}.{way}Endpoints[{at}]");
        selected.push(PeerSelector::Labels(selector::peer(scope, about_init, &field, endpoint)?));
    }
    for (at, cidr) in lists.cidr.unwrap_or_default().iter().enumerate() {
        let net = address_or_network(&format!("{place}.{way}CIDR[{at}]"), cidr)?;
        selected.push(PeerSelector::Cidr { net, except: Vec::new() });
    }
    for (at, rule) in lists.cidr_set.unwrap_or_default().iter().enumerate() {
        selected.push(cidr_rule(&format!("{place}.{way}CIDRSet[{at}]"), rule)?);
    }
    for (at, entity) in lists.entities.unwrap_or_default().iter().enumerate() {
        let selectors = self::entity(scope, entity).ok_or_else(|| {
            Fault::new(format!("{place}.{way}Entities[{at}]"), format!("there is no entity `{entity}`"))
        })?;
        selected.extend(selectors.into_iter().map(PeerSelector::Labels));
    }
    Ok(match lengths {
        _ if lengths.iter().any(|(_, len)| *len == Some(0)) => EntryPeers::Nobody,
        _ if filled.is_empty() => EntryPeers::Unsaid,
        _ => EntryPeers::Selected(selected),
    })
}

fn cidr_rule(field: &str, rule: &CidrRule) -> Result<PeerSelector, Fault> {
    later(
        field,
        &[
            ("cidrGroupRef", rule.cidr_group_ref.is_some()),
            ("cidrGroupSelector", rule.cidr_group_selector.is_some()),
        ],
    )?;
    let Some(cidr) = &rule.cidr else {
        return Err(Fault::new(format!("{field}.cidr"), "a network is needed"));
    };
    let net = network(&format!("{field}.cidr"), cidr)?;
    let mut except = Vec::new();
    for (at, hole) in rule.except.iter().flatten().enumerate() {
        let field = format!("{field}.except[{at}]");
        let hole = network(&field, hole)?;
        if !net.contains(&hole) {
            return Err(Fault::new(field, format!("{hole} is not inside {net}")));
        }
        except.push(hole);
    }
    Ok(PeerSelector::Cidr { net, except })
}

/// A network in CIDR notation; bits of the host are dropped.
fn network(field: &str, text: &str) -> Result<IpNet, Fault> {
    let wrong = || Fault::new(field, format!("`{text}` is not a network such as 10.0.0.0/8"));
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let is_plain = length == "0" || (!length.starts_with('0') && length.bytes().all(|c| c.is_ascii_digit()));
    let length = length.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
    Ok(IpNet::new(address, length).map_err(|_| wrong())?.trunc())
}

fn address_or_network(field: &str, text: &str) -> Result<IpNet, Fault> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => network(field, text),
    }
}

/// The selectors an entity stands for.
fn entity(scope: &Scope<'_>, name: &str) -> Option<Vec<Selector>> {
    let reserved = |names: &[&str]| names.iter().map(|name| Selector::reserved(name)).collect::<Vec<_>>();
    let with = |cluster: Selector| {
        let mut all =
            reserved(&["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"]);
        all.push(cluster);
        all
    };
    Some(match name {
        "all" => vec![Selector::default()],
        "world" => reserved(&["world", "world-ipv4", "world-ipv6"]),
        "cluster" => with(Selector::equals(Some("k8s"), CLUSTER, scope.cluster)),
        "cluster-mesh" => {
            let any = Requirement { source: None, key: CLUSTER.into(), operator: Operator::Exists };
            with(Selector { requirements: vec![any] })
        }
        "world-ipv4" | "world-ipv6" | "host" | "init" | "ingress" | "remote-node" | "health"
        | "unmanaged" | "none" | "kube-apiserver" => reserved(&[name]),
        _ => return None,
    })
}
