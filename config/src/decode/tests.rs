use std::path::Path;
use std::sync::Arc;

use objects::{Kind, Object, ObjectKey, RefusedRule};

use super::{Contents, Outcome, decode};

fn read(yaml: &str) -> Contents {
    let file: Arc<Path> = Path::new("f.yaml").into();
    decode(&file, &crate::yaml::parse(yaml).expect(yaml))
}

fn problems(yaml: &str) -> Vec<String> {
    read(yaml).problems.iter().map(ToString::to_string).collect()
}

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs:
  - name: gw
  rules:
";

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints:
    - matchLabels: {role: frontend}
";

/// Each row: what follows the head, and the problem without `f.yaml:` and the object.
fn check(head: &str, object: &str, cases: &[(&str, &[&str])]) {
    for (rest, expected) in cases {
        let expected: Vec<String> = expected
            .iter()
            .map(|line| {
                let (at, message) = line.split_once(": ").unwrap();
                format!("f.yaml:{at}: {object}: {message}")
            })
            .collect();
        assert_eq!(problems(&format!("{head}{rest}")), expected, "{rest}");
    }
}

#[test]
fn routes_are_refused_by_line_and_field() {
    check(
        ROUTE,
        "HTTPRoute shop/r",
        &[
            ("  - backendRefs:\n    - {name: a, port: 80, weight: 90}\n", &[]),
            (
                "  - matches:\n    - path: {type: Prefix, value: /}\n",
                &[
                    "9: spec.rules[0].matches[0].path.type: unknown variant `Prefix`, expected one of `Exact`, \
                   `PathPrefix`, `RegularExpression`",
                ],
            ),
            (
                "  - matches:\n    - path:\n        typ: Exact\n        value: /\n",
                &["10: spec.rules[0].matches[0].path.typ: unknown field"],
            ),
            (
                "  - backendRefs:\n    - name: a\n      port: '80'\n",
                &[
                    "10: spec.rules[0].backendRefs[0].port: invalid type: string \"80\", expected a whole number",
                ],
            ),
            (
                "  - backendRefs:\n    - name: a\n      port: 80\n      weight: 1000001\n    - {name: b, port: 70000}\n",
                &[
                    "11: spec.rules[0].backendRefs[0].weight: must be from 0 to 1000000, not 1000001",
                    "12: spec.rules[0].backendRefs[1].port: must be from 1 to 65535, not 70000",
                ],
            ),
            ("  - backendRefs:\n    - port: 80\n", &["9: spec.rules[0].backendRefs[0].name: is missing"]),
            (
                "  - backendRefs:\n    - name: a\n",
                &["9: spec.rules[0].backendRefs[0].port: is missing: a Service needs one"],
            ),
            (
                "  - matches:\n    - path: {type: RegularExpression, value: '/(a'}\n",
                &[
                    "9: spec.rules[0].matches[0].path.value: `/(a` is not a regular expression: unclosed group",
                ],
            ),
            (
                "  - matches:\n    - headers:\n      - {name: x, value: 5}\n",
                &[
                    "10: spec.rules[0].matches[0].headers[0].value: invalid type: integer `5`, expected a string; \
                   put it in quotes",
                ],
            ),
            (
                "  - name: a\n    name: b\n",
                &["9: spec.rules[0].name: is there twice; the first is on line 8"],
            ),
            (
                "  - timeouts: {request: 10x}\n",
                &["8: spec.rules[0].timeouts.request: `10x` is not a duration such as `10s` or `1m30s`"],
            ),
            (
                "  - filters:\n    - type: URLRewrite\n      requestRedirect: {port: 0}\n",
                &[
                    "10: spec.rules[0].filters[0].requestRedirect: is not what `type` names",
                    "9: spec.rules[0].filters[0].urlRewrite: is missing: `type` names it",
                    "10: spec.rules[0].filters[0].requestRedirect.port: must be from 1 to 65535, not 0",
                ],
            ),
        ],
    );
}

