//! Whom each side believes, where rustls has no verifier of its own for it.

use std::sync::Arc;

use model::tls::AltName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

use crate::provider;

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// A listener's clients that may present anything or nothing (`AllowInsecureFallback`). Nothing is
/// ever read from what they present, so not even its signature is checked.
#[derive(Debug)]
pub(crate) struct Anyone;

impl ClientCertVerifier for Anyone {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// An endpoint's certificate: its chain by authorities, its name by BackendTLSPolicy.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) roots: Arc<RootCertStore>,
    /// `subjectAltNames`: one of them, in place of the server name. Empty: the server name.
    pub(crate) names: Vec<AltName>,
}

impl Endpoint {
    fn names_match(&self, leaf: &CertificateDer<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        if self.names.is_empty() {
            return verify_server_name(&parsed, server_name);
        }
        let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let own = EndEntityCert::try_from(leaf).map_err(bad)?;
        let is = |name: &AltName| match name {
            AltName::Uri(uri) => own.valid_uri_names().any(|own| *own == **uri),
            // A wildcard asks for the certificate that has this very wildcard.
            AltName::Dns(name) if name.starts_with("*.") => {
                own.valid_dns_names().any(|own| own.eq_ignore_ascii_case(name))
            }
            AltName::Dns(name) => {
                ServerName::try_from(&**name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
            }
        };
        let refused = Error::InvalidCertificate(CertificateError::NotValidForName);
        if self.names.iter().any(is) { Ok(()) } else { Err(refused) }
    }
}

impl ServerCertVerifier for Endpoint {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, chain, now, algorithms().all)?;
        self.names_match(leaf, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
