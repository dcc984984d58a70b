//! Rules on fields, asked with values that two readers see in two ways: more than one, bytes that are no
//! text (CVE-2026-26308, CVE-2026-73552).

use tests::h2::request;

use super::Site;

/// The rule says `X-Role: user`, in either version.
const ROLE: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts:
    - ports: [{port: "81", protocol: TCP}, {port: "82", protocol: TCP}]
      rules: {http: [{path: "/public", headers: ["X-Role: user"]}]}
"#;

type Fields = &'static [(&'static str, &'static [u8])];

/// Fields of a request, and whether it is allowed.
const TABLE: &[(Fields, bool)] = &[
    (&[("x-role", b"user")], true),
    (&[("x-other", b"\xff"), ("x-role", b"user")], true),
    (&[], false),
    (&[("x-role", b"")], false),
    (&[("x-role", b"admin")], false),
    (&[("x-role", b"User")], false),
    (&[("x-role", b"user\xff")], false),
    (&[("x-role", b"\xffuser")], false),
    (&[("x-role", b"user,admin")], false),
    (&[("x-role", b"user"), ("x-role", b"admin")], false),
    (&[("x-role", b"admin"), ("x-role", b"user")], false),
    (&[("x-role", b"user"), ("x-role", b"user")], false),
    (&[("x-role", b"user"), ("x-role", b"\xff")], false),
    (&[("x-role", b"user"), ("x-role", b"")], false),
    (&[("x_role", b"user")], false),
    (&[("x-role-", b"user")], false),
];

#[test]
fn values_that_two_readers_see_in_two_ways() {
    needs_lab!();
    let site = Site::start(ROLE);
    for (fields, allowed) in TABLE {
        let status = if *allowed { 200 } else { 403 };
        let before = site.asked().len();
        let mut bytes = b"GET /public HTTP/1.1\r\nHost: a.test\r\n".to_vec();
        for (name, value) in *fields {
            bytes.extend([name.to_ascii_uppercase().as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let mut client = site.client(81);
        client.send([&bytes[..], b"\r\n"].concat()).unwrap();
        assert_eq!(client.response().unwrap().status, status, "{fields:?} in HTTP/1.1");
        let mut list: Vec<(&[u8], &[u8])> = Vec::new();
        let plain = request("GET", "/public");
        list.extend(plain.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        list.extend(fields.iter().map(|(name, value)| (name.as_bytes(), *value)));
        assert_eq!(site.h2_client(82).ask(&list).unwrap().status, status, "{fields:?} in HTTP/2");
        let arrived = site.asked().len() - before;
        assert_eq!(arrived, if *allowed { 2 } else { 0 }, "{fields:?}");
    }
}