#[test]
fn policies_are_refused_by_line_and_field() {
    check(
        POLICY,
        "CiliumNetworkPolicy shop/p",
        &[
            ("    toPorts:\n    - ports: [{port: '80', protocol: TCP}]\n", &[]),
            (
                "    toPorts:\n    - ports:\n      - port: 80\n        protocol: TCP\n",
                &[
                    "11: spec.ingress[0].toPorts[0].ports[0].port: invalid type: integer `80`, expected a string; \
                   put it in quotes",
                ],
            ),
            (
                "    toPorts:\n    - ports: [{port: '80'}]\n      rules:\n        http:\n        - method: GET\n          \
                 path: '/pub(lic'\n",
                &[
                    "14: spec.ingress[0].toPorts[0].rules.http[0].path: `/pub(lic` is not a regular expression: \
                   unclosed group",
                ],
            ),
            ("  egres:\n  - {}\n", &["9: spec.egres: unknown field"]),
            (
                "    fromEntities: [world]\n",
                &["9: spec.ingress[0].fromEntities: excludes `fromEndpoints`: write two rules"],
            ),
            (
                "  egress:\n  - toFQDNs: [{matchName: a.test}]\n",
                &["10: spec.egress[0].toFQDNs: is not enforced by Weir"],
            ),
        ],
    );
}

#[test]
fn documents_that_are_no_known_object() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("# only a comment\n", &[]),
        ("- 1\n", &["1: is not a Kubernetes object: a mapping with apiVersion and kind"]),
        ("a: 1\n", &["1: apiVersion: is missing: this is not a Kubernetes object"]),
        ("apiVersion: v1\nkind: 5\n", &["2: kind: must be a string"]),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {nam: b}\n",
            &["3: metadata.name: is missing; nobody can tell which Pod this is"],
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 5\n",
            &["4: metadata.name: must be a string: put it in quotes; nobody can tell which Pod this is"],
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}\n",
            &["1: Deployment b/a: Weir does not read this kind (apps/v1); it has no effect"],
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\n",
            &["1: Gateway a: Weir does not read this kind (networking.istio.io/v1); it has no effect"],
        ),
        (
            "apiVersion: v1\nkind: HTTPRoute\nmetadata: {name: a}\n",
            &[
                "1: HTTPRoute default/a: apiVersion: Weir reads HTTPRoute of gateway.networking.k8s.io/v1 only",
            ],
        ),
        (
            "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1alpha2\nmetadata: {name: a}\n",
            &[
                "2: HTTPRoute default/a: apiVersion: Weir reads HTTPRoute of gateway.networking.k8s.io/v1 only",
            ],
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkpolicy\nmetadata: {name: a}\n",
            &["2: kind: CiliumNetworkpolicy is no kind of cilium.io/v2; did you mean CiliumNetworkPolicy?"],
        ),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicies\nmetadata: {name: a}\n",
            &["2: kind: CiliumClusterwideNetworkPolicies is no kind of cilium.io/v2; \
               did you mean CiliumClusterwideNetworkPolicy?"],
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\nmetadata: {name: a}\n",
            &["2: kind: HttpRoute is no kind of gateway.networking.k8s.io/v1; did you mean HTTPRoute?"],
        ),
        (
            "apiVersion: v1\nkind: Pods\nmetadata: {name: a}\n",
            &["2: kind: Pods is no kind of v1; did you mean Pod?"],
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: XMesh\nmetadata: {name: a}\n",
            &["1: XMesh a: Weir does not read this kind (gateway.networking.k8s.io/v1); it has no effect"],
        ),
        (
            "apiVersion: example.org/v1\nkind: gateways\nmetadata: {name: a}\n",
            &["1: gateways a: Weir does not read this kind (example.org/v1); it has no effect"],
        ),
        ("apiVersion: v1\nkind: List\nitems: {}\n", &["3: items: must be a list"]),
    ];
    for (yaml, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|line| format!("f.yaml:{line}")).collect();
        assert_eq!(problems(yaml), expected, "{yaml}");
    }
}

