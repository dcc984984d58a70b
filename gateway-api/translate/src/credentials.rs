//! Certificates and keys out of Secrets and ConfigMaps, each read once for each state of its
//! object: what did not change keeps its [`Arc`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::ConfigMap;
use model::tls::{Authorities, KeyPair};
use objects::types::Secret;
use objects::{FieldPath, Kind, ObjectKey, Problem, Store, Table};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::report::object_ref;
use crate::{Lapse, Options};

/// The key of a Secret that holds the certificate chain.
const CHAIN: &str = "tls.crt";
/// The key of a Secret that holds the private key.
const PRIVATE_KEY: &str = "tls.key";
/// The key of a Secret or ConfigMap that holds authorities.
const AUTHORITIES: &str = "ca.crt";
/// What is said of a Secret that is of no use any more.
pub(crate) const LAST_GOOD: &str = "its last good certificate is shown";

/// What was read out of Secrets and ConfigMaps.
#[derive(Debug)]
pub(crate) struct Credentials {
    check_key_pair: fn(&KeyPair) -> Result<(), String>,
    lapse: fn(&KeyPair) -> Lapse,
    next_lapse: Option<SystemTime>,
    check_authorities: fn(&[Vec<u8>]) -> Result<(), String>,
    pairs: Cache<Secret, KeyPair>,
    shown: HashMap<ObjectKey, Shown>,
    of_secrets: Cache<Secret, Authorities>,
    of_config_maps: Cache<ConfigMap, Authorities>,
}

impl Credentials {
    /// Nothing read yet, with the checks of these options.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            check_key_pair: options.check_key_pair,
            lapse: options.certificate_lapse,
            next_lapse: None,
            check_authorities: options.check_authorities,
            pairs: Cache::default(),
            shown: HashMap::new(),
            of_secrets: Cache::default(),
            of_config_maps: Cache::default(),
        }
    }

    /// Forgets what objects that are gone or changed have said.
    pub(crate) fn sweep(&mut self, store: &Store) {
        self.pairs.sweep(store.secrets());
        self.of_secrets.sweep(store.secrets());
        self.of_config_maps.sweep(store.config_maps());
    }

    /// `tls.crt` and `tls.key` of a Secret, or why it has none that can be used. One that has become
    /// of no use keeps its last good pair, see [`Self::stale`], as long as a reference leads to it.
    pub(crate) fn key_pair(&mut self, store: &Store, key: &ObjectKey) -> Result<Arc<KeyPair>, String> {
        let read = self.read_key_pair(store, key);
        let shown = self.shown.get_mut(key);
        match (read, shown) {
            (Ok(pair), _) => {
                self.shown.insert(key.clone(), Shown { pair: pair.clone(), wrong: None, asked: true });
                Ok(pair)
            }
            (Err(why), Some(shown)) if claims_pair(store, key) => {
                (shown.wrong, shown.asked) = (Some(why), true);
                Ok(shown.pair.clone())
            }
            (Err(why), _) => Err(why),
        }
    }

    /// Why a pair is no more what its Secret says, if so.
    pub(crate) fn stale(&self, key: &ObjectKey) -> Option<&str> {
        self.shown.get(key)?.wrong.as_deref()
    }

    /// Every reference is about to be read again.
    pub(crate) fn begin(&mut self) {
        self.next_lapse = None;
        self.shown.values_mut().for_each(|shown| shown.asked = false);
    }

    /// Every reference was read: pairs that none leads to have no last good version.
    pub(crate) fn end(&mut self) {
        self.shown.retain(|_, shown| shown.asked);
    }

    /// What is wrong with Secrets whose last good pair is shown.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        self.shown.iter().filter_map(|(key, shown)| {
            let why = shown.wrong.as_deref()?;
            let field = if why.contains(PRIVATE_KEY) { PRIVATE_KEY } else { CHAIN };
            let field = FieldPath::default().key("data").key(field);
            let name = format!("{key}: ");
            let why = why.strip_prefix(&name).unwrap_or(why);
            let problem = Problem::error(format!("{why}; {LAST_GOOD}")).field(field.to_string());
            Some(problem.of(key.clone()).at(store.source(key).cloned()))
        })
    }

    fn read_key_pair(&mut self, store: &Store, key: &ObjectKey) -> Result<Arc<KeyPair>, String> {
        let check = self.check_key_pair;
        self.pairs.get(store.secrets(), key, |secret| {
            let chain = certificates(CHAIN, secret.data.get(CHAIN).map(Vec::as_slice))?;
            let private = secret.data.get(PRIVATE_KEY).ok_or_else(|| missing(PRIVATE_KEY))?;
            // The error of the parser may quote what it read.
            let private = PrivateKeyDer::from_pem_slice(private).map_err(|_| no_key(private))?;
            let pair = KeyPair { source: object_ref(key), chain, key: private.secret_der().to_vec() };
            check(&pair)?;
            Ok(pair)
        })
    }

    /// What is to be said of the time that a certificate is valid for. It is asked anew each time:
    /// it changes without its object.
    pub(crate) fn lapsed(&mut self, pair: &KeyPair) -> Option<String> {
        let Lapse { said, next } = (self.lapse)(pair);
        self.next_lapse = self.next_lapse.into_iter().chain(next).min();
        said
    }

    /// When the first of those that were asked about will have something else said of it.
    pub(crate) fn next_lapse(&self) -> Option<SystemTime> {
        self.next_lapse
    }

    /// `ca.crt` of a Secret or ConfigMap, or why it has none that can be used.
    pub(crate) fn authorities(&mut self, store: &Store, key: &ObjectKey) -> Result<Arc<Authorities>, String> {
        let check = self.check_authorities;
        let read = |pem: Option<&[u8]>| {
            let certificates = certificates(AUTHORITIES, pem)?;
            check(&certificates)?;
            Ok(Authorities { certificates })
        };
        match key.kind {
            Kind::Secret => {
                let of = |secret: &Secret| read(secret.data.get(AUTHORITIES).map(Vec::as_slice));
                self.of_secrets.get(store.secrets(), key, of)
            }
            Kind::ConfigMap => self.of_config_maps.get(store.config_maps(), key, |map: &ConfigMap| {
                let text = map.data.as_ref().and_then(|data| data.get(AUTHORITIES));
                let binary = map.binary_data.as_ref().and_then(|data| data.get(AUTHORITIES));
                read(text.map(String::as_bytes).or(binary.map(|bytes| bytes.0.as_slice())))
            }),
            other => Err(format!("{other} holds no certificates")),
        }
    }
}

