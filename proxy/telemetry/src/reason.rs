//! The names that readers filter flow records by. They are part of the interface: never renamed.

use model::flow::{FlowReason, FlowVerdict};

/// The name of a verdict in records: `FORWARDED`, `DENIED` or `FAILED`.
pub fn verdict_name(verdict: FlowVerdict) -> &'static str {
    match verdict {
        FlowVerdict::Forwarded => "FORWARDED",
        FlowVerdict::Denied => "DENIED",
        FlowVerdict::Failed => "FAILED",
    }
}

/// The name of a reason in records; `None` when there is nothing to say.
pub fn reason_name(reason: FlowReason) -> Option<&'static str> {
    Some(match reason {
        FlowReason::None => return None,
        FlowReason::PolicyDefaultDeny => "policy_default_deny",
        FlowReason::PolicyDenyRule => "policy_deny_rule",
        FlowReason::PolicyRefused => "policy_refused",
        FlowReason::PolicyRevoked => "policy_revoked",
        FlowReason::Spoofed => "spoofed",
        FlowReason::Unreadable => "unreadable",
        FlowReason::NoProxy => "no_proxy",
        FlowReason::NotHttp => "not_http",
        FlowReason::BadRequest => "bad_request",
        FlowReason::ClientTimeout => "client_timeout",
        FlowReason::ClientGone => "client_gone",
        FlowReason::NoRoute => "no_route",
        FlowReason::InvalidBackend => "invalid_backend",
        FlowReason::NoEndpoint => "no_endpoint",
        FlowReason::ConnectFailed => "connect_failed",
        FlowReason::UpstreamFailed => "upstream_failed",
        FlowReason::RouteTimeout => "route_timeout",
        FlowReason::DeadlineExceeded => "deadline_exceeded",
        FlowReason::Limit => "limit",
        FlowReason::Overloaded => "overloaded",
        FlowReason::TlsFailed => "tls_failed",
        FlowReason::Misdirected => "misdirected",
        FlowReason::Internal => "internal",
    })
}

#[cfg(test)]
mod tests {
    use model::flow::FlowReason;

    #[test]
    fn the_manual_lists_every_reason() {
        let manual = include_str!("../../../docs/flows.md");
        for name in FlowReason::ALL.into_iter().filter_map(super::reason_name) {
            assert!(manual.contains(&format!("\n| `{name}` | ")), "{name} is not in docs/flows.md");
        }
    }
}
