//! From the rules that cover one peer to its list of entries.

use std::sync::Arc;

use model::policy::{HttpRule, HttpRules, PolicyEntry, PolicyVerdict, RuleRef};
use model::workload::Protocol;

use crate::ports::blocks;

/// The low bytes of Cilium's precedence for its verdicts.
const DENY: u32 = 255;
const HTTP: u32 = 154;
const ALLOW: u32 = 1;

/// What one rule says of the ports it covers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Deny(&'a Arc<RuleRef>),
    /// `None`: built in.
    Allow(Option<&'a Arc<RuleRef>>),
    Http(&'a [Arc<HttpRule>]),
}

/// One rule on one peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cover<'a> {
    /// `None`: every protocol, and every port.
    pub(super) protocol: Option<Protocol>,
    /// First and last port.
    pub(super) ports: (u16, u16),
    pub(super) kind: Kind<'a>,
}

const ALL_PORTS: (u16, u16) = (0, u16::MAX);

/// The entries for all rules on one peer: one for every protocol, one for each protocol as a
/// whole, and blocks for the ports where something else holds. Each says what all the rules that
/// cover it come to, so that the longest match decides; the longest come first.
pub(super) fn entries(covers: &[Cover<'_>]) -> Vec<PolicyEntry> {
    let mut out = Vec::new();
    let everything: Vec<Cover<'_>> = covers.iter().copied().filter(|c| c.protocol.is_none()).collect();
    let base = decide(&everything);
    for protocol in [Protocol::Icmp, Protocol::Tcp, Protocol::Udp, Protocol::IcmpV6, Protocol::Sctp] {
        let mine: Vec<Cover<'_>> =
            covers.iter().copied().filter(|c| c.protocol.is_none_or(|p| p == protocol)).collect();
        let whole: Vec<Cover<'_>> = mine.iter().copied().filter(|c| c.ports == ALL_PORTS).collect();
        let verdict = decide(&whole);
        for (first, last, decided) in segments(&mine) {
            if adds_nothing(decided.as_ref(), verdict.as_ref()) {
                continue;
            }
            let Some((verdict, by)) = decided else { continue };
            for (port, port_prefix) in blocks(first, last) {
                out.push(entry(Some(protocol), (port, port_prefix), verdict.clone(), by.clone()));
            }
        }
        if !adds_nothing(verdict.as_ref(), base.as_ref()) {
            out.extend(verdict.map(|(verdict, by)| entry(Some(protocol), (0, 0), verdict, by)));
        }
    }
    out.extend(base.map(|(verdict, by)| entry(None, (0, 0), verdict, by)));
    out.sort_by_key(|entry| (entry.protocol.is_none(), u8::MAX - entry.port_prefix));
    out
}

type Decided = (PolicyVerdict, Option<Arc<RuleRef>>);

/// The stretches of ports on which something narrower than all ports is said, with what holds.
fn segments(covers: &[Cover<'_>]) -> Vec<(u16, u16, Option<Decided>)> {
    let narrow = || covers.iter().filter(|c| c.ports != ALL_PORTS);
    let mut starts: Vec<u32> =
        narrow().flat_map(|c| [u32::from(c.ports.0), u32::from(c.ports.1) + 1]).collect();
    starts.sort_unstable();
    starts.dedup();
    let port = |at: u32| u16::try_from(at).expect("a port");
    let mut segments = Vec::new();
    for pair in starts.windows(2) {
        let (first, last) = (port(pair[0]), port(pair[1] - 1));
        if narrow().any(|c| c.ports.0 <= first && last <= c.ports.1) {
            let here: Vec<Cover<'_>> =
                covers.iter().copied().filter(|c| c.ports.0 <= first && last <= c.ports.1).collect();
            segments.push((first, last, decide(&here)));
        }
    }
    segments
}

/// Whether a narrower entry would only repeat the broader one.
fn adds_nothing(narrow: Option<&Decided>, broad: Option<&Decided>) -> bool {
    let Some((narrow, _)) = narrow else { return true };
    matches!(
        (narrow, broad),
        (PolicyVerdict::Allow, Some((PolicyVerdict::Allow, _)))
            | (PolicyVerdict::Deny, Some((PolicyVerdict::Deny, _)))
    )
}

/// What several rules on the same ports come to: a deny wins, HTTP rules are united, and a plain
/// allow beside them lets every request pass, through the proxy.
fn decide(covers: &[Cover<'_>]) -> Option<Decided> {
    let mut plain: Option<Option<Arc<RuleRef>>> = None;
    let mut http: Vec<Arc<HttpRule>> = Vec::new();
    for cover in covers {
        match cover.kind {
            Kind::Deny(by) => return Some((PolicyVerdict::Deny, Some(by.clone()))),
            Kind::Allow(by) if !matches!(plain, Some(Some(_))) => plain = Some(by.cloned()),
            Kind::Allow(_) => {}
            Kind::Http(rules) => {
                for rule in rules {
                    if !http.iter().any(|known| known.same(rule)) {
                        http.push(rule.clone());
                    }
                }
            }
        }
    }
    if http.is_empty() {
        return plain.map(|by| (PolicyVerdict::Allow, by));
    }
    let by = http.first().map(|rule| rule.by.clone());
    Some((PolicyVerdict::Http(Arc::new(HttpRules { any: plain, rules: http })), by))
}

fn entry(
    protocol: Option<Protocol>,
    (port, port_prefix): (u16, u8),
    verdict: PolicyVerdict,
    by: Option<Arc<RuleRef>>,
) -> PolicyEntry {
    let precedence = match verdict {
        PolicyVerdict::Deny => DENY,
        PolicyVerdict::Http(_) => HTTP,
        PolicyVerdict::Allow => ALLOW,
    };
    PolicyEntry { protocol, port, port_prefix, precedence, verdict, by }
}
