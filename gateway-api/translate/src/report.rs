//! Problems on their way to the caller, and facts that several objects share.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::service::ObjectRef;
use objects::{ObjectKey, Problem, Store};

/// Problems of one object. Their place is looked up when they are handed out: an object that only
/// moves in its file is not translated again.
pub(crate) type Problems = Vec<Problem>;

/// Adds an error on a field.
pub(crate) fn error(problems: &mut Problems, field: impl Into<String>, message: impl Into<String>) {
    problems.push(Problem::error(message).field(field));
}

/// Adds a warning on a field.
pub(crate) fn warning(problems: &mut Problems, field: impl Into<String>, message: impl Into<String>) {
    problems.push(Problem::warning(message).field(field));
}

/// The problems with the object they are about and where it was read.
pub(crate) fn placed<'p>(
    problems: &'p [Problem],
    key: &'p ObjectKey,
    store: &'p Store,
) -> impl Iterator<Item = Problem> + 'p {
    problems.iter().map(|p| p.clone().of(key.clone()).at(store.source(key).cloned()))
}

/// An object's name as the data plane shows it.
pub(crate) fn object_ref(key: &ObjectKey) -> ObjectRef {
    ObjectRef { kind: key.kind.as_str(), namespace: key.namespace.clone(), name: key.name.clone() }
}

/// Seconds since the epoch of `creationTimestamp`; without one an object is younger than all
/// that have one.
pub(crate) fn created(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second())
}

/// A GEP-2257 duration that is longer than nothing.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let read = gateway_api::Duration::from_str(text).ok()?;
    let millis = u64::try_from(read.as_millis()).ok()?;
    Some(Duration::from_millis(millis)).filter(|duration| !duration.is_zero())
}

/// One requirement of a label selector: key, operator, values.
pub(crate) type Expression<'a> = (&'a str, &'a str, &'a [String]);

/// Whether labels meet `matchLabels` and `matchExpressions`; `None` for an unknown operator.
pub(crate) fn selects<'a>(
    match_labels: Option<&BTreeMap<String, String>>,
    expressions: impl Iterator<Item = Expression<'a>>,
    labels: &BTreeMap<String, String>,
) -> Option<bool> {
    let mut all = match_labels.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    for (key, operator, values) in expressions {
        let value = labels.get(key);
        all &= match operator {
            "In" => value.is_some_and(|v| values.contains(v)),
            "NotIn" => !value.is_some_and(|v| values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => return None,
        };
    }
    Some(all)
}
