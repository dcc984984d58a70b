//! A tree to a typed object by serde, strictly, with the path of what is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use objects::{FieldPath, Kind, Object, ObjectKey, Segment};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::yaml::{Node, Value};

/// A field and what is wrong with it.
type Fault = (FieldPath, String);

/// The object, if nothing but its unknown fields is wrong. Adds what is wrong to `faults`.
pub(super) fn object(
    kind: Kind,
    key: &ObjectKey,
    mut json: Json,
    node: &Node,
    faults: &mut Vec<Fault>,
) -> Option<Object> {
    // Other versions have the same fields; the types know the preferred version alone. Elements
    // of a typed list may leave both out.
    let is_v1 = json["apiVersion"].as_str().is_none_or(|version| version.ends_with("/v1"));
    json["apiVersion"] = Json::String(kind.api_version());
    json["kind"] = Json::String(kind.as_str().to_owned());
    if let Some(metadata) = json["metadata"].as_object_mut() {
        match kind.namespaced() {
            true => metadata.insert("namespace".to_owned(), Json::String(key.namespace.to_string())),
            false => metadata.remove("namespace"),
        };
    }
    match kind {
        Kind::Node => typed(json, node, faults).map(Object::Node),
        Kind::Namespace => typed(json, node, faults).map(Object::Namespace),
        Kind::Pod => typed(json, node, faults).map(Object::Pod),
        Kind::Service => typed(json, node, faults).map(Object::Service),
        Kind::Secret => secret(json, node, faults),
        Kind::ConfigMap => typed(json, node, faults).map(Object::ConfigMap),
        Kind::EndpointSlice => typed(json, node, faults).map(Object::EndpointSlice),
        Kind::GatewayClass => typed(json, node, faults).map(Object::GatewayClass),
        Kind::Gateway => typed(json, node, faults).map(Object::Gateway),
        Kind::ListenerSet => typed(json, node, faults).map(Object::ListenerSet),
        Kind::HttpRoute => typed(json, node, faults).map(Object::HttpRoute),
        Kind::GrpcRoute => typed(json, node, faults).map(Object::GrpcRoute),
        Kind::TlsRoute => {
            // The API versions before v1 let the list out.
            if !is_v1 && let Some(spec) = json["spec"].as_object_mut() {
                spec.entry("hostnames").or_insert_with(|| Json::Array(Vec::new()));
            }
            typed(json, node, faults).map(Object::TlsRoute)
        }
        Kind::TcpRoute => typed(json, node, faults).map(Object::TcpRoute),
        Kind::UdpRoute => typed(json, node, faults).map(Object::UdpRoute),
        Kind::BackendTlsPolicy => typed(json, node, faults).map(Object::BackendTlsPolicy),
        Kind::BackendTrafficPolicy => typed(json, node, faults).map(Object::BackendTrafficPolicy),
        Kind::ReferenceGrant => typed(json, node, faults).map(Object::ReferenceGrant),
        Kind::CiliumNetworkPolicy => typed(json, node, faults).map(Object::CiliumNetworkPolicy),
        Kind::CiliumClusterwideNetworkPolicy => {
            typed(json, node, faults).map(Object::CiliumClusterwideNetworkPolicy)
        }
    }
}

fn typed<T: DeserializeOwned>(json: Json, node: &Node, faults: &mut Vec<Fault>) -> Option<Arc<T>> {
    match strict(json, faults) {
        Ok(object) => Some(Arc::new(object)),
        Err((path, message)) => {
            let hint =
                if message.contains("a string") && is_bare(node, &path) { "; put it in quotes" } else { "" };
            faults.push(plain_words(path, &format!("{message}{hint}")));
            None
        }
    }
}

