//! `tls` of listeners and Gateways: what is presented, who is believed.

use std::sync::Arc;

use gateway_api::gateways::{
    GatewayListenersTlsCertificateRefs, GatewayTls, GatewayTlsBackendClientCertificateRef,
    GatewayTlsFrontend, GatewayTlsFrontendDefaultValidation,
    GatewayTlsFrontendDefaultValidationCaCertificateRefs,
    GatewayTlsFrontendDefaultValidationMode as DefaultMode, GatewayTlsFrontendPerPortTlsValidation,
    GatewayTlsFrontendPerPortTlsValidationCaCertificateRefs,
    GatewayTlsFrontendPerPortTlsValidationMode as PerPortMode,
};
use model::tls::{Authorities, ClientAuth, KeyPair, ServerTls};
use objects::{Kind, ObjectKey, Store};

use crate::credentials::{Credentials, LAST_GOOD};
use crate::grants::{self, Target};
use crate::report::{self, Problems};
use crate::status::Reason;

/// What a listener that terminates TLS presents and asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListenerTls {
    /// `None`: it has nothing to present, or cannot tell whom to believe, and closes every
    /// connection.
    pub(crate) server: Option<Arc<ServerTls>>,
    /// Why `ResolvedRefs` is false, if it is.
    pub(super) unresolved: Option<Reason>,
    /// Why `Accepted` is false, if it is.
    pub(super) refused: Option<Reason>,
}

/// `spec.tls` of a Gateway.
#[derive(Debug, Default)]
pub(super) struct GatewayWide {
    /// `frontend.default`, then `frontend.perPort`.
    clients: Vec<Clients>,
    /// `backend.clientCertificateRef`: the certificate, or why there is none.
    pub(super) backend: Option<Result<Arc<KeyPair>, Reason>>,
}

/// Client certificates at the HTTPS listeners of one port.
#[derive(Debug)]
struct Clients {
    /// `None`: those of every port that has no entry of its own.
    port: Option<i32>,
    /// `None`: no reference leads to an authority.
    auth: Option<ClientAuth>,
    unresolved: Option<Reason>,
}

impl GatewayWide {
    /// Whether a listener of the Gateway lets clients in that present no valid certificate.
    pub(super) fn is_insecure(&self) -> bool {
        self.clients.iter().any(|clients| clients.auth == Some(ClientAuth::Optional))
    }

    /// What counts at a port.
    fn at(&self, port: u16) -> Option<&Clients> {
        let of_port = self.clients.iter().find(|clients| clients.port == Some(i32::from(port)));
        of_port.or_else(|| self.clients.iter().find(|clients| clients.port.is_none()))
    }
}

/// Reads the references of one Gateway or ListenerSet.
pub(super) struct Reader<'a> {
    pub(super) object: &'a ObjectKey,
    pub(super) store: &'a Store,
    pub(super) credentials: &'a mut Credentials,
    pub(super) problems: &'a mut Problems,
}

