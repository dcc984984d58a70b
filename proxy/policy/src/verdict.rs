//! The verdict of a connection.

use std::sync::Arc;

use model::flow::FlowReason;
use model::identity::IdentityId;
use model::policy::{DirectionPolicy, Enforcement, HttpRules, PolicyEntry, PolicyVerdict, RuleRef};
use model::workload::Protocol;

use crate::ports::covers;

/// What policy says of a connection, with the rule behind it where one is.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionVerdict<'a> {
    /// It passes. No rule: nothing is enforced, or a built-in rule lets it pass.
    Allow(Option<&'a Arc<RuleRef>>),
    /// It is refused. No rule: no rule allows it.
    Deny {
        /// Why.
        reason: FlowReason,
        /// The rule that denies, or the policy that was refused.
        by: Option<&'a Arc<RuleRef>>,
    },
    /// Each request is judged by these rules; see [`request`](crate::request).
    Http(&'a Arc<HttpRules>),
}

/// Judges a connection between the endpoint of `policy` and a peer, on the port that the one who
/// opens it dials (for ICMP: the type).
pub fn connection(
    policy: &DirectionPolicy,
    peer: IdentityId,
    protocol: Protocol,
    port: u16,
) -> ConnectionVerdict<'_> {
    match &policy.enforcement {
        Enforcement::Open => return ConnectionVerdict::Allow(None),
        Enforcement::Closed(by) => {
            return ConnectionVerdict::Deny { reason: FlowReason::PolicyRefused, by: Some(by) };
        }
        Enforcement::Enforced => {}
    }
    let find = |peer: IdentityId| {
        let list = policy.entries.get(&peer)?;
        list.iter().find(|entry| matches(entry, protocol, port))
    };
    let Some(entry) = find(peer).or_else(|| find(IdentityId::UNKNOWN)) else {
        return ConnectionVerdict::Deny { reason: FlowReason::PolicyDefaultDeny, by: None };
    };
    match &entry.verdict {
        PolicyVerdict::Allow => ConnectionVerdict::Allow(entry.by.as_ref()),
        PolicyVerdict::Deny => {
            ConnectionVerdict::Deny { reason: FlowReason::PolicyDenyRule, by: entry.by.as_ref() }
        }
        PolicyVerdict::Http(rules) => ConnectionVerdict::Http(rules),
    }
}

fn matches(entry: &PolicyEntry, protocol: Protocol, port: u16) -> bool {
    entry.protocol.is_none_or(|own| own == protocol) && covers((entry.port, entry.port_prefix), port)
}
