//! Configurations that are in use, shared by all workers: equal objects have one configuration, so
//! that sessions are resumed on every worker and a rebuilt Snapshot does not end them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::tls::{KeyPair, ServerTls, UpstreamTls};
use rustls::ServerConfig;

use crate::alpn::Alpn;
use crate::client::{self, ClientSetup, Identity};
use crate::error::Error;
use crate::server;

/// See the module. A worker asks once for each object that it sees and remembers the answer, so
/// the lock is on no connection's way.
#[derive(Debug, Default)]
pub struct Configs {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    servers: Vec<Server>,
    clients: Vec<Client>,
    identities: u64,
}

#[derive(Debug)]
struct Server {
    tls: Arc<ServerTls>,
    alpn: Alpn,
    config: Result<Arc<ServerConfig>, Error>,
}

#[derive(Debug)]
struct Client {
    tls: Arc<UpstreamTls>,
    certificate: Option<Arc<KeyPair>>,
    alpn: Alpn,
    setup: Result<ClientSetup, Error>,
}

impl Configs {
    /// The configuration of a listener.
    ///
    /// # Errors
    /// A certificate, key or authority is of no use; translation should have said so.
    pub fn server(&self, tls: &Arc<ServerTls>, alpn: Alpn) -> Result<Arc<ServerConfig>, Error> {
        let mut inner = self.inner();
        if let Some(known) = inner.servers.iter_mut().find(|s| s.alpn == alpn && s.tls == *tls) {
            // So that it lives as long as the newest of its equals.
            known.tls = tls.clone();
            return known.config.clone();
        }
        let config = server::config(tls, alpn).map(Arc::new);
        inner.servers.push(Server { tls: tls.clone(), alpn, config: config.clone() });
        config
    }

    /// How the endpoints of a Service port are spoken to.
    ///
    /// # Errors
    /// The policy or the certificate is of no use; translation should have said so.
    pub fn client(
        &self,
        tls: &Arc<UpstreamTls>,
        certificate: Option<&Arc<KeyPair>>,
        alpn: Alpn,
    ) -> Result<ClientSetup, Error> {
        let mut inner = self.inner();
        let known =
            |c: &&mut Client| c.alpn == alpn && c.tls == *tls && c.certificate.as_ref() == certificate;
        if let Some(known) = inner.clients.iter_mut().find(known) {
            known.tls = tls.clone();
            known.certificate = certificate.cloned();
            return known.setup.clone();
        }
        inner.identities += 1;
        let identity = Identity(inner.identities);
        let setup = client::config(tls, certificate.map(|pair| &**pair), alpn)
            .map(|(config, name)| ClientSetup { identity, config: Arc::new(config), name });
        let certificate = certificate.cloned();
        inner.clients.push(Client { tls: tls.clone(), certificate, alpn, setup: setup.clone() });
        setup
    }

    /// Forgets what nobody else holds any more.
    pub fn prune(&self) {
        let mut inner = self.inner();
        inner.servers.retain(|server| Arc::strong_count(&server.tls) > 1);
        inner.clients.retain(|client| {
            let has_certificate = client.certificate.as_ref().is_none_or(|pair| Arc::strong_count(pair) > 1);
            Arc::strong_count(&client.tls) > 1 && has_certificate
        });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing is half done at any point where a panic could be.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