impl Reader<'_> {
    /// `spec.tls`.
    pub(super) fn gateway(&mut self, tls: Option<&GatewayTls>) -> GatewayWide {
        let mut wide = GatewayWide::default();
        let Some(tls) = tls else { return wide };
        if let Some(frontend) = &tls.frontend {
            wide.clients = self.frontend(frontend);
        }
        let certificate = tls.backend.as_ref().and_then(|backend| backend.client_certificate_ref.as_ref());
        wide.backend = certificate.map(|reference| {
            let field = "spec.tls.backend.clientCertificateRef";
            self.key_pair(field, &reference.into(), Reason::InvalidClientCertificateRef)
        });
        wide
    }

    fn frontend(&mut self, frontend: &GatewayTlsFrontend) -> Vec<Clients> {
        let mut clients = Vec::new();
        let mut add = |port, validation: Option<Validation<'_>>, field: String| {
            clients.push(match validation {
                Some(validation) => self.clients(port, &field, &validation),
                None => Clients { port, auth: Some(ClientAuth::None), unresolved: None },
            });
        };
        let default = frontend.default.validation.as_ref().map(Validation::from);
        add(None, default, "spec.tls.frontend.default.validation".to_owned());
        for (index, entry) in frontend.per_port.iter().flatten().enumerate() {
            let field = format!("spec.tls.frontend.perPort[{index}].tls.validation");
            add(Some(entry.port), entry.tls.validation.as_ref().map(Validation::from), field);
        }
        clients
    }

    fn clients(&mut self, port: Option<i32>, field: &str, validation: &Validation<'_>) -> Clients {
        let mut unresolved = None;
        let mut found: Vec<Arc<Authorities>> = Vec::new();
        for (index, reference) in validation.references.iter().enumerate() {
            match self.authorities(&format!("{field}.caCertificateRefs[{index}]"), reference) {
                Ok(authorities) => found.push(authorities),
                Err(reason) => unresolved = unresolved.or(Some(reason)),
            }
        }
        let authorities = match &found[..] {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let certificates = several.iter().flat_map(|some| some.certificates.iter().cloned());
                Some(Arc::new(Authorities { certificates: certificates.collect() }))
            }
        };
        let auth = authorities.map(|authorities| match validation.insecure {
            true => ClientAuth::Optional,
            false => ClientAuth::Required(authorities),
        });
        if auth.is_none() && unresolved.is_none() {
            report::error(self.problems, format!("{field}.caCertificateRefs"), "at least one is needed");
            unresolved = Some(Reason::InvalidCACertificateRef);
        }
        Clients { port, auth, unresolved }
    }

    /// `tls.certificateRefs` of a listener that terminates TLS, with the client certificates that
    /// the Gateway asks for if it is one of HTTPS.
    pub(super) fn listener(
        &mut self,
        field: &str,
        references: &[GatewayListenersTlsCertificateRefs],
        clients: Option<(&GatewayWide, u16)>,
    ) -> ListenerTls {
        let mut tls = ListenerTls::default();
        let field = format!("{field}.tls.certificateRefs");
        let mut certificates = Vec::new();
        for (index, reference) in references.iter().enumerate() {
            let field = format!("{field}[{index}]");
            let reference = ObjectReference::from(reference);
            match self.key_pair(&field, &reference, Reason::InvalidCertificateRef) {
                Ok(pair) => {
                    certificates.push(pair);
                    if self.credentials.stale(&reference.key(Kind::Secret, self.object)).is_some() {
                        tls.unresolved = tls.unresolved.or(Some(Reason::InvalidCertificateRef));
                    }
                }
                Err(reason) => tls.unresolved = tls.unresolved.or(Some(reason)),
            }
        }
        if references.is_empty() {
            report::error(self.problems, field, "at least one is needed to terminate TLS");
            tls.unresolved = Some(Reason::InvalidCertificateRef);
        }
        let clients = clients.and_then(|(wide, port)| wide.at(port));
        let auth = clients.map_or(Some(ClientAuth::None), |clients| clients.auth.clone());
        if let Some(unresolved) = clients.and_then(|clients| clients.unresolved) {
            tls.unresolved = tls.unresolved.or(Some(unresolved));
        }
        if auth.is_none() {
            tls.refused = Some(Reason::NoValidCACertificate);
        }
        let auth = auth.filter(|_| !certificates.is_empty());
        tls.server = auth.map(|client| Arc::new(ServerTls { certificates, client }));
        tls
    }

    fn key_pair(
        &mut self,
        field: &str,
        reference: &ObjectReference<'_>,
        invalid: Reason,
    ) -> Result<Arc<KeyPair>, Reason> {
        let key = match reference.kind {
            ("", "Secret") => reference.key(Kind::Secret, self.object),
            (_, kind) => return self.fail(field, invalid, &format!("{kind} is not a kind of certificate")),
        };
        self.permit(field, &key)?;
        let pair = match self.credentials.key_pair(self.store, &key) {
            Ok(pair) => pair,
            Err(why) => return self.fail(field, invalid, &why),
        };
        if let Some(why) = self.credentials.stale(&key) {
            report::error(self.problems, field, format!("{why}; {LAST_GOOD} ({invalid})"));
        }
        if let Some(lapsed) = self.credentials.lapsed(&pair) {
            report::warning(self.problems, field, lapsed);
        }
        Ok(pair)
    }

    fn authorities(
        &mut self,
        field: &str,
        reference: &ObjectReference<'_>,
    ) -> Result<Arc<Authorities>, Reason> {
        let key = match reference.kind {
            ("", "ConfigMap") => reference.key(Kind::ConfigMap, self.object),
            ("", "Secret") => reference.key(Kind::Secret, self.object),
            (_, kind) => {
                let message = format!("{kind} is not a kind that holds authorities: use ConfigMap");
                return self.fail(field, Reason::InvalidCACertificateKind, &message);
            }
        };
        self.permit(field, &key)?;
        let read = self.credentials.authorities(self.store, &key);
        read.or_else(|why| self.fail(field, Reason::InvalidCACertificateRef, &why))
    }

    /// Judged before existence, so that nobody learns what another namespace holds.
    fn permit(&mut self, field: &str, key: &ObjectKey) -> Result<(), Reason> {
        let target =
            Target { group: "", kind: key.kind.as_str(), namespace: &key.namespace, name: &key.name };
        if grants::allows(self.store, self.object, target) {
            return Ok(());
        }
        let (there, here, kind) = (&key.namespace, &self.object.namespace, self.object.kind);
        let message = format!("no ReferenceGrant in {there} lets {kind}s of {here} in");
        self.fail(field, Reason::RefNotPermitted, &message)
    }

    fn fail<T>(&mut self, field: &str, reason: Reason, message: &str) -> Result<T, Reason> {
        report::error(self.problems, field, format!("{message} ({reason})"));
        Err(reason)
    }
}

