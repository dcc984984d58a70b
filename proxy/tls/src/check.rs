//! What translation asks before it takes a Secret or ConfigMap.

use model::tls::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::certificate::certified;
use crate::error::Error;

/// Whether a certificate chain parses and the key is its leaf's.
///
/// # Errors
/// What is wrong, naming the object and its field.
pub fn check(pair: &KeyPair) -> Result<(), String> {
    certified(pair).map(drop).map_err(|error| error.to_string())
}

/// Whether each of these certificates can be believed, and there is one.
///
/// # Errors
/// Which cannot, and why.
pub fn check_authorities(certificates: &[Vec<u8>]) -> Result<(), String> {
    roots(certificates).map(drop).map_err(|error| error.to_string())
}

/// Certificates to verify others by.
///
/// # Errors
/// One of them cannot be parsed, or there is none.
pub(crate) fn roots(certificates: &[Vec<u8>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (index, der) in certificates.iter().enumerate() {
        let added = roots.add(CertificateDer::from(der.as_slice()));
        added.map_err(|error| Error::new(format_args!("authority {index}: {error}")))?;
    }
    if roots.is_empty() { Err(Error::new("no authority")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
