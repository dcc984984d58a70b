use std::collections::HashMap;

use model::policy::{DirectionPolicy, EndpointPolicy, Enforcement, PolicyEntry, PolicyVerdict};
use model::service::ObjectRef;

use super::*;

fn event(kind: EventKind, reason: Reason) -> Event {
    Event {
        time: 1,
        kind,
        direction: redirect::Direction::Ingress,
        reason,
        source: "10.0.0.1:4000".parse().unwrap(),
        destination: "10.0.0.2:80".parse().unwrap(),
        protocol: 6,
        icmp_type: 0,
        source_identity: 300,
        destination_identity: 301,
        endpoint: 7,
    }
}

fn snapshot(verdict: PolicyVerdict) -> (Snapshot, Arc<RuleRef>) {
    let by = Arc::new(RuleRef {
        policy: ObjectRef { kind: "CiliumNetworkPolicy", namespace: "d".into(), name: "p".into() },
        place: "spec.ingress[0]".into(),
    });
    let entry =
        PolicyEntry { protocol: None, port: 0, port_prefix: 0, precedence: 1, verdict, by: Some(by.clone()) };
    let ingress = DirectionPolicy {
        enforcement: Enforcement::Enforced,
        entries: HashMap::from([(IdentityId(300), Arc::from([entry]))]),
    };
    let policy = EndpointPolicy { ingress, ..EndpointPolicy::default() };
    let policies = Arc::new(HashMap::from([(EndpointId(7), Arc::new(policy))]));
    (Snapshot { policies, ..Snapshot::default() }, by)
}

#[test]
fn the_rule_behind_a_verdict_is_found() {
    let (snapshot, by) = snapshot(PolicyVerdict::Allow);
    let allowed = record(&event(EventKind::Forwarded, Reason::None), &snapshot, 5).unwrap();
    assert_eq!(allowed.verdict, FlowVerdict::Forwarded);
    assert_eq!(allowed.rule, Some(by));
    assert_eq!(allowed.direction, Some(Direction::Ingress));
    assert_eq!(allowed.time_ns, 5);
}

#[test]
fn drops_name_their_reason_and_a_direction_only_where_policy_decided() {
    let table = [
        (Reason::DefaultDeny, FlowReason::PolicyDefaultDeny, true),
        (Reason::DenyRule, FlowReason::PolicyDenyRule, true),
        (Reason::Closed, FlowReason::PolicyRefused, true),
        (Reason::Spoofed, FlowReason::Spoofed, false),
        (Reason::Unreadable, FlowReason::Unreadable, false),
        (Reason::NoProxy, FlowReason::NoProxy, false),
    ];
    let (snapshot, _) = snapshot(PolicyVerdict::Deny);
    for (reason, expected, policed) in table {
        let dropped = record(&event(EventKind::Dropped, reason), &snapshot, 0).unwrap();
        assert_eq!(dropped.verdict, FlowVerdict::Denied, "{reason:?}");
        assert_eq!(dropped.reason, expected);
        assert_eq!(dropped.direction.is_some(), policed, "{reason:?}");
    }
}

#[test]
fn an_unnamed_protocol_makes_no_record() {
    let gre = Event { protocol: 47, ..event(EventKind::Dropped, Reason::DefaultDeny) };
    assert!(record(&gre, &Snapshot::default(), 0).is_none());
}
