//! PEM to DER.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Every certificate of a PEM text, in order. Other blocks are passed over.
///
/// # Errors
/// The text is not PEM, or there is no certificate in it.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let parsed: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect();
    let parsed = parsed.map_err(|error| error.to_string())?;
    if parsed.is_empty() { Err("no certificate".to_owned()) } else { Ok(parsed) }
}

/// The first private key of a PEM text: PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// There is none. Says nothing of the text itself.
pub fn private_key(pem: &[u8]) -> Result<Vec<u8>, String> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "no private key".to_owned())?;
    Ok(key.secret_der().to_vec())
}

#[cfg(test)]
mod tests;
