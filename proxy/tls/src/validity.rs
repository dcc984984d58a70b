//! The time that certificates are valid for, and what is to be said of it.

use std::time::{Duration, SystemTime};

use model::tls::KeyPair;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::error::Error;

/// What is to be said of a certificate before it expires: this long before, in order.
const WARNINGS: [(u64, &str); 2] = [(7 * DAY, "expires within 7 days"), (DAY, "expires within a day")];
/// Seconds of it.
const DAY: u64 = 24 * 60 * 60;

/// The seconds since the epoch that the leaf of a chain is valid for; both are among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub not_before: u64,
    /// `notAfter`.
    pub not_after: u64,
}

impl Validity {
    /// That of a chain; `None` if it cannot be read.
    pub fn of(pair: &KeyPair) -> Option<Self> {
        let der = CertificateDer::from(pair.chain.first()?.as_slice());
        let leaf = EndEntityCert::try_from(&der).ok()?;
        // Its time is looked at before its issuer, of which none is given.
        let at = |seconds| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            leaf.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None).err()
        };
        let not_before = match at(0)? {
            webpki::Error::CertNotValidYet { not_before, .. } => not_before.as_secs(),
            _ => 0,
        };
        match at(u64::MAX)? {
            webpki::Error::CertExpired { not_after, .. } => {
                Some(Self { not_before, not_after: not_after.as_secs() })
            }
            _ => None,
        }
    }

    /// What is to be said at a time; nothing for most of it.
    fn said(self, now: u64) -> Option<&'static str> {
        if now < self.not_before {
            return Some("is not valid yet: clients will refuse it");
        }
        if now > self.not_after {
            return Some("has expired: clients will refuse it");
        }
        let left = self.not_after - now;
        WARNINGS.iter().rev().find(|(before, _)| left < *before).map(|(_, said)| *said)
    }

    /// When something else is to be said; never again once it has expired.
    fn next(self, now: u64) -> Option<u64> {
        let warnings = WARNINGS.map(|(before, _)| self.not_after.saturating_sub(before).saturating_add(1));
        let moments = warnings.into_iter().chain([self.not_before, self.not_after.saturating_add(1)]);
        moments.filter(|moment| *moment > now).min()
    }
}

/// What is to be said of the time that a chain's leaf is valid for, naming the Secret: nothing for
/// most of it. And when that changes.
pub fn lapse(pair: &KeyPair, now: SystemTime) -> (Option<String>, Option<SystemTime>) {
    let Some(validity) = Validity::of(pair) else { return (None, None) };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let said = validity.said(now).map(|said| {
        let said = Error::new(format_args!("tls.crt {said}"));
        said.of(&pair.source).to_string()
    });
    let next = validity.next(now).and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    (said, next)
}

#[cfg(test)]
mod tests;
