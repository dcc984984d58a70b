//! Certificates with their keys, and which of them fits a client.

use std::sync::Arc;

use model::tls::KeyPair;
use rustls::InconsistentKeys;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::error::Error;
use crate::provider;

/// Parses a chain and its key.
///
/// # Errors
/// What is wrong with it: no certificate, one that cannot be parsed, an unknown kind of key, or a
/// key that is not the leaf's.
pub(crate) fn certified(pair: &KeyPair) -> Result<CertifiedKey, Error> {
    if pair.chain.is_empty() {
        return Err(Error::new("tls.crt holds no certificate").of(&pair.source));
    }
    let chain: Vec<_> = pair.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    for (index, der) in chain.iter().enumerate() {
        EndEntityCert::try_from(der)
            .map_err(|error| Error::new(format_args!("tls.crt: certificate {index}: {error}")))
            .map_err(|error| error.of(&pair.source))?;
    }
    // The texts of these errors speak of kinds of keys, never of their bytes.
    let bad_key = |error: String| Error::new(format_args!("tls.key: {error}")).of(&pair.source);
    let key = PrivateKeyDer::try_from(pair.key.as_slice()).map_err(|error| bad_key(error.to_owned()))?;
    let key = provider().key_provider.load_private_key(key.clone_key());
    // What comes back names no cause: a size or a curve, mostly.
    let key = key.map_err(|_| bad_key(UNUSABLE.to_owned()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: a kind of key that does not tell its public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(bad_key("is not the key of the first certificate in tls.crt".to_owned())),
    }
}

const UNUSABLE: &str =
    "is no key that can be used: an RSA key of 2048 to 8192 bits, an ECDSA key or an Ed25519 key can";

/// The certificates of a listener.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<Certificate>);

#[derive(Debug)]
struct Certificate {
    /// DNS names, lower case; `*.example.com` as `.example.com`.
    names: Vec<Box<str>>,
    key: Arc<CertifiedKey>,
}

impl Certificates {
    /// # Errors
    /// See [`certified`]; every pair must be good.
    pub(crate) fn new(pairs: &[Arc<KeyPair>]) -> Result<Self, Error> {
        let read = |pair: &Arc<KeyPair>| {
            let key = Arc::new(certified(pair)?);
            let leaf = key.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok());
            let names = leaf.iter().flat_map(|leaf| leaf.valid_dns_names());
            let names = names.map(|name| name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase().into());
            Ok(Certificate { names: names.collect(), key: key.clone() })
        };
        let certificates: Vec<_> = pairs.iter().map(read).collect::<Result<_, Error>>()?;
        if certificates.is_empty() { Err(Error::new("no certificate")) } else { Ok(Self(certificates)) }
    }
}

impl Certificate {
    fn is_for(&self, name: &str) -> bool {
        // A wildcard stands for one label (RFC 6125 §6.4.3).
        let parent = name.find('.').map(|dot| &name[dot..]);
        self.names.iter().any(|own| **own == *name || Some(&**own) == parent)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let signs = |one: &&Certificate| one.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let named = name.and_then(|name| self.0.iter().filter(|one| one.is_for(&name)).find(signs));
        let chosen = named.or_else(|| self.0.iter().find(signs)).or_else(|| self.0.first());
        chosen.map(|one| one.key.clone())
    }
}
