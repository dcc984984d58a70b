//! A bare pingora proxy on one thread: no log, no filter, one endpoint for each listener.
//!
//! usage: pingora-peer CERTIFICATE KEY (PEM files)

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::upstreams::peer::ALPN;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sends everything to one endpoint.
struct Bare {
    endpoint: &'static str,
    protocol: ALPN,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.endpoint, false, String::new());
        peer.options.alpn = self.protocol.clone();
        Ok(Box::new(peer))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, certificate, key] = arguments.as_slice() else {
        eprintln!("usage: pingora-peer CERTIFICATE KEY");
        std::process::exit(2);
    };
    let mut server = Server::new(None).expect("default configuration");
    server.bootstrap();
    let listeners = [
        ("10.77.1.1:7006", "10.77.2.2:8080", ALPN::H1),
        ("10.77.1.1:7106", "10.77.2.2:8081", ALPN::H2),
        ("10.77.1.1:7406", "10.77.2.2:8083", ALPN::H2),
    ];
    for (address, endpoint, protocol) in listeners {
        let h2c = matches!(protocol, ALPN::H2);
        let mut proxy = http_proxy(&server.configuration, Bare { endpoint, protocol });
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        proxy.server_options = Some(options);
        let mut service = pingora::services::listening::Service::new(address.to_owned(), proxy);
        service.threads = Some(1);
        service.add_tcp(address);
        server.add_service(service);
    }
    let bare = Bare { endpoint: "10.77.2.2:8080", protocol: ALPN::H1 };
    let mut service = http_proxy_service(&server.configuration, bare);
    service.threads = Some(1);
    let mut settings = TlsSettings::intermediate(certificate, key).expect("certificate and key");
    settings.set_min_proto_version(Some(pingora::tls::ssl::SslVersion::TLS1_3)).expect("TLS 1.3");
    service.add_tls_with_settings("10.77.1.1:7206", None, settings);
    server.add_service(service);
    server.run_forever();
}
