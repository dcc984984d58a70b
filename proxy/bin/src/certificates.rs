//! Certificates in use, and when they expire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use model::Snapshot;
use model::service::ObjectRef;
use model::tls::KeyPair;
use tls::Validity;
use translate::Lapse;

/// Secrets that have a series of their own in the metrics.
pub(crate) const SECRETS_MAX: usize = 256;

/// What is to be said now of a certificate.
pub(crate) fn lapse(pair: &KeyPair) -> Lapse {
    let (said, next) = tls::lapse(pair, SystemTime::now());
    Lapse { said, next }
}

/// The Secrets whose certificates are in use, with the second since the epoch at which each
/// expires: the first [`SECRETS_MAX`] to do so, in that order.
pub(crate) fn expiries(snapshot: &Snapshot) -> Vec<(u64, &ObjectRef)> {
    let listeners = snapshot.gateways.values().flat_map(|port| &port.listeners);
    let pairs = listeners.flat_map(|listener| {
        let presented = listener.server_tls().into_iter().flat_map(|tls| &tls.certificates);
        presented.chain(&listener.backend_certificate)
    });
    let pairs: BTreeMap<&ObjectRef, &Arc<KeyPair>> = pairs.map(|pair| (&pair.source, pair)).collect();
    let expiry = |pair: &KeyPair| Validity::of(pair).map(|validity| validity.not_after);
    let mut all: Vec<(u64, &ObjectRef)> =
        pairs.into_iter().filter_map(|(secret, pair)| Some((expiry(pair)?, secret))).collect();
    all.sort_unstable();
    all.truncate(SECRETS_MAX);
    all
}