/// A Secret. What serde says of a value quotes it, so of what is inside only the place is kept.
fn secret(json: Json, node: &Node, faults: &mut Vec<Fault>) -> Option<Object> {
    let before = faults.len();
    let object = typed(json, node, faults).map(Object::Secret);
    for (path, message) in &mut faults[before..] {
        let inside = |field: &str| path.0.first() == Some(&Segment::Key(field.to_owned()));
        if inside("data") {
            "must be a string in base64; `stringData` takes plain text".clone_into(message);
        } else if inside("stringData") {
            "must be a string: put it in quotes".clone_into(message);
        }
    }
    object
}

/// What serde says, in words that a user of Kubernetes knows.
fn plain_words(path: FieldPath, message: &str) -> Fault {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        return (path.key(field), "is missing".to_owned());
    }
    let number = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"];
    let number = number.iter().find_map(|name| message.strip_suffix(&format!("expected {name}")));
    (path, number.map_or_else(|| message.to_owned(), |rest| format!("{rest}expected a whole number")))
}

/// Decodes and adds every unknown field to `unknown`.
pub(super) fn strict<T: DeserializeOwned>(json: Json, unknown: &mut Vec<Fault>) -> Result<T, Fault> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(json, &mut track);
    let mut ignored = |path: serde_ignored::Path<'_>| {
        let mut segments = Vec::new();
        push_ignored(&path, &mut segments);
        let path = FieldPath(segments);
        // The types know these as constants, not as fields.
        if !matches!(path.to_string().as_str(), "apiVersion" | "kind") {
            unknown.push((path, "unknown field".to_owned()));
        }
    };
    let result = serde_ignored::deserialize(tracked, &mut ignored);
    result.map_err(|error: serde_json::Error| (tracked_path(&track.path()), error.to_string()))
}

fn push_ignored(path: &serde_ignored::Path<'_>, segments: &mut Vec<Segment>) {
    match path {
        serde_ignored::Path::Root => {}
        serde_ignored::Path::Seq { parent, index } => {
            push_ignored(parent, segments);
            segments.push(Segment::Index(*index));
        }
        serde_ignored::Path::Map { parent, key } => {
            push_ignored(parent, segments);
            segments.push(Segment::Key(key.clone()));
        }
        serde_ignored::Path::Some { parent }
        | serde_ignored::Path::NewtypeStruct { parent }
        | serde_ignored::Path::NewtypeVariant { parent } => push_ignored(parent, segments),
    }
}

fn tracked_path(path: &serde_path_to_error::Path) -> FieldPath {
    let segment = |segment: &serde_path_to_error::Segment| match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Segment::Key(key.clone())),
        serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
    };
    FieldPath(path.iter().filter_map(segment).collect())
}

/// Whether a scalar that is no string stands there.
fn is_bare(node: &Node, path: &FieldPath) -> bool {
    let mut here = node;
    for segment in &path.0 {
        let next = match (segment, &here.value) {
            (Segment::Key(key), Value::Mapping(_)) => here.get(key),
            (Segment::Index(index), Value::Sequence(items)) => items.get(*index),
            _ => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    matches!(&here.value, Value::Scalar(Json::Bool(_) | Json::Number(_)))
}

/// A key that stands twice in one mapping is a mistake wherever it is.
pub(super) fn repeated_keys(node: &Node, faults: &mut Vec<Fault>) {
    walk(node, &mut Vec::new(), faults);
}

fn walk(node: &Node, path: &mut Vec<Segment>, faults: &mut Vec<Fault>) {
    match &node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Segment::Index(index));
                walk(item, path, faults);
                path.pop();
            }
        }
        Value::Mapping(entries) => {
            let mut first: HashMap<&str, u32> = HashMap::new();
            for (key, value) in entries {
                path.push(Segment::Key(key.text.clone()));
                if let Some(line) = first.get(key.text.as_str()) {
                    faults.push((
                        FieldPath(path.clone()),
                        format!("is there twice; the first is on line {line}"),
                    ));
                }
                first.entry(&key.text).or_insert(key.line);
                walk(value, path, faults);
                path.pop();
            }
        }
    }
}
