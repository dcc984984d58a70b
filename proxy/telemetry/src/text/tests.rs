//! Whole lines, and the escaping of what clients choose.

use model::flow::FlowVerdict;

use super::{line, text};
use crate::fixture::{bare, full, with_path};

#[test]
fn writes_one_line_for_people() {
    let cases = [
        (
            bare(),
            "2023-11-14T22:13:20.123456Z FORWARDED 10.0.0.1 → [2001:db8::1]:443 TCP 1.2ms in=5 out=64\n",
        ),
        (
            full(),
            "2023-11-14T22:13:20.123456Z DENIED (policy_default_deny) \
             default/frontend (role=frontend, id 257) → 10.96.0.1:80 via default/api:8080 (role=api, id 258) \
             TCP POST api/public?a=1 403 1.2ms in=5 out=64 route=default/split[2] \
             ingress by CiliumNetworkPolicy default/api spec.ingress[0].toPorts[0].rules.http[0]\n",
        ),
    ];
    for (record, expected) in cases {
        let mut out = String::new();
        text(&record, &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
fn cannot_be_driven_by_what_clients_choose() {
    let cases = [
        ("/a\nb", "/a\\nb"),
        ("/\x1b[31m", "/\\u{1b}[31m"),
        ("/a\\nb", "/a\\\\nb"),
        ("/\u{202e}txt", "/\\u{202e}txt"),
        ("/\u{9b}31m", "/\\u{9b}31m"),
        ("/é", "/é"),
    ];
    for (path, shown) in cases {
        let mut out = String::new();
        text(&with_path(path), &mut out);
        assert!(out.contains(&format!("api{shown} 403")), "{path:?} in {out:?}");
        assert!(!out.trim_end().chars().any(char::is_control), "{out:?}");
    }
}

#[test]
fn colours_the_verdict_alone() {
    let codes = [(FlowVerdict::Forwarded, "32"), (FlowVerdict::Denied, "31"), (FlowVerdict::Failed, "33")];
    for (verdict, code) in codes {
        let record = model::flow::FlowRecord { verdict, ..bare() };
        let (mut plain, mut coloured) = (String::new(), String::new());
        line(&record, false, &mut plain);
        line(&record, true, &mut coloured);
        assert_eq!(coloured.matches('\x1b').count(), 2, "{coloured:?}");
        assert_eq!(coloured.replace(&format!("\x1b[{code}m"), "").replace("\x1b[0m", ""), plain);
    }
}