/// `validation` of a frontend.
struct Validation<'a> {
    references: Vec<ObjectReference<'a>>,
    insecure: bool,
}

/// A reference to a Secret or ConfigMap, with its group and kind.
struct ObjectReference<'a> {
    kind: (&'a str, &'a str),
    namespace: Option<&'a str>,
    name: &'a str,
}

impl ObjectReference<'_> {
    fn key(&self, kind: Kind, from: &ObjectKey) -> ObjectKey {
        ObjectKey::new(kind, self.namespace.unwrap_or(&from.namespace), self.name)
    }
}

macro_rules! secret_reference {
    ($($type:ty),+) => {$(
        impl<'a> From<&'a $type> for ObjectReference<'a> {
            fn from(from: &'a $type) -> Self {
                let group = from.group.as_deref().unwrap_or_default();
                let kind = (group, from.kind.as_deref().unwrap_or("Secret"));
                Self { kind, namespace: from.namespace.as_deref(), name: &from.name }
            }
        }
    )+};
}

macro_rules! validation {
    ($($type:ty, $reference:ty, $insecure:path;)+) => {$(
        impl<'a> From<&'a $reference> for ObjectReference<'a> {
            fn from(from: &'a $reference) -> Self {
                let kind = (&*from.group, &*from.kind);
                Self { kind, namespace: from.namespace.as_deref(), name: &from.name }
            }
        }

        impl<'a> From<&'a $type> for Validation<'a> {
            fn from(from: &'a $type) -> Self {
                let references = from.ca_certificate_refs.iter().map(ObjectReference::from);
                Self { references: references.collect(), insecure: from.mode == Some($insecure) }
            }
        }
    )+};
}

secret_reference!(GatewayListenersTlsCertificateRefs, GatewayTlsBackendClientCertificateRef);
validation! {
    GatewayTlsFrontendDefaultValidation, GatewayTlsFrontendDefaultValidationCaCertificateRefs,
        DefaultMode::AllowInsecureFallback;
    GatewayTlsFrontendPerPortTlsValidation, GatewayTlsFrontendPerPortTlsValidationCaCertificateRefs,
        PerPortMode::AllowInsecureFallback;
}
