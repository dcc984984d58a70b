//! Kubernetes label selectors to selectors over sourced labels, with the namespace and the cluster
//! that a policy is bound to.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use policy::{Operator, Requirement, Selector};

use super::evaluation::Fault;
use super::rule::Scope;
use crate::identity::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};

/// The pods a policy is about: of a CiliumNetworkPolicy those of its namespace, whatever it says.
pub(super) fn subject(scope: &Scope<'_>, field: &str, selector: &LabelSelector) -> Result<Selector, Fault> {
    let mut requirements = labels(field, selector)?;
    if let Some(namespace) = scope.namespace {
        requirements.retain(|r| !is(r, "k8s", NAMESPACE));
        requirements.push(equals(NAMESPACE, namespace));
    }
    requirements.extend(expressions(field, selector)?);
    Ok(Selector { requirements })
}

/// Peers: of the policy's namespace (clusterwide: of any namespace) and cluster, unless the
/// selector names another or a reserved label. `about_init`: the policy is about endpoints
/// without labels, which are in no namespace.
pub(super) fn peer(
    scope: &Scope<'_>,
    about_init: bool,
    field: &str,
    selector: &LabelSelector,
) -> Result<Selector, Fault> {
    let mut requirements = labels(field, selector)?;
    requirements.extend(expressions(field, selector)?);
    let from_k8s = |r: &&Requirement| r.source.as_deref().is_none_or(|source| source == "k8s");
    if requirements.iter().any(|r| r.source.as_deref() == Some("reserved")) {
        return Ok(Selector { requirements });
    }
    let says = |key: &str| requirements.iter().filter(from_k8s).any(|r| &*r.key == key);
    let says_namespace_labels =
        requirements.iter().filter(from_k8s).any(|r| r.key.starts_with(NAMESPACE_LABELS));
    let namespace = match scope.namespace {
        _ if says(NAMESPACE) => None,
        None if about_init => None,
        None => Some(Requirement { operator: Operator::Exists, ..equals(NAMESPACE, "") }),
        Some(_) if says_namespace_labels => None,
        Some(namespace) => Some(equals(NAMESPACE, namespace)),
    };
    let cluster = (!says(CLUSTER)).then(|| equals(CLUSTER, scope.cluster));
    requirements.extend(namespace.into_iter().chain(cluster));
    Ok(Selector { requirements })
}

fn is(requirement: &Requirement, source: &str, key: &str) -> bool {
    requirement.source.as_deref() == Some(source) && &*requirement.key == key
}

fn equals(key: &str, value: &str) -> Requirement {
    Requirement { source: Some("k8s".into()), key: key.into(), operator: Operator::In(vec![value.into()]) }
}

fn labels(field: &str, selector: &LabelSelector) -> Result<Vec<Requirement>, Fault> {
    let mut requirements = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        let field = format!("{field}.matchLabels[{key}]");
        let (source, key) = sourced(&field, key)?;
        let operator = Operator::In(vec![checked(&field, value)?]);
        requirements.push(Requirement { source, key, operator });
    }
    Ok(requirements)
}

fn expressions(field: &str, selector: &LabelSelector) -> Result<Vec<Requirement>, Fault> {
    let mut requirements = Vec::new();
    for (at, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let field = format!("{field}.matchExpressions[{at}]");
        let (source, key) = sourced(&format!("{field}.key"), &expression.key)?;
        let given = expression.values.as_deref().unwrap_or_default();
        let values = || -> Result<Vec<Arc<str>>, Fault> {
            if given.is_empty() {
                return Err(Fault::new(
                    format!("{field}.values"),
                    "`In` and `NotIn` need at least one value",
                ));
            }
            given.iter().enumerate().map(|(at, v)| checked(&format!("{field}.values[{at}]"), v)).collect()
        };
        let operator = match expression.operator.as_str() {
            "In" => Operator::In(values()?),
            "NotIn" => Operator::NotIn(values()?),
            "Exists" if given.is_empty() => Operator::Exists,
            "DoesNotExist" if given.is_empty() => Operator::DoesNotExist,
            "Exists" | "DoesNotExist" => {
                return Err(Fault::new(
                    format!("{field}.values"),
                    "`Exists` and `DoesNotExist` take no values",
                ));
            }
            _ => {
                let message = "must be `In`, `NotIn`, `Exists` or `DoesNotExist`";
                return Err(Fault::new(format!("{field}.operator"), message));
            }
        };
        requirements.push(Requirement { source, key, operator });
    }
    Ok(requirements)
}

/// A key with its source: `k8s:app`, `any:app` and plain `app` (any source), `reserved:host`.
fn sourced(field: &str, key: &str) -> Result<(Option<Arc<str>>, Arc<str>), Fault> {
    let (source, name) = key.split_once(':').map_or((None, key), |(source, name)| (Some(source), name));
    if !is_label_key(name) {
        return Err(Fault::new(field, format!("`{key}` is not a label key")));
    }
    match source {
        None | Some("any") => Ok((None, name.into())),
        Some(source @ ("k8s" | "reserved")) => Ok((Some(source.into()), name.into())),
        Some(source) => {
            let message = format!("labels from `{source}` are not known; use `k8s:`, `any:` or `reserved:`");
            Err(Fault::new(field, message))
        }
    }
}

fn checked(field: &str, value: &str) -> Result<Arc<str>, Fault> {
    if value.is_empty() || is_label_name(value) {
        return Ok(value.into());
    }
    Err(Fault::new(field, format!("`{value}` is not a label value")))
}

/// `name` or `prefix/name`, the prefix a DNS subdomain (Kubernetes: qualified name).
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_dns_label = |label: &str| {
        let ends = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        label.bytes().all(|c| ends(c) || c == b'-')
            && label.bytes().next().is_some_and(ends)
            && label.bytes().last().is_some_and(ends)
    };
    is_label_name(name)
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label))
}

/// At most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit.
fn is_label_name(name: &str) -> bool {
    let ends = |c: u8| c.is_ascii_alphanumeric();
    name.len() <= 63
        && name.bytes().all(|c| ends(c) || matches!(c, b'-' | b'_' | b'.'))
        && name.bytes().next().is_some_and(ends)
        && name.bytes().last().is_some_and(ends)
}
