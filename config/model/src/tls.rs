//! TLS as objects configure it: certificates, and whom each side believes. Bytes only; what makes
//! connections of them is the `tls` crate.

use std::fmt;
use std::sync::Arc;

use crate::service::ObjectRef;

/// A certificate chain with its private key, from a `kubernetes.io/tls` Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The Secret.
    pub source: ObjectRef,
    /// `tls.crt`: DER certificates, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// `tls.key`: the private key in DER (PKCS#8, PKCS#1 or SEC1). Never shown.
    pub key: Vec<u8>,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key must not reach a log.
        f.debug_struct("KeyPair").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What a listener that terminates TLS presents and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// `tls.certificateRefs`: the one that fits the client's server name and algorithms is taken,
    /// the first one otherwise. Never empty.
    pub certificates: Vec<Arc<KeyPair>>,
    /// Whether clients present certificates (`spec.tls.frontend` of the Gateway).
    pub client: ClientAuth,
}

/// Client certificates at a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// None are asked for.
    #[default]
    None,
    /// `AllowValidOnly`: one that these authorities signed is required.
    Required(Arc<Authorities>),
    /// `AllowInsecureFallback`: asked for; any or none will do.
    Optional,
}

/// Certificates that are believed, from a ConfigMap's or Secret's `ca.crt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// DER certificates; never empty.
    pub certificates: Vec<Vec<u8>>,
}

/// How connections to a Service port are made with TLS (BackendTLSPolicy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The policy.
    pub policy: ObjectRef,
    /// `validation.hostname`: the server name sent, and checked unless `names` says others.
    pub hostname: Arc<str>,
    /// Who signs the endpoints' certificates; `None`: the system's authorities
    /// (`wellKnownCACertificates: System`).
    pub authorities: Option<Arc<Authorities>>,
    /// `validation.subjectAltNames`: one of them must be in the certificate, in place of the
    /// hostname. Empty: the hostname is checked.
    pub names: Vec<AltName>,
}

/// `validation.subjectAltNames[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// `Hostname`, lower case; may begin with `*.`.
    Dns(Arc<str>),
    /// `URI`, for instance a SPIFFE ID; compared as it is.
    Uri(Arc<str>),
}

/// Whether connections to a Service port are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpstreamSecurity {
    /// They are not.
    #[default]
    Cleartext,
    /// They are.
    Tls(Arc<UpstreamTls>),
    /// They would be, if the policy were valid: requests are answered with 500. The reason.
    Invalid(Arc<str>),
}