/// A pair in use.
#[derive(Debug)]
struct Shown {
    pair: Arc<KeyPair>,
    /// Why its Secret is of no use since.
    wrong: Option<String>,
    /// A reference leads to it.
    asked: bool,
}

/// Whether there is a Secret that means to be one with a certificate: without both there is nothing
/// that could be mistaken.
fn claims_pair(store: &Store, key: &ObjectKey) -> bool {
    let secret = store.secrets().get(&key.namespace, &key.name);
    secret
        .is_some_and(|secret| [CHAIN, PRIVATE_KEY].iter().any(|name| secret.object.data.contains_key(*name)))
}

/// What the objects of one kind were read as.
#[derive(Debug)]
struct Cache<T, V> {
    read: HashMap<ObjectKey, (Arc<T>, Reading<V>)>,
}

/// What an object came to, or what is wrong with it.
type Reading<V> = Result<Arc<V>, String>;

impl<T, V> Default for Cache<T, V> {
    fn default() -> Self {
        Self { read: HashMap::new() }
    }
}

impl<T, V> Cache<T, V> {
    fn get(
        &mut self,
        table: &Table<T>,
        key: &ObjectKey,
        read: impl FnOnce(&T) -> Result<V, String>,
    ) -> Result<Arc<V>, String> {
        let Some(entry) = table.get(&key.namespace, &key.name) else {
            return Err(format!("there is no {key}"));
        };
        if let Some((object, known)) = self.read.get(key)
            && Arc::ptr_eq(object, &entry.object)
        {
            return known.clone();
        }
        let known = read(&entry.object).map(Arc::new).map_err(|why| named(key, &why));
        self.read.insert(key.clone(), (entry.object.clone(), known.clone()));
        known
    }

    fn sweep(&mut self, table: &Table<T>) {
        self.read.retain(|key, (object, _)| {
            let now = table.get(&key.namespace, &key.name);
            now.is_some_and(|entry| Arc::ptr_eq(&entry.object, object))
        });
    }
}

/// What is wrong with an object, with its name in front. A check may have put it there.
fn named(key: &ObjectKey, why: &str) -> String {
    let name = format!("{key}: ");
    if why.starts_with(&name) { why.to_owned() } else { name + why }
}

/// The certificates of a PEM text, at least one.
fn certificates(name: &str, pem: Option<&[u8]>) -> Result<Vec<Vec<u8>>, String> {
    let pem = pem.ok_or_else(|| missing(name))?;
    let read = CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec()));
    let certificates =
        read.collect::<Result<Vec<_>, _>>().map_err(|_| format!("its {name} is not in PEM"))?;
    if certificates.is_empty() {
        return Err(format!("its {name} holds no certificate in PEM"));
    }
    Ok(certificates)
}

/// Why there is no private key in what is there for one.
fn no_key(pem: &[u8]) -> String {
    // PKCS #8 says it in its label, the older form in a header (RFC 1421).
    let has = |text: &[u8]| pem.windows(text.len()).any(|part| part == text);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return format!(
            "its {PRIVATE_KEY} is encrypted: Weir has no passphrase, give it the key in the clear"
        );
    }
    format!("its {PRIVATE_KEY} is not a private key in PEM")
}

fn missing(name: &str) -> String {
    format!("it has no {name}")
}

#[cfg(test)]
mod tests;
