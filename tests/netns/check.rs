//! `weir check` and `weir explain`, as a user calls them. No root needed.

use std::path::PathBuf;
use std::process::{Command, Output};

use tests::objects::{documents, gateway, service};
use tests::weir::binary;

use crate::world::GET_PUBLIC;

/// A folder of its own with these files; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("weir-check-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn weir(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new(binary()).arg(command).arg(&self.0).args(arguments).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn problems_name_file_line_object_and_field() {
    let unread = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n";
    // Name, file, flags, whether it passes, what is said.
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], bool, &'a [&'a str]);
    let table: [Row<'_>; 10] = [
        ("good", GET_PUBLIC, &[], true, &["0 errors, 0 warnings"]),
        (
            "field",
            &GET_PUBLIC.replace("ingress:", "ingres:"),
            &[],
            false,
            &["a.yaml:", "CiliumNetworkPolicy default/api: ", "ingres"],
        ),
        (
            "regex",
            &GET_PUBLIC.replace("/public", "'/public('"),
            &[],
            false,
            &[
                "a.yaml:",
                "CiliumNetworkPolicy default/api: ",
                "spec.ingress[0].toPorts[0].rules.http[0].path",
            ],
        ),
        (
            "twice",
            &format!("{GET_PUBLIC}\n---\n{GET_PUBLIC}"),
            &[],
            false,
            &["a.yaml:", "CiliumNetworkPolicy default/api: "],
        ),
        ("kind", unread, &[], true, &["warning: ", "Deployment", "0 errors, 1 warning"]),
        ("strict", unread, &["--strict"], false, &["error: ", "Deployment", "1 error, 0 warnings"]),
        ("empty", "", &[], true, &["0 objects read", "0 errors, 0 warnings"]),
        (
            "node",
            ON_NODE,
            &["--node", "nope"],
            false,
            &["1 object read", "error: --node nope: there is no Node of this name", "did you mean n1?"],
        ),
        (
            "class",
            ANOTHERS,
            &["--strict"],
            false,
            &[
                "Gateway default/edge: spec.gatewayClassName: GatewayClass weir has controllerName weir.dev/gatewayy",
            ],
        ),
        (
            "budget",
            STICKY,
            &[],
            false,
            &[
                "XBackendTrafficPolicy default/api: spec.sessionPersistence: ",
                "the policy is refused: Service default/api has the default retry budget, 20 % of",
                "1 error, 1 warning",
            ],
        ),
    ];
    for (name, text, arguments, passes, parts) in table {
        let folder = Folder::new(name, &[("a.yaml", text)]);
        let output = folder.weir("check", arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(!passes)), "{name}: {said}");
        for part in parts {
            assert!(said.contains(part), "{name}: no {part:?} in {said}");
        }
    }
}

#[test]
fn explain_answers_from_files() {
    let pods = ["frontend", "api"].map(|name| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{role: {name}, app: {name}}}}}\n\
             spec: {{containers: [{{name: c, image: i}}]}}\nstatus: {{podIP: 10.0.0.{}}}\n",
            name.len()
        )
    });
    let folder = Folder::new("explain", &[("pods.yaml", &pods.join("---\n")), ("policy.yaml", GET_PUBLIC)]);
    let ask = |method: &str, more: &[&str]| {
        let question =
            ["--from", "default/frontend", "--to", "default/api:80", "--method", method, "--path", "/public"];
        let output = folder.weir("explain", &[&question, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(ask("POST", &[]).to_lowercase().contains("denied"));
    assert!(ask("GET", &[]).contains("spec.ingress[0]"));
    let json: serde_json::Value = serde_json::from_str(&ask("POST", &["--output", "json"])).unwrap();
    assert!(json.is_object());
    let nobody = folder.weir("explain", &["--from", "default/nobody", "--to", "default/api:80"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("nobody"));
}

/// A Gateway of UDP on 53 and 54, of which the first has a route, and of HTTP on 80.
#[test]
fn explain_answers_for_udp_gateways() {
    let udp = "  - {name: dns, protocol: UDP, port: 53}\n  - {name: none, protocol: UDP, port: 54}\n";
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: UDPRoute\nmetadata: {name: names, namespace: default}\n\
                 spec:\n  parentRefs: [{name: edge, sectionName: dns}]\n  rules: [{backendRefs: [{name: dns, port: 53}]}]\n";
    let dns = service("dns", &["10.96.0.53"], 53, &[([10, 0, 0, 9].into(), 5353)]).replace("TCP", "UDP");
    let objects = documents(&[gateway("edge", 80, &["10.1.2.3"]) + udp, route.to_owned(), dns]);
    let folder = Folder::new("explain-udp", &[("objects.yaml", &objects)]);
    for (to, protocol, passes, said) in [
        (
            "default/edge:53",
            "udp",
            true,
            &["UDPRoute default/names spec.rules[0]", "10.0.0.9:5353: allowed"][..],
        ),
        ("10.1.2.3:53", "udp", true, &["Gateway default/edge listener dns", "verdict  ALLOWED"]),
        ("10.1.2.3:54", "udp", true, &["listener none", "FAILED: the datagrams are dropped: no route"]),
        ("10.1.2.3:53", "tcp", false, &["answers on UDP only, not TCP"]),
        ("10.1.2.3:80", "udp", false, &["answers on TCP only, not UDP"]),
        ("default/edge", "udp", false, &["which port? It has 53, 54"]),
    ] {
        let output = folder.weir("explain", &["--from", "outside", "--to", to, "--protocol", protocol]);
        assert_eq!(output.status.success(), passes, "{to} {protocol}: {output:?}");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for said in said {
            assert!(text.contains(said), "{to} {protocol}: {said:?} is not in:\n{text}");
        }
    }
}

#[test]
fn help_and_version_are_there() {
    for arguments in [&["--version"][..], &["--help"], &["run", "--help"], &["cleanup", "--help"]] {
        let output = Command::new(binary()).args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
    }
    let wrong = Command::new(binary()).args(["run"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "no PATH");
}

/// A pod on another node than is asked for.
const ON_NODE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: default}
spec: {nodeName: n1, containers: [{name: c, image: i}]}
"#;

/// A Gateway that nobody serves for a slip in the controller's name.
const ANOTHERS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weir.dev/gatewayy}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}]}
"#;

/// A policy that asks for more than there is.
const STICKY: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 80}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: api, namespace: default}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  retryConstraint: {budget: {percent: 5}}
  sessionPersistence: {sessionName: api}
"#;
