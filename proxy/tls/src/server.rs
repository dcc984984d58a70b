//! What a listener presents and asks for, as a configuration of rustls.

use std::sync::Arc;

use model::tls::{ClientAuth, ServerTls};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};

use crate::alpn::Alpn;
use crate::certificate::Certificates;
use crate::check::roots;
use crate::error::Error;
use crate::provider;
use crate::verify::Anyone;

/// Builds it. Sessions are resumed by tickets whose keys are this configuration's own and change
/// every six hours: whoever has the configuration can resume, on every worker; none does when
/// certificates or authorities have changed, for that makes another configuration.
///
/// # Errors
/// A certificate, key or authority is of no use.
pub(crate) fn config(tls: &ServerTls, alpn: Alpn) -> Result<ServerConfig, Error> {
    let certificates = Certificates::new(&tls.certificates)?;
    let versions = ServerConfig::builder_with_provider(provider().clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::new)?;
    let mut config =
        versions.with_client_cert_verifier(verifier(&tls.client)?).with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = alpn.protocols();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new().map_err(Error::new)?;
    Ok(config)
}

fn verifier(client: &ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    match client {
        ClientAuth::None => Ok(Arc::new(NoClientAuth)),
        ClientAuth::Optional => Ok(Arc::new(Anyone)),
        ClientAuth::Required(authorities) => {
            let roots = Arc::new(roots(&authorities.certificates)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider().clone()).build();
            verifier.map(|verifier| verifier as _).map_err(Error::new)
        }
    }
}
