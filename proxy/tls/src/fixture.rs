//! Certificates of tests and connections in memory.

use std::sync::Arc;

use model::service::ObjectRef;
use model::tls::{Authorities, KeyPair, UpstreamTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as Key, SanType};

use crate::session::{Output, Session, Step, Stepped};

pub(crate) fn object(kind: &'static str, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "default".into(), name: name.into() }
}

/// An authority of the test's own.
pub(crate) struct Ca(CertifiedIssuer<'static, Key>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap())
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    pub(crate) fn authorities(&self) -> Arc<Authorities> {
        Arc::new(Authorities { certificates: vec![self.der()] })
    }

    /// A certificate for DNS names and, where they have a colon, URIs.
    pub(crate) fn issue(&self, names: &[&str]) -> Arc<KeyPair> {
        self.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> Arc<KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let san = |name: &&str| match name.contains(':') {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(san).collect();
        let key = Key::generate_for(algorithm).unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        Arc::new(KeyPair {
            source: object("Secret", "pair"),
            chain: vec![leaf.der().to_vec()],
            key: key.serialize_der(),
        })
    }
}

/// What a client wants of an endpoint.
pub(crate) fn upstream(hostname: &str, ca: &Ca) -> UpstreamTls {
    UpstreamTls {
        policy: object("BackendTLSPolicy", "policy"),
        hostname: hostname.into(),
        authorities: Some(ca.authorities()),
        names: Vec::new(),
    }
}

/// Bytes on their way.
#[derive(Default)]
pub(crate) struct Wire {
    bytes: Vec<u8>,
    len: usize,
}

impl Output for Wire {
    fn room(&mut self, least: usize) -> &mut [u8] {
        self.bytes.resize(self.len + least, 0);
        &mut self.bytes[self.len..]
    }

    fn advance(&mut self, count: usize) {
        self.len += count;
    }
}

impl Wire {
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(self);
        bytes.bytes.truncate(bytes.len);
        bytes.bytes
    }
}

/// One end, with what arrived for it and what it read.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) arrived: Vec<u8>,
    pub(crate) out: Wire,
    pub(crate) read: Vec<u8>,
}

impl End {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, arrived: Vec::new(), out: Wire::default(), read: Vec::new() }
    }

    /// Reads until more has to arrive.
    pub(crate) fn read(&mut self) -> Result<Step, rustls::Error> {
        loop {
            let read = &mut self.read;
            let Stepped { consumed, step } =
                self.session.read(&mut self.arrived, &mut self.out, |bytes| read.extend_from_slice(bytes));
            self.arrived.drain(..consumed);
            if step != Ok(Step::Record) {
                return step;
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Step, rustls::Error> {
        let read = &mut self.read;
        let Stepped { consumed, step } =
            self.session
                .write(&mut self.arrived, bytes, &mut self.out, |bytes| read.extend_from_slice(bytes));
        self.arrived.drain(..consumed);
        step
    }

    pub(crate) fn close(&mut self) -> Result<Step, rustls::Error> {
        let read = &mut self.read;
        let Stepped { consumed, step } =
            self.session.close(&mut self.arrived, &mut self.out, |bytes| read.extend_from_slice(bytes));
        self.arrived.drain(..consumed);
        step
    }
}

/// Carries bytes between a client and a server, `piece` at a time, until nothing moves.
///
/// # Errors
/// The first error of either, the client's first.
pub(crate) fn exchange(client: &mut End, server: &mut End, piece: usize) -> Result<(), rustls::Error> {
    loop {
        client.read()?;
        let there = client.out.take();
        for bytes in there.chunks(piece) {
            server.arrived.extend_from_slice(bytes);
            if let Err(error) = server.read() {
                client.arrived.extend(server.out.take());
                client.read()?;
                return Err(error);
            }
        }
        let back = server.out.take();
        for bytes in back.chunks(piece) {
            client.arrived.extend_from_slice(bytes);
            client.read()?;
        }
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
    }
}