#[test]
fn core_objects_are_refused_by_line_and_field() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}\nspec:\n  containers:\n  - name: x\n    img: y\n\
               status: {podIP: 10.0.0}\n";
    let name = "(lower-case letters, digits, `-` and `.`, at most 253, with a letter or digit at both ends)";
    assert_eq!(
        problems(pod),
        [
            "f.yaml:7: Pod default/A_b: spec.containers[0].img: unknown field".to_owned(),
            format!("f.yaml:3: Pod default/A_b: metadata.name: `A_b` is not a name {name}"),
            "f.yaml:8: Pod default/A_b: status.podIP: `10.0.0` is not an IP address".to_owned(),
        ]
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - {name: http}\n";
    assert_eq!(
        problems(service),
        ["f.yaml:6: Service default/a: spec.ports[0].port: must be from 1 to 65535, not 0"]
    );
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv6\n\
                 endpoints:\n- addresses: [10.0.0.1]\n";
    assert_eq!(
        problems(slice),
        ["f.yaml:6: EndpointSlice default/a: endpoints[0].addresses[0]: `10.0.0.1` is not an IPv6 address"]
    );
}

#[test]
fn every_kind_decodes() {
    for kind in Kind::ALL.iter().copied() {
        let spec = match kind {
            Kind::Service => "spec: {clusterIP: 10.0.0.1, ports: [{port: 80, targetPort: http}]}",
            Kind::EndpointSlice => {
                "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]\nports: [{port: 80}]"
            }
            Kind::GatewayClass => "spec: {controllerName: a.test/b}",
            Kind::Gateway => {
                "spec: {gatewayClassName: a, listeners: [{name: b, port: 80, protocol: HTTP, hostname: '*.a.test'}]}"
            }
            Kind::ListenerSet => {
                "spec: {parentRef: {name: a}, listeners: [{name: b, port: 80, protocol: HTTP}]}"
            }
            Kind::HttpRoute => "spec: {rules: [{backendRefs: [{name: a, port: 80, weight: 0}]}]}",
            Kind::GrpcRoute => "spec: {rules: [{matches: [{method: {service: a.B, method: C}}]}]}",
            Kind::TlsRoute => "spec: {hostnames: [a.test], rules: [{backendRefs: [{name: a, port: 80}]}]}",
            Kind::TcpRoute | Kind::UdpRoute => "spec: {rules: [{backendRefs: [{name: a, port: 80}]}]}",
            Kind::Secret => "type: kubernetes.io/tls\ndata: {tls.crt: YQ==}\nstringData: {tls.key: a}",
            Kind::ConfigMap => "data: {ca.crt: a}",
            Kind::BackendTlsPolicy => {
                "spec: {targetRefs: [{group: '', kind: Service, name: a}], \
                 validation: {hostname: a.test, caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]}}"
            }
            Kind::BackendTrafficPolicy => {
                "spec: {targetRefs: [{group: '', kind: Service, name: a}], \
                 retryConstraint: {budget: {percent: 20, interval: 10s}}}"
            }
            Kind::ReferenceGrant => {
                "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}], \
                 to: [{group: '', kind: Service}]}"
            }
            Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy => {
                "spec: {endpointSelector: {}, ingress: [{}]}"
            }
            Kind::Node => {
                "status: {addresses: [{type: InternalIP, address: '::1'}, {type: Hostname, address: a}]}"
            }
            Kind::Pod => {
                "spec: {containers: [{name: a}]}\nstatus: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}"
            }
            Kind::Namespace => "",
        };
        for version in kind.versions() {
            let group = kind.group();
            let slash = if group.is_empty() { "" } else { "/" };
            let head = format!("apiVersion: {group}{slash}{version}\nkind: {kind}\nmetadata: {{name: a}}\n");
            let contents = read(&format!("{head}{spec}\n"));
            assert_eq!(contents.problems, [], "{kind}");
            assert_eq!(contents.objects[0].key, ObjectKey::new(kind, "default", "a"));
            let Outcome::Good(object) = &contents.objects[0].outcome else { panic!("{kind}") };
            assert_eq!(object.key(), contents.objects[0].key);
        }
    }
}

