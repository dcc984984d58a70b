use super::*;
use model::identity::{Identity, Label, Labels};
use model::policy::{Enforcement, HttpRules, PolicyVerdict};
use model::workload::Protocol;
use objects::{Kind, Refused, RefusedRule, Severity};
use policy::{ConnectionVerdict, connection};
use serde_json::{Value, json};

fn object(spec: &Value) -> Object {
    named("p", spec)
}

fn named(name: &str, spec: &Value) -> Object {
    let policy = json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec});
    Object::CiliumNetworkPolicy(Arc::new(serde_json::from_value(policy).expect("a policy")))
}

fn clusterwide(spec: &Value) -> Object {
    let policy = json!({"metadata": {"name": "c"}, "spec": spec});
    Object::CiliumClusterwideNetworkPolicy(Arc::new(serde_json::from_value(policy).expect("a policy")))
}

fn fault(object: &Object) -> String {
    match Evaluation::new("main").add(object) {
        Ok(()) => "accepted".into(),
        Err(fault) => fault.to_string(),
    }
}

fn ingress(rule: Value) -> Value {
    json!({"endpointSelector": {}, "ingress": [rule]})
}

fn port(port: Value) -> Value {
    ingress(json!({"toPorts": [{"ports": [port]}]}))
}

fn http(rule: Value) -> Value {
    let rules = json!({"http": [{}, rule]});
    ingress(json!({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": rules}]}))
}

/// Each policy is refused with a fault that begins as said.
fn check(cases: &[(Value, &str)]) {
    for (spec, want) in cases {
        let fault = fault(&object(spec));
        assert!(fault.starts_with(want), "{spec}: {fault}");
    }
}

#[test]
fn faults_of_subject_name_the_field_to_blame() {
    let selector = |selector: Value| json!({"endpointSelector": selector, "ingress": [{}]});
    check(&[
        (json!({"endpointSelector": {}}), "spec: at least one rule"),
        (json!({"endpointSelector": {}, "ingress": []}), "spec: at least one rule"),
        (json!({"ingress": [{}]}), "spec.endpointSelector: a rule needs"),
        (
            json!({"nodeSelector": {}, "ingress": [{}]}),
            "spec.nodeSelector: a CiliumNetworkPolicy is about pods",
        ),
        (
            selector(json!({"matchLabels": {"app": "-x"}})),
            "spec.endpointSelector.matchLabels[app]: `-x` is not",
        ),
        (
            selector(json!({"matchLabels": {"a b": "x"}})),
            "spec.endpointSelector.matchLabels[a b]: `a b` is not",
        ),
        (selector(json!({"matchLabels": {"x:y:z": "x"}})), "spec.endpointSelector.matchLabels[x:y:z]: "),
        (
            selector(json!({"matchLabels": {"node:x": ""}})),
            "spec.endpointSelector.matchLabels[node:x]: labels from `node`",
        ),
        (
            selector(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": []}]})),
            "spec.endpointSelector.matchExpressions[0].values: ",
        ),
        (
            selector(json!({"matchExpressions": [{"key": "app", "operator": "Equals", "values": ["a"]}]})),
            "spec.endpointSelector.matchExpressions[0].operator: ",
        ),
        (
            selector(json!({"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["a"]}]})),
            "spec.endpointSelector.matchExpressions[0].values: ",
        ),
    ]);
    let fault = fault(&clusterwide(&json!({"nodeSelector": {}, "ingress": [{}]})));
    assert!(fault.contains("not enforced"), "{fault}");
}

#[test]
fn faults_of_peers_name_the_field_to_blame() {
    let egress = |rule: Value| json!({"endpointSelector": {}, "egress": [{}, rule]});
    check(&[
        (
            ingress(json!({"fromCIDR": ["10.0.0.0/8"], "fromEntities": ["world"]})),
            "spec.ingress[0]: fromCIDR and fromEntities",
        ),
        (
            ingress(json!({"fromEntities": ["World"]})),
            "spec.ingress[0].fromEntities[0]: there is no entity `World`",
        ),
        (egress(json!({"toCIDR": ["10.0.0.0/33"]})), "spec.egress[1].toCIDR[0]: `10.0.0.0/33`"),
        (egress(json!({"toCIDR": ["10.0.0.0/08"]})), "spec.egress[1].toCIDR[0]: `10.0.0.0/08`"),
        (
            egress(json!({"toCIDRSet": [{"cidr": "10.0.0.1"}]})),
            "spec.egress[1].toCIDRSet[0].cidr: `10.0.0.1`",
        ),
        (
            egress(json!({"toCIDRSet": [{"cidrGroupRef": "g"}]})),
            "spec.egress[1].toCIDRSet[0].cidrGroupRef: not enforced",
        ),
        (egress(json!({"toCIDRSet": [{}]})), "spec.egress[1].toCIDRSet[0].cidr: "),
        (
            egress(json!({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}]})),
            "spec.egress[1].toCIDRSet[0].except[1]: 11.0.0.0/16 is not inside 10.0.0.0/8",
        ),
    ]);
}

#[test]
fn faults_of_ports_name_the_field_to_blame() {
    check(&[
        (port(json!({"port": "0", "endPort": 100})), "spec.ingress[0].toPorts[0].ports[0].endPort: port 0"),
        (
            port(json!({"port": "http", "endPort": 100})),
            "spec.ingress[0].toPorts[0].ports[0].endPort: a named port",
        ),
        (
            port(json!({"port": "80", "endPort": 70})),
            "spec.ingress[0].toPorts[0].ports[0].endPort: 70 is below",
        ),
        (
            port(json!({"port": "80", "endPort": 65536})),
            "spec.ingress[0].toPorts[0].ports[0].endPort: a port is",
        ),
        (port(json!({"port": "010"})), "spec.ingress[0].toPorts[0].ports[0].port: `010`"),
        (port(json!({"port": "65536"})), "spec.ingress[0].toPorts[0].ports[0].port: `65536`"),
        (port(json!({"port": "a--b"})), "spec.ingress[0].toPorts[0].ports[0].port: `a--b`"),
        (port(json!({})), "spec.ingress[0].toPorts[0].ports[0].port: "),
        (
            port(json!({"port": "80", "protocol": "tcp"})),
            "spec.ingress[0].toPorts[0].ports[0].protocol: `tcp`",
        ),
        (
            ingress(json!({"toPorts": [{"ports": vec![json!({"port": "80"}); 41]}]})),
            "spec.ingress[0].toPorts[0].ports: 41 ports",
        ),
        (
            ingress(json!({"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{}]}}]})),
            "spec.ingress[0].toPorts[0].ports[0].protocol: HTTP rules need `protocol: TCP`",
        ),
        (
            ingress(
                json!({"toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}], "rules": {"http": [{}]}}]}),
            ),
            "spec.ingress[0].toPorts[0].ports[0].port: HTTP rules need a port",
        ),
    ]);
}

#[test]
fn faults_of_http_rules_name_the_field_to_blame() {
    check(&[
        (http(json!({"path": "("})), "spec.ingress[0].toPorts[0].rules.http[1].path: `(` is not a regular"),
        (http(json!({"method": "["})), "spec.ingress[0].toPorts[0].rules.http[1].method: "),
        (http(json!({"host": "*"})), "spec.ingress[0].toPorts[0].rules.http[1].host: "),
        (http(json!({"headers": ["X Y: v"]})), "accepted"),
        (
            http(json!({"headers": ["X-Key:"]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headers[0]: `X-Key:`",
        ),
        (
            http(json!({"headerMatches": [{"name": "", "value": "v"}]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headerMatches[0].name: ",
        ),
        (
            http(json!({"headerMatches": [{"name": "x", "mismatch": "DROP"}]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headerMatches[0].mismatch: `DROP`",
        ),
        (
            http(json!({"headerMatches": [{"name": "x", "secret": {"name": "s"}}]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headerMatches[0].secret: not enforced",
        ),
        (
            http(json!({"headerMatches": [{"name": "Host", "value": "v", "mismatch": "REPLACE"}]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headerMatches[0].name: a policy cannot change",
        ),
        (
            http(json!({"headerMatches": [{"name": "x", "value": "a\r\nb", "mismatch": "ADD"}]})),
            "spec.ingress[0].toPorts[0].rules.http[1].headerMatches[0].value: ",
        ),
        (
            json!({"endpointSelector": {}, "ingressDeny": [{"toPorts": [{"ports": [], "rules": {}}]}]}),
            "spec.ingressDeny[0].toPorts[0].rules: a deny rule",
        ),
    ]);
}

#[test]
fn what_is_not_enforced_yet_is_refused_by_name() {
    let field = |name: &str, value: Value| (name.to_owned(), value);
    for (section, (name, value)) in [
        ("ingress", field("fromGroups", json!([]))),
        ("ingress", field("fromNodes", json!([{}]))),
        ("ingress", field("icmps", json!([{"fields": [{"type": 8}]}]))),
        ("ingress", field("authentication", json!({"mode": "required"}))),
        ("ingress", field("fromRequires", json!(["x"]))),
        ("egress", field("toServices", json!([]))),
        ("egress", field("toFQDNs", json!([]))),
        ("egress", field("toGroups", json!([]))),
        ("egress", field("toNodes", json!([{}]))),
        ("egressDeny", field("toFQDNs", json!([{"matchName": "a"}]))),
        ("egressDeny", field("icmps", json!([{"fields": [{"type": "EchoRequest"}]}]))),
    ] {
        let spec = json!({"endpointSelector": {}, section: [{name.clone(): value}]});
        assert!(fault(&object(&spec)).starts_with(&format!("spec.{section}[0].{name}: ")), "{spec}");
    }
    for (name, value) in [
        ("terminatingTLS", json!({"secret": {"name": "s"}})),
        ("originatingTLS", json!({"secret": {"name": "s"}})),
        ("serverNames", json!(["a"])),
        ("listener", json!({"name": "l", "envoyConfig": {"name": "e"}})),
    ] {
        let spec = ingress(json!({"toPorts": [{"ports": [{"port": "80"}], name: value}]}));
        assert!(fault(&object(&spec)).starts_with(&format!("spec.ingress[0].toPorts[0].{name}: ")), "{spec}");
    }
    let dns =
        ingress(json!({"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchPattern": "*"}]}}]}));
    assert!(fault(&object(&dns)).starts_with("spec.ingress[0].toPorts[0].rules.dns: "));
    for harmless in
        [json!({"icmps": []}), json!({"toPorts": [{"ports": [{"port": "80"}], "rules": {"dns": []}}]})]
    {
        assert_eq!(fault(&object(&ingress(harmless))), "accepted");
    }
}

/// Two pods of namespace `ns` on this node: `web` and, elsewhere, `cli`.
fn workloads() -> (Arc<HashMap<IpAddr, Arc<Workload>>>, Arc<Identities>) {
    let mut workloads = HashMap::new();
    let mut identities = Identities::new();
    for (number, app, local) in [(256, "web", Some(EndpointId(1))), (257, "cli", None)] {
        let id = IdentityId(number);
        let labels =
            [("io.kubernetes.pod.namespace", "ns"), ("io.cilium.k8s.policy.cluster", "main"), ("app", app)];
        let labels = Labels::new(labels.iter().map(|(k, v)| Label::new("k8s", k, v)).collect());
        identities.insert(id, Arc::new(Identity { id, labels, cidr: None }));
        let ip: IpAddr = format!("10.0.0.{}", number - 250).parse().expect("an address");
        workloads.insert(
            ip,
            Arc::new(Workload {
                namespace: "ns".into(),
                name: app.into(),
                node: "n".into(),
                addresses: vec![ip],
                identity: id,
                named_ports: Vec::new(),
                local,
            }),
        );
    }
    (Arc::new(workloads), Arc::new(identities))
}

const WEB: EndpointId = EndpointId(1);

fn from_cli(path: &str) -> Value {
    json!({"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{
        "fromEndpoints": [{"matchLabels": {"app": "cli"}}],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"path": path}]}}],
    }]})
}

fn store(objects: &[Object]) -> Store {
    let mut store = Store::default();
    for object in objects {
        store.apply(object.clone(), None);
    }
    store
}

#[test]
fn a_refused_version_leaves_the_last_good_one_in_force() {
    let (workloads, identities) = workloads();
    let mut translator = PolicyTranslator::new("main");
    let mut translate = |store: &Store| {
        let mut problems = Vec::new();
        translator.update(store, &mut problems);
        (translator.compile(&workloads, &identities)[&WEB].clone(), problems)
    };
    let path = |policy: &EndpointPolicy| -> String {
        match connection(&policy.ingress, IdentityId(257), Protocol::Tcp, 80) {
            ConnectionVerdict::Http(rules) => rules.rules[0].path.as_ref().expect("a path").to_string(),
            other => format!("{other:?}"),
        }
    };
    let (good, problems) = translate(&store(&[object(&from_cli("/a"))]));
    assert!(problems.is_empty());
    assert_eq!(path(&good), "^(?:/a)$");

    let (kept, problems) = translate(&store(&[object(&from_cli("("))]));
    assert_eq!(path(&kept), "^(?:/a)$");
    assert!(Arc::ptr_eq(&good, &kept), "an unchanged policy keeps its Arc");
    assert_eq!(problems.len(), 1);
    let problem = &problems[0];
    assert_eq!(problem.field.as_deref(), Some("spec.ingress[0].toPorts[0].rules.http[0].path"));
    assert_eq!((problem.severity, problem.fatal), (Severity::Error, false));
    assert_eq!(problem.object.as_ref().map(ToString::to_string).as_deref(), Some("CiliumNetworkPolicy ns/p"));

    let (changed, problems) = translate(&store(&[object(&from_cli("/b"))]));
    assert!(problems.is_empty());
    assert_eq!(path(&changed), "^(?:/b)$");
    let (open, _) = translate(&Store::default());
    assert_eq!(open.ingress.enforcement, Enforcement::Open);
}

#[test]
fn a_refused_policy_without_a_good_version_closes_what_it_selects_in_its_directions() {
    let (workloads, identities) = workloads();
    let selector = json!({"matchLabels": {"app": "web"}});
    let bad = json!([{"fromEntities": ["nobody"]}]);
    let cases = [
        (json!({"endpointSelector": selector, "ingress": bad}), (true, false), false),
        (json!({"endpointSelector": selector, "ingressDeny": bad}), (true, false), false),
        (json!({"endpointSelector": selector, "ingress": bad, "egress": [{}]}), (true, true), false),
        (json!({"endpointSelector": selector}), (true, true), false),
        (
            json!({"endpointSelector": selector, "enableDefaultDeny": {"ingress": false}, "ingress": bad, "egress": [{}]}),
            (false, true),
            false,
        ),
        (
            json!({"endpointSelector": selector, "enableDefaultDeny": {"ingress": false}, "ingressDeny": bad}),
            (true, false),
            false,
        ),
        (
            json!({"endpointSelector": {"matchLabels": {"app": "other"}}, "ingress": bad}),
            (false, false),
            false,
        ),
        (json!({"endpointSelector": {"matchLabels": {"app": "-"}}, "ingress": [{}]}), (true, false), true),
        (json!({"ingress": [{}]}), (true, false), true),
        (json!({"nodeSelector": {}, "ingress": [{}]}), (false, false), false),
    ];
    for (spec, closed, fatal) in cases {
        let mut translator = PolicyTranslator::new("main");
        let mut problems = Vec::new();
        translator.update(&store(&[object(&spec)]), &mut problems);
        let policy = translator.compile(&workloads, &identities)[&WEB].clone();
        let is_closed = |enforcement: &Enforcement| matches!(enforcement, Enforcement::Closed(_));
        let got = (is_closed(&policy.ingress.enforcement), is_closed(&policy.egress.enforcement));
        assert_eq!(got, closed, "{spec}");
        assert_eq!(problems.iter().map(|p| p.fatal).collect::<Vec<_>>(), [fatal], "{spec}");
    }
}

#[test]
fn a_policy_that_could_not_be_read_closes_what_the_store_says() {
    let (workloads, identities) = workloads();
    let rule = |selector: Option<Value>, nodes| RefusedRule {
        selector: selector.map(|selector| serde_json::from_value(selector).expect("a selector")),
        nodes,
        ingress: true,
        egress: false,
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let other = json!({"matchLabels": {"app": "other"}});
    for (rules, closed) in [
        (vec![rule(Some(web), false)], true),
        (vec![rule(Some(other.clone()), false)], false),
        (vec![rule(Some(other), false), rule(None, false)], true),
        (vec![rule(None, true)], false),
        (vec![], true),
    ] {
        let mut store = Store::default();
        let key = ObjectKey::new(Kind::CiliumNetworkPolicy, "ns", "p");
        store.refuse(Refused { key, source: None, rules, message: "unknown field".into() });
        let mut translator = PolicyTranslator::new("main");
        let mut problems = Vec::new();
        translator.update(&store, &mut problems);
        let policy = translator.compile(&workloads, &identities)[&WEB].clone();
        assert_eq!(matches!(policy.ingress.enforcement, Enforcement::Closed(_)), closed);
        assert!(problems.is_empty(), "whoever refused it said so");
    }
}

#[test]
fn policies_of_other_endpoints_leave_a_compiled_policy_alone() {
    let (workloads, identities) = workloads();
    let mut translator = PolicyTranslator::new("main");
    let mut compile = |objects: &[Object]| {
        translator.update(&store(objects), &mut Vec::new());
        translator.compile(&workloads, &identities)
    };
    let mine = object(&from_cli("/a"));
    let first = compile(std::slice::from_ref(&mine));
    assert!(Arc::ptr_eq(&first, &compile(std::slice::from_ref(&mine))));
    let other = json!({"endpointSelector": {"matchLabels": {"app": "other"}}, "ingress": [{}]});
    let second = compile(&[mine, named("q", &other)]);
    assert!(Arc::ptr_eq(&first[&WEB], &second[&WEB]));
}

#[test]
fn every_network_that_a_policy_names_is_a_prefix() {
    let spec = json!({"endpointSelector": {}, "egress": [
        {"toCIDR": ["192.0.2.7", "2001:db8::1/32"]},
        {"toCIDRSet": [{"cidr": "10.1.2.3/8", "except": ["10.1.0.0/16"]}]},
    ]});
    let mut translator = PolicyTranslator::new("main");
    translator.update(&store(&[object(&spec)]), &mut Vec::new());
    let prefixes: Vec<String> = translator.prefixes().iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]);
}

#[test]
fn http_rules_say_where_they_stand() {
    let mut evaluation = Evaluation::new("main");
    evaluation.add(&object(&from_cli("/a"))).expect("a good policy");
    let (_, identities) = workloads();
    let labels = identities[&IdentityId(256)].labels.clone();
    let policy = evaluation.compile(&labels, &[], &identities, &HashMap::new());
    let rules: Vec<&HttpRules> = policy.ingress.entries[&IdentityId(257)]
        .iter()
        .filter_map(|entry| match &entry.verdict {
            PolicyVerdict::Http(rules) => Some(&**rules),
            _ => None,
        })
        .collect();
    assert_eq!(rules.len(), 1);
    let by = rules[0].rules[0].by.to_string();
    assert_eq!(by, "CiliumNetworkPolicy ns/p spec.ingress[0].toPorts[0].rules.http[0]");
}
