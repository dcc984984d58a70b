//! The labels of pods and networks.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use model::identity::{Label, Labels};
use model::workload::NamedPort;

use super::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT};

/// The labels of a pod: its own, as far as they say what it is, and what Cilium adds to them.
pub(super) fn of_pod(
    cluster: &str,
    pod: &Pod,
    namespace: Option<&Namespace>,
    named_ports: &[NamedPort],
) -> Labels {
    let of_namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let own = pod.metadata.labels.iter().flatten().filter(|(key, _)| describes(key));
    let mut labels: BTreeMap<String, String> = own.map(|(k, v)| (k.clone(), v.clone())).collect();
    if let Some(namespace) = namespace {
        // The API server gives every namespace its name as a label; files leave it out.
        labels.insert(format!("{NAMESPACE_LABELS}kubernetes.io/metadata.name"), of_namespace.to_owned());
        for (key, value) in namespace.metadata.labels.iter().flatten() {
            labels.insert(format!("{NAMESPACE_LABELS}{key}"), value.clone());
        }
    }
    labels.insert(NAMESPACE.to_owned(), of_namespace.to_owned());
    labels.insert(CLUSTER.to_owned(), cluster.to_owned());
    labels.insert(SERVICE_ACCOUNT.to_owned(), account.unwrap_or("default").to_owned());
    let mut labels: Vec<Label> = labels.iter().map(|(key, value)| Label::new("k8s", key, value)).collect();
    let mut ports: Vec<String> =
        named_ports.iter().map(|port| format!("{}.{}.{}", port.name, port.protocol, port.port)).collect();
    if !ports.is_empty() {
        ports.sort_unstable();
        labels.push(Label::new("generated", "io.cilium.k8s.named-ports", &ports.join("_")));
    }
    Labels::new(labels)
}

/// Whether a pod's own label is part of its identity: not those that controllers give each pod
/// or revision, and not those that only Cilium gives (its default label filter).
fn describes(key: &str) -> bool {
    let ignored = [
        "io.kubernetes",
        "io.cilium.k8s",
        "kubernetes.io",
        "k8s.io",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/controller-uid",
        "topology.kubernetes.io",
        "pod-template-generation",
        "pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "annotation",
        "etcd_node",
    ];
    !ignored.iter().any(|prefix| key.starts_with(prefix)) && !key.contains("beta.kubernetes.io")
}

/// `cidr:10.0.0.0/8`; in IPv6 `-` stands for `:`, with a zero where it would be first or last.
pub(super) fn of_network(net: IpNet) -> Label {
    let address = net.network().to_string();
    let dashed = address.replace(':', "-");
    let start = if dashed.starts_with('-') { "0" } else { "" };
    let end = if dashed.ends_with('-') { "0" } else { "" };
    Label::new("cidr", &format!("{start}{dashed}{end}/{}", net.prefix_len()), "")
}