#[test]
fn lists_stand_for_their_elements() {
    let cases = [
        (
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n\
             - apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n",
            vec!["Pod default/a 4"],
            vec!["f.yaml:7: Pod default/a: a second object of this name, refused; the first is at f.yaml:4"],
        ),
        (
            "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
            vec!["Pod default/a 4", "Pod default/b 5"],
            vec![],
        ),
        ("apiVersion: v1\nkind: List\nitems: []\n", vec![], vec![]),
        (
            "apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}\n",
            vec![],
            vec!["f.yaml:4: apiVersion: is missing: this is not a Kubernetes object"],
        ),
    ];
    for (yaml, keys, expected) in cases {
        let contents = read(yaml);
        let found: Vec<String> =
            contents.objects.iter().map(|object| format!("{} {}", object.key, object.source.line)).collect();
        assert_eq!(found, keys, "{yaml}");
        assert_eq!(problems(yaml), expected, "{yaml}");
    }
}

#[test]
fn a_digest_tells_content_and_not_place() {
    let digest = |yaml: &str| read(yaml).objects[0].digest;
    let one = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    assert_eq!(digest(one), digest(&format!("# a comment\n{}", one.replace("{name: a}", "\n  name: 'a'"))));
    assert_ne!(digest(one), digest(&one.replace("{name: a}", "{name: a, labels: {b: c}}")));
}

#[test]
fn refused_policies_tell_what_they_close() {
    // Each row: the spec, and for each rule "selected" or "unknown" and the directions.
    let cases = [
        ("spec: {endpointSelector: {}, ingres: []}", "selected both"),
        ("spec: {endpointSelector: {}, bad: 1, ingress: [{}]}", "selected both"),
        ("spec: {endpointSelector: {}, ingress: 5}", "selected ingress"),
        ("spec: {endpointSelector: {}, ingressDeny: [{x: 1}]}", "selected ingress"),
        ("spec: {endpointSelector: {}, egress: [{x: 1}]}", "selected egress"),
        (
            "spec: {endpointSelector: {}, egress: [{x: 1}], enableDefaultDeny: {ingress: true}}",
            "selected both",
        ),
        ("spec: {endpointSelector: {}, egress: [{x: 1}], ingressDeny: null}", "selected egress"),
        ("spec: {endpointSelector: {matchLabels: {a: 1}}, ingress: [{}]}", "unknown ingress FATAL"),
        (
            "spec: {endpointSelector: {matchExpressions: [{key: a, operator: Is}]}, ingress: [{}]}",
            "unknown ingress FATAL",
        ),
        ("spec: {ingress: [{}]}", "unknown ingress FATAL"),
        ("spec: {nodeSelector: {}, ingress: [{}]}", "nodes ingress"),
        ("spec: 5", "unknown both FATAL"),
        (
            "specs: [{endpointSelector: {}, ingress: [{x: 1}]}, {egress: [{}]}]",
            "selected ingress, unknown egress FATAL",
        ),
        ("specs: {a: 1}", "unknown both FATAL"),
        ("spek: {}", "unknown both FATAL"),
    ];
    for (spec, expected) in cases {
        let contents = read(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\n{spec}\n"
        ));
        let Outcome::Bad(Some(refused)) = &contents.objects[0].outcome else { panic!("{spec}") };
        let show = |rule: &RefusedRule| {
            let selector = match (&rule.selector, rule.nodes) {
                (None, _) => "unknown",
                (Some(_), true) => "nodes",
                (Some(_), false) => "selected",
            };
            let directions = match (rule.ingress, rule.egress) {
                (true, true) => "both",
                (true, false) => "ingress",
                (false, true) => "egress",
                (false, false) => "none",
            };
            format!("{selector} {directions}")
        };
        let rules: Vec<String> = refused.rules.iter().map(show).collect();
        let fatal = if contents.problems.iter().any(|problem| problem.fatal) { " FATAL" } else { "" };
        assert_eq!(format!("{}{fatal}", rules.join(", ")), expected, "{spec}");
        assert!(!refused.message.is_empty());
    }
}

