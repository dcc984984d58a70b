//! How endpoints are spoken to, as a configuration of rustls.

use std::sync::{Arc, LazyLock};

use model::tls::{KeyPair, UpstreamTls};
use rustls::client::Resumption;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::alpn::Alpn;
use crate::certificate::certified;
use crate::check::roots;
use crate::error::Error;
use crate::provider;
use crate::verify::Endpoint;

/// Sessions kept for resumption, per configuration: endpoints of one policy share a name, and a
/// session is of use with the endpoint that made it alone.
const SESSIONS_MAX: usize = 64;

/// The number of one way to be known and to know the other: what is not the same in all that
/// matters has another number, and no number is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub(crate) u64);

/// How connections to the endpoints of a Service port are made.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// Tells connections apart that may not stand for each other.
    pub identity: Identity,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// Builds it.
///
/// # Errors
/// The policy or the certificate is of no use.
pub(crate) fn config(
    tls: &UpstreamTls,
    certificate: Option<&KeyPair>,
    alpn: Alpn,
) -> Result<(ClientConfig, ServerName<'static>), Error> {
    let of = |error: Error| error.of(&tls.policy);
    let name = ServerName::try_from(tls.hostname.to_string())
        .map_err(|error| of(Error::new(format_args!("validation.hostname: {error}"))))?;
    let roots = match &tls.authorities {
        Some(authorities) => Arc::new(roots(&authorities.certificates).map_err(of)?),
        None => system_authorities().map_err(of)?,
    };
    let verifier = Arc::new(Endpoint { roots, names: tls.names.clone() });
    let builder = ClientConfig::builder_with_provider(provider().clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::new)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = certified(pair)?.cert;
            let key = PrivateKeyDer::try_from(pair.key.as_slice()).map_err(Error::new)?;
            builder.with_client_auth_cert(chain, key.clone_key()).map_err(Error::new)?
        }
    };
    config.alpn_protocols = alpn.protocols();
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok((config, name))
}

/// The authorities that the system believes, read once in a process's life.
///
/// # Errors
/// The system has none.
fn system_authorities() -> Result<Arc<RootCertStore>, Error> {
    static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if SYSTEM.is_empty() { Err(Error::new("the system has no authorities")) } else { Ok(SYSTEM.clone()) }
}
