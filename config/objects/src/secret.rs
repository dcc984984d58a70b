//! Secrets, whose contents never reach a log.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret as Raw;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// `v1` Secret. Its `Debug` shows the keys alone.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Raw")]
pub struct Secret {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `type`; empty when it is not said.
    pub kind: String,
    /// `data`, decoded, with `stringData` over it as the API server writes it.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl From<Raw> for Secret {
    fn from(raw: Raw) -> Self {
        let mut data: BTreeMap<String, Vec<u8>> =
            raw.data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0)).collect();
        data.extend(raw.string_data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes())));
        Self { metadata: raw.metadata, kind: raw.type_.unwrap_or_default(), data }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("namespace", &self.metadata.namespace)
            .field("name", &self.metadata.name)
            .field("kind", &self.kind)
            .field("keys", &self.data.keys())
            .finish_non_exhaustive()
    }
}