#[test]
fn nothing_that_is_cut_or_mangled_stops_the_reader() {
    let whole = format!(
        "{ROUTE}  - backendRefs: &b\n    - {{name: a, port: 80}}\n  - backendRefs: *b\n---\n{POLICY}"
    );
    let file: Arc<Path> = Path::new("f.yaml").into();
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    const MANGLE: &[u8] = b"{}[]:-,&*!|>'\"%@`\t\n #?<";
    let mut read = 0;
    for round in 0..5000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..1 + round % 4 {
            match random(3) {
                0 => bytes.truncate(1 + random(bytes.len())),
                1 => bytes.insert(random(bytes.len()), MANGLE[random(MANGLE.len())]),
                _ if bytes.len() > 1 => drop(bytes.remove(random(bytes.len()))),
                _ => {}
            }
        }
        if let Ok(documents) = crate::yaml::parse(&String::from_utf8(bytes).unwrap()) {
            let contents = decode(&file, &documents);
            let good = |object: &super::Decoded| matches!(object.outcome, Outcome::Good(_));
            assert!(contents.objects.iter().all(|object| good(object) || !contents.problems.is_empty()));
            read += 1;
        }
    }
    assert!(read > 500, "{read}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let base64 = "must be a string in base64; `stringData` takes plain text";
    let quotes = "must be a string: put it in quotes";
    for (text, want) in [
        ("data: {k: aHVudGVyMg==}\n", None),
        ("data: {k: YQ==}\nstringData: {k: hunter2}\n", None),
        ("data: {k: 'hunter2!'}\n", Some(("data.k", base64))),
        ("data: {k: [hunter2]}\n", Some(("data.k", base64))),
        ("data: hunter2\n", Some(("data", base64))),
        ("data: {k: 73825}\n", Some(("data.k", base64))),
        ("stringData: {k: 73825}\n", Some(("stringData.k", quotes))),
    ] {
        let contents = read(&format!("{head}{text}"));
        let got: Vec<String> = contents.problems.iter().map(ToString::to_string).collect();
        match want {
            None => {
                assert_eq!(got, [""; 0], "{text}");
                let Outcome::Good(Object::Secret(secret)) = &contents.objects[0].outcome else {
                    panic!("{text}")
                };
                assert_eq!(secret.data["k"], b"hunter2", "{text}");
            }
            Some((field, message)) => {
                assert_eq!(got, [format!("f.yaml:4: Secret default/a: {field}: {message}")], "{text}");
            }
        }
        let all = format!("{contents:?}");
        for secret in ["hunter2", "73825", "104, 117, 110", "aHVudGVyMg"] {
            assert!(!all.contains(secret), "{text}: {all}");
        }
    }
}

#[test]
fn tls_routes_had_no_hostnames_before_v1() {
    let route = |version: &str| {
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/{version}\nkind: TLSRoute\nmetadata: {{name: a}}\n\
             spec: {{rules: [{{backendRefs: [{{name: b, port: 1}}]}}]}}\n"
        );
        problems(&text)
    };
    assert_eq!(route("v1alpha2"), [""; 0]);
    assert_eq!(route("v1"), ["f.yaml:4: TLSRoute default/a: spec.hostnames: is missing"]);
    let other = "Weir reads TLSRoute of gateway.networking.k8s.io/v1 only";
    assert_eq!(route("v2"), [format!("f.yaml:1: TLSRoute default/a: apiVersion: {other}")]);
}
