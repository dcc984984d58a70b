//! Kubernetes objects as YAML for labs. Policies and routes are written out in the tests that are
//! about them.

use std::fmt::Write;
use std::net::IpAddr;

use crate::lab::Host;

/// Document separator, for joining.
pub const SEPARATOR: &str = "\n---\n";

/// Documents in one text.
pub fn documents<S: AsRef<str>>(parts: &[S]) -> String {
    parts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(SEPARATOR)
}

/// A Pod with `key=value` labels, a container port 80 named `web`, and the host's addresses.
pub fn pod(host: &Host, labels: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  namespace: default\n  labels:\n",
        host.name
    );
    for label in labels {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        writeln!(text, "    {key}: {value:?}").expect("a String takes all");
    }
    let (node, v4, v6) = (host.node, host.v4, host.v6);
    write!(
        text,
        "spec:\n  nodeName: {node}\n  containers:\n  - name: main\n    image: test\n    ports:\n    \
         - {{name: web, containerPort: 80}}\nstatus:\n  phase: Running\n  podIP: {v4}\n  \
         podIPs: [{{ip: {v4}}}, {{ip: \"{v6}\"}}]\n"
    )
    .expect("a String takes all");
    text
}

/// A Service with one TCP port and an EndpointSlice for each family among the endpoints. Without
/// addresses it is headless.
pub fn service(name: &str, cluster_ips: &[&str], port: u16, endpoints: &[(IpAddr, u16)]) -> String {
    let ips = if cluster_ips.is_empty() { vec!["None"] } else { cluster_ips.to_vec() };
    let quoted: Vec<String> = ips.iter().map(|ip| format!("{ip:?}")).collect();
    let mut parts = vec![format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  \
         clusterIP: {:?}\n  clusterIPs: [{}]\n  ports:\n  - {{name: web, port: {port}, protocol: TCP}}\n",
        ips[0],
        quoted.join(", ")
    )];
    for (family, is_family) in [("IPv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("IPv6", IpAddr::is_ipv6)] {
        let mut ports: Vec<u16> =
            endpoints.iter().filter(|(ip, _)| is_family(ip)).map(|(_, port)| *port).collect();
        ports.dedup();
        for target in ports {
            let mut text = format!(
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  \
                 name: {name}-{}-{target}\n  namespace: default\n  \
                 labels: {{kubernetes.io/service-name: {name}}}\naddressType: {family}\n\
                 ports:\n- {{name: web, port: {target}, protocol: TCP}}\nendpoints:\n",
                family.to_lowercase()
            );
            for (ip, _) in endpoints.iter().filter(|(ip, at)| is_family(ip) && *at == target) {
                writeln!(text, "- {{addresses: [\"{ip}\"], conditions: {{ready: true}}}}")
                    .expect("a String takes all");
            }
            parts.push(text);
        }
    }
    documents(&parts)
}

/// GatewayClass `weir` and a Gateway with one HTTP listener on every address of the node, or on
/// those given.
pub fn gateway(name: &str, port: u16, addresses: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: weir}}\n\
         spec: {{controllerName: {CONTROLLER}}}{SEPARATOR}\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: {name}, namespace: default}}\nspec:\n  gatewayClassName: weir\n"
    );
    if !addresses.is_empty() {
        text.push_str("  addresses:\n");
        for address in addresses {
            writeln!(text, "  - {{type: IPAddress, value: \"{address}\"}}").expect("a String takes all");
        }
    }
    writeln!(text, "  listeners:\n  - {{name: web, protocol: HTTP, port: {port}}}")
        .expect("a String takes all");
    text
}

/// An HTTPRoute of Gateway `web` that leads paths below a prefix to port 80 of a Service.
pub fn route(name: &str, prefix: &str, service: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: {name}, namespace: default}}\nspec:\n  parentRefs: [{{name: web}}]\n  rules:\n  \
         - matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]\n    \
         backendRefs: [{{name: {service}, port: 80}}]\n"
    )
}

/// `spec.controllerName` of the GatewayClass that Weir serves.
pub const CONTROLLER: &str = "weir.dev/gateway";
