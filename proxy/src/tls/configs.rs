//! A worker's view of the configurations in use, found by the objects that a Snapshot holds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ::tls::{Alpn, ClientSetup, Error, Identity, ServerConfig};
use model::tls::{KeyPair, ServerTls, UpstreamTls};

use super::seldom::Seldom;

/// See the module. What is kept beside an object is that object's: its memory is not used again
/// while a [`Weak`] of it is there.
#[derive(Debug)]
pub(crate) struct Configs {
    shared: Arc<::tls::Configs>,
    servers: RefCell<HashMap<(*const ServerTls, Alpn), Server>>,
    clients: RefCell<HashMap<ClientKey, Client>>,
    setups: RefCell<HashMap<Identity, ClientSetup>>,
    /// Of handshakes with endpoints that failed.
    pub(super) warnings: Seldom,
}

type ClientKey = (*const UpstreamTls, Option<*const KeyPair>, Alpn);

#[derive(Debug)]
struct Server {
    tls: Weak<ServerTls>,
    config: Result<Arc<ServerConfig>, Error>,
}

#[derive(Debug)]
struct Client {
    tls: Weak<UpstreamTls>,
    certificate: Option<Weak<KeyPair>>,
    identity: Result<Identity, Error>,
}

impl Configs {
    pub(crate) fn new(shared: Arc<::tls::Configs>) -> Self {
        let (servers, clients, setups) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { shared, servers, clients, setups, warnings: Seldom::default() }
    }

    /// What a listener presents.
    ///
    /// # Errors
    /// See [`::tls::Configs::server`].
    pub(crate) fn server(&self, tls: &Arc<ServerTls>, alpn: Alpn) -> Result<Arc<ServerConfig>, Error> {
        let mut servers = self.servers.borrow_mut();
        let known = servers.entry((Arc::as_ptr(tls), alpn)).or_insert_with(|| {
            let config = self.shared.server(tls, alpn);
            Server { tls: Arc::downgrade(tls), config }
        });
        known.config.clone()
    }

    /// The number of a way to speak to endpoints.
    ///
    /// # Errors
    /// See [`::tls::Configs::client`].
    pub(crate) fn identity(
        &self,
        tls: &Arc<UpstreamTls>,
        certificate: Option<&Arc<KeyPair>>,
        alpn: Alpn,
    ) -> Result<Identity, Error> {
        let mut clients = self.clients.borrow_mut();
        let key = (Arc::as_ptr(tls), certificate.map(Arc::as_ptr), alpn);
        let known = clients.entry(key).or_insert_with(|| {
            let setup = self.shared.client(tls, certificate, alpn);
            let identity = setup.map(|setup| {
                let identity = setup.identity;
                self.setups.borrow_mut().insert(identity, setup);
                identity
            });
            Client { tls: Arc::downgrade(tls), certificate: certificate.map(Arc::downgrade), identity }
        });
        known.identity.clone()
    }

    /// What belongs to a number; `None` when no Snapshot has it any more.
    pub(crate) fn setup(&self, identity: Identity) -> Option<ClientSetup> {
        self.setups.borrow().get(&identity).cloned()
    }

    /// Forgets what no Snapshot has any more.
    pub(crate) fn prune(&self) {
        self.shared.prune();
        self.servers.borrow_mut().retain(|_, server| server.tls.strong_count() > 0);
        let mut clients = self.clients.borrow_mut();
        clients.retain(|_, client| {
            let has_certificate = client.certificate.as_ref().is_none_or(|pair| pair.strong_count() > 0);
            client.tls.strong_count() > 0 && has_certificate
        });
        let used =
            |identity: &Identity| clients.values().any(|client| client.identity.as_ref() == Ok(identity));
        self.setups.borrow_mut().retain(|identity, _| used(identity));
    }
}
