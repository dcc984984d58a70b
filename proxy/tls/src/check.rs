//! What translation asks before it takes a Secret or ConfigMap.

use std::time::SystemTime;

use model::tls::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificate::certified;
use crate::error::Error;

/// Whether a certificate chain parses and the key is its leaf's.
///
/// # Errors
/// What is wrong, naming the object and its field.
pub fn check(pair: &KeyPair) -> Result<(), String> {
    certified(pair).map(drop).map_err(|error| error.to_string())
}

/// What is to be known of the time that a chain's leaf is valid for: nothing while it is.
pub fn lapsed(pair: &KeyPair, now: SystemTime) -> Option<String> {
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).ok()?);
    let der = CertificateDer::from(pair.chain.first()?.as_slice());
    let leaf = EndEntityCert::try_from(&der).ok()?;
    // Its time is looked at before its issuer, of which none is given.
    let usage = KeyUsage::server_auth();
    let said = match leaf.verify_for_usage(&[], &[], &[], now, usage, None, None).err()? {
        webpki::Error::CertExpired { .. } => "has expired",
        webpki::Error::CertNotValidYet { .. } => "is not valid yet",
        _ => return None,
    };
    Some(Error::new(format_args!("tls.crt {said}")).of(&pair.source).to_string())
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
