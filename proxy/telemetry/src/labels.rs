//! Which labels records show.

use model::identity::Label;

/// Whether people gave the label: those that Kubernetes, Cilium and Weir add to every pod are the same
/// everywhere, or said by other fields.
pub(crate) fn is_own(label: &Label) -> bool {
    match &*label.source {
        "k8s" => !label.key.starts_with("io.kubernetes.") && !label.key.starts_with("io.cilium."),
        source => source != "generated",
    }
}
