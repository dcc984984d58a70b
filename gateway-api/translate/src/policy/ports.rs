//! `toPorts` of a rule to port entries.

use std::sync::Arc;

use model::policy::HttpRule;
use model::workload::Protocol;
use objects::cilium::{PortProtocol, PortRule};
use policy::{Action, Port, PortEntry};

use super::evaluation::Fault;
use super::http;
use super::rule::{Scope, later};

/// Most ports in one element of `toPorts` (the CRD's limit).
const PORTS_MAX: usize = 40;

/// The ports of a rule.
pub(super) fn ports(
    scope: &Scope<'_>,
    action: Action,
    place: &str,
    rules: &[PortRule],
) -> Result<Vec<PortEntry>, Fault> {
    let mut entries = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let place = format!("{place}.toPorts[{at}]");
        if action == Action::Deny && rule.rules.is_some() {
            return Err(Fault::new(format!("{place}.rules"), "a deny rule cannot look into requests"));
        }
        later(
            &place,
            &[
                ("terminatingTLS", rule.terminating_tls.is_some()),
                ("originatingTLS", rule.originating_tls.is_some()),
                ("serverNames", rule.server_names.as_ref().is_some_and(|names| !names.is_empty())),
                ("listener", rule.listener.is_some()),
            ],
        )?;
        let ports = rule.ports.as_deref().unwrap_or_default();
        if ports.len() > PORTS_MAX {
            let message = format!("{} ports; at most {PORTS_MAX} are allowed", ports.len());
            return Err(Fault::new(format!("{place}.ports"), message));
        }
        let http = http_rules(scope, &place, rule)?;
        let by = scope.at(&place);
        for (at, port) in ports.iter().enumerate() {
            let field = format!("{place}.ports[{at}]");
            let (protocol, port) = one(&field, port)?;
            if !http.is_empty() && protocol != Some(Protocol::Tcp) {
                return Err(Fault::new(format!("{field}.protocol"), "HTTP rules need `protocol: TCP`"));
            }
            if !http.is_empty() && port == Port::All {
                return Err(Fault::new(format!("{field}.port"), "HTTP rules need a port other than 0"));
            }
            entries.push(PortEntry { protocol, port, http: http.clone(), by: by.clone() });
        }
    }
    Ok(entries)
}

fn http_rules(scope: &Scope<'_>, place: &str, rule: &PortRule) -> Result<Arc<[Arc<HttpRule>]>, Fault> {
    let Some(rules) = &rule.rules else { return Ok(Arc::default()) };
    let place = format!("{place}.rules");
    let filled = |present: Option<bool>| present == Some(false);
    later(&place, &[("dns", filled(rules.dns.as_ref().map(Vec::is_empty)))])?;
    if rules.dns.is_some() && filled(rules.http.as_ref().map(Vec::is_empty)) {
        return Err(Fault::new(place, "`http` and `dns` cannot be combined in one rule"));
    }
    let rules = rules.http.iter().flatten().enumerate();
    rules.map(|(at, rule)| http::rule(scope, &format!("{place}.http[{at}]"), rule).map(Arc::new)).collect()
}

fn one(field: &str, port: &PortProtocol) -> Result<(Option<Protocol>, Port), Fault> {
    let protocol = match port.protocol.as_deref() {
        None | Some("" | "ANY") => None,
        Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(other) => {
            let message = format!("`{other}` is not one of TCP, UDP, SCTP and ANY");
            return Err(Fault::new(format!("{field}.protocol"), message));
        }
    };
    let text = port.port.as_deref().unwrap_or_default();
    let end_field = || format!("{field}.endPort");
    let end = u16::try_from(port.end_port.unwrap_or_default())
        .map_err(|_| Fault::new(end_field(), "a port is between 0 and 65535"))?;
    if is_service_name(text) {
        if end != 0 {
            return Err(Fault::new(end_field(), "a named port cannot begin a range"));
        }
        return Ok((protocol, Port::Named(text.to_ascii_lowercase().into())));
    }
    let first = number(&format!("{field}.port"), text)?;
    let port = match (first, end) {
        (0, 0) => Port::All,
        (0, _) => return Err(Fault::new(end_field(), "port 0 is every port and cannot begin a range")),
        (_, 0) => Port::Range(first, first),
        _ if end < first => return Err(Fault::new(end_field(), format!("{end} is below the port, {first}"))),
        _ => Port::Range(first, end),
    };
    Ok((protocol, port))
}

/// A decimal number. Cilium reads `010` as octal and `8_0` as 80; nobody means that.
fn number(field: &str, text: &str) -> Result<u16, Fault> {
    let is_plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|c| c.is_ascii_digit()));
    text.parse().ok().filter(|_| is_plain && !text.is_empty()).ok_or_else(|| {
        Fault::new(field, format!("`{text}` is neither a port between 0 and 65535 nor the name of one"))
    })
}

/// RFC 6335 §5.1: at most 15 letters, digits and single inner hyphens, at least one letter.
fn is_service_name(name: &str) -> bool {
    name.len() <= 15
        && name.bytes().any(|c| c.is_ascii_alphabetic())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
