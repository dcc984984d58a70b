//! BackendTLSPolicy: connections to a Service are made with TLS.

use std::sync::Arc;

use gateway_api::backendtlspolicies::{
    BackendTlsPolicyValidation, BackendTlsPolicyValidationSubjectAltNamesType as NameType,
};
use model::tls::{AltName, Authorities, UpstreamSecurity, UpstreamTls};
use objects::types::BackendTlsPolicy;
use objects::{Entry, Kind, ObjectKey, Store};

use super::{BackendPolicies, Claims, State, TargetRef};
use crate::credentials::Credentials;
use crate::report::{self, created, object_ref};
use crate::status::Reason;

impl BackendPolicies {
    /// Reads all policies, the oldest first.
    pub(super) fn update_tls(&mut self, store: &Store, credentials: &mut Credentials, claims: &mut Claims) {
        let mut entries: Vec<&Entry<BackendTlsPolicy>> = store.backend_tls_policies().iter().collect();
        entries.sort_by_key(|entry| (created(&entry.object.metadata), &entry.key));
        let mut before = std::mem::take(&mut self.known);
        for entry in entries {
            let spec = &entry.object.spec;
            let refs = spec.target_refs.iter().map(|target| TargetRef {
                group: &target.group,
                kind: &target.kind,
                name: &target.name,
                port: target.section_name.as_deref(),
            });
            let mut state = State::new(&entry.key, &refs.collect::<Vec<_>>(), store, claims);
            for name in spec.options.iter().flatten().map(|(name, _)| name) {
                let message = "is not known and has no effect";
                report::warning(&mut state.problems, format!("spec.options[{name}]"), message);
            }
            let old = before.remove(&entry.key);
            let security = match state.validation(&spec.validation, store, credentials) {
                Some(tls) => {
                    let tls = old.filter(|old| **old == tls).unwrap_or_else(|| Arc::new(tls));
                    self.known.insert(entry.key.clone(), tls.clone());
                    UpstreamSecurity::Tls(tls)
                }
                None => {
                    let reason = state.refused.unwrap_or(Reason::Invalid);
                    UpstreamSecurity::Invalid(format!("{}: {reason}", entry.key).into())
                }
            };
            for target in state.held() {
                let of = self.services.entry(target.service.clone()).or_default();
                match &target.port {
                    Some(port) => drop(of.ports.insert(port.clone(), security.clone())),
                    None => of.whole = Some(security.clone()),
                }
            }
            self.states.push(state);
        }
    }
}

impl State {
    /// `spec.validation`; `None` if connections cannot be made by it.
    fn validation(
        &mut self,
        object: &BackendTlsPolicyValidation,
        store: &Store,
        credentials: &mut Credentials,
    ) -> Option<UpstreamTls> {
        let authorities = self.authorities(object, store, credentials);
        let mut names = Vec::new();
        for (at, name) in object.subject_alt_names.iter().flatten().enumerate() {
            let read = match name.r#type {
                NameType::Hostname => {
                    name.hostname.as_deref().map(|n| AltName::Dns(n.to_ascii_lowercase().into()))
                }
                NameType::Uri => name.uri.as_deref().map(|uri| AltName::Uri(uri.into())),
            };
            if read.is_none() {
                let field = format!("spec.validation.subjectAltNames[{at}]");
                report::error(&mut self.problems, field, "the name of its type is missing");
                self.refused = Some(Reason::Invalid);
            }
            names.extend(read);
        }
        if object.hostname.is_empty() || object.hostname.contains('*') {
            let message = format!("{:?} is not the name of a host", object.hostname);
            report::error(&mut self.problems, "spec.validation.hostname", message);
            self.refused = Some(Reason::Invalid);
        }
        let authorities = authorities.filter(|_| self.refused.is_none())?;
        let hostname = object.hostname.to_ascii_lowercase().into();
        Some(UpstreamTls { policy: object_ref(&self.key), hostname, authorities, names })
    }

    /// Who is believed: the system's authorities (`Some(None)`), those of the references that are
    /// good, or nobody.
    fn authorities(
        &mut self,
        object: &BackendTlsPolicyValidation,
        store: &Store,
        credentials: &mut Credentials,
    ) -> Option<Option<Arc<Authorities>>> {
        self.unresolved = Some(None);
        let references = object.ca_certificate_refs.as_deref().unwrap_or_default();
        let well_known = object.well_known_ca_certificates.as_deref().filter(|name| !name.is_empty());
        let message = match (references.is_empty(), well_known) {
            (true, Some("System")) => return Some(None),
            (false, None) => None,
            (true, Some(other)) => {
                Some(format!("wellKnownCACertificates {other:?} is not known: use System"))
            }
            _ => Some("needs either caCertificateRefs or wellKnownCACertificates".to_owned()),
        };
        if let Some(message) = message {
            report::error(&mut self.problems, "spec.validation", message);
            self.refused = Some(Reason::Invalid);
            return None;
        }
        let mut found: Vec<Arc<Authorities>> = Vec::new();
        let mut unresolved = None;
        for (at, reference) in references.iter().enumerate() {
            let kind = match (&*reference.group, &*reference.kind) {
                ("", "ConfigMap") => Ok(Kind::ConfigMap),
                ("", "Secret") => Ok(Kind::Secret),
                (_, other) => Err(format!("{other} is not a kind that holds authorities: use ConfigMap")),
            };
            let reason = if kind.is_ok() { Reason::InvalidCACertificateRef } else { Reason::InvalidKind };
            let key = kind.map(|kind| ObjectKey::new(kind, &self.key.namespace, &reference.name));
            match key.and_then(|key| credentials.authorities(store, &key)) {
                Ok(authorities) => found.push(authorities),
                Err(why) => {
                    let field = format!("spec.validation.caCertificateRefs[{at}]");
                    report::error(&mut self.problems, field, format!("{why} ({reason})"));
                    unresolved = unresolved.or(Some(reason));
                }
            }
        }
        self.unresolved = Some(unresolved);
        match &found[..] {
            [] => {
                self.refused = Some(Reason::NoValidCACertificate);
                None
            }
            [one] => Some(Some(one.clone())),
            several => {
                let certificates = several.iter().flat_map(|some| some.certificates.iter().cloned());
                Some(Some(Arc::new(Authorities { certificates: certificates.collect() })))
            }
        }
    }
}
