use std::sync::Arc;

use model::route::{RouteRule, SniTable, Timeouts};
use model::service::ObjectRef;

use super::sni;

fn rule(index: u32) -> Arc<RouteRule> {
    Arc::new(RouteRule {
        route: ObjectRef { kind: "TLSRoute", namespace: "n".into(), name: "r".into() },
        index,
        name: None,
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        grpc: false,
    })
}

#[test]
fn names() {
    let named = |names: &[(&str, u32)]| names.iter().map(|(name, at)| ((*name).into(), rule(*at))).collect();
    let mut table = SniTable {
        exact: named(&[("a.example", 0), ("b.c.example", 1)]),
        wildcard: named(&[(".example", 2), (".c.example", 3)]),
        any: None,
    };
    let cases = [
        (Some("a.example"), Some(0)),
        (Some("b.c.example"), Some(1)),
        (Some("x.example"), Some(2)),
        (Some("x.c.example"), Some(3)),
        (Some("x.y.c.example"), Some(3)),
        (Some("c.example"), Some(2)),
        (Some("example"), None),
        (Some("aexample"), None),
        (Some("other"), None),
        (None, None),
    ];
    for (name, wanted) in cases {
        assert_eq!(sni(&table, name).map(|rule| rule.index), wanted, "{name:?}");
    }
    table.any = Some(rule(9));
    for (name, wanted) in cases {
        assert_eq!(sni(&table, name).map(|rule| rule.index), wanted.or(Some(9)), "{name:?} with any");
    }
}
