//! Certificates, Gateways with TLS listeners, clients and endpoints that speak TLS.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use model::Snapshot;
use model::route::{RouteRule, RouteTable, SniTable};
use model::service::{Backend as ServicePort, BackendId, GatewayPort, Listener, ListenerProtocol, ObjectRef};
use model::tls::{Authorities, ClientAuth, KeyPair, ServerTls, UpstreamSecurity, UpstreamTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, SanType};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tls::Alpn;

use crate::backend::{Backend, Log};
use crate::client::{Message, Peer};
use crate::world::{Plan, World, rule, to};

fn object(kind: &'static str, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "test".into(), name: name.into() }
}

/// An authority.
pub(crate) struct Ca(CertifiedIssuer<'static, rcgen::KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn authorities(&self) -> Arc<Authorities> {
        Arc::new(Authorities { certificates: vec![self.0.der().to_vec()] })
    }

    /// A certificate for DNS names and, where they have a colon, URIs.
    pub(crate) fn issue(&self, names: &[&str]) -> Arc<KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let san = |name: &&str| match name.contains(':') {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(san).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let (chain, key) = (vec![leaf.der().to_vec()], key.serialize_der());
        Arc::new(KeyPair { source: object("Secret", names[0]), chain, key })
    }

    /// What a listener presents for these names.
    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerTls> {
        self.server_for(names, ClientAuth::None)
    }

    pub(crate) fn server_for(&self, names: &[&str], client: ClientAuth) -> Arc<ServerTls> {
        Arc::new(ServerTls { certificates: vec![self.issue(names)], client })
    }

    /// How endpoints of this authority are spoken to.
    pub(crate) fn upstream(&self, hostname: &str) -> UpstreamTls {
        let authorities = Some(self.authorities());
        let policy = object("BackendTLSPolicy", "policy");
        UpstreamTls { policy, hostname: hostname.into(), authorities, names: Vec::new() }
    }

    /// A client that believes this authority.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client_with(None, &[])
    }

    /// One that speaks TLS 1.2 alone.
    pub(crate) fn old_client(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap();
        let mut config = builder.with_root_certificates(self.roots()).with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(crate) fn client_with(&self, certificate: Option<&KeyPair>, alpn: &[&str]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_root_certificates(self.roots());
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = pair.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
                let key = PrivateKeyDer::try_from(pair.key.clone()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}

/// A rule that leads to a service by its number.
pub(crate) fn leads_to(service: u32) -> Arc<RouteRule> {
    Arc::new(RouteRule { backends: vec![to(service, 1)], ..rule() })
}

/// TLSRoutes by name: `*.name` for wildcards, the empty name for any.
pub(crate) fn sni(rules: &[(&str, u32)]) -> Arc<SniTable> {
    let mut table = SniTable::default();
    for (name, service) in rules {
        match name.strip_prefix('*') {
            _ if name.is_empty() => table.any = Some(leads_to(*service)),
            Some(suffix) => drop(table.wildcard.insert(suffix.into(), leads_to(*service))),
            None => drop(table.exact.insert((*name).into(), leads_to(*service))),
        }
    }
    Arc::new(table)
}

/// All requests go to a service by its number.
pub(crate) fn routes(service: u32) -> Arc<RouteTable> {
    let plan = Plan::default().route("/", RouteRule { backends: vec![to(service, 1)], ..rule() });
    Arc::new(plan.routes)
}

pub(crate) fn listener(hostname: &str, protocol: ListenerProtocol) -> Listener {
    Listener {
        gateway: object("Gateway", "gateway"),
        name: hostname.into(),
        hostname: (!hostname.is_empty()).then(|| hostname.into()),
        protocol,
        backend_certificate: None,
    }
}

/// An HTTPS listener whose requests go to a service.
pub(crate) fn https(hostname: &str, tls: &Arc<ServerTls>, service: u32) -> Listener {
    listener(hostname, ListenerProtocol::Https { tls: tls.clone(), routes: routes(service) })
}

/// Puts listeners, the most specific first, in the place of the Gateway's.
pub(crate) fn listen(snapshot: &mut Snapshot, listeners: Vec<Listener>) {
    let address = *snapshot.gateways.keys().next().unwrap();
    let port = GatewayPort { listeners: listeners.into_iter().map(Arc::new).collect() };
    snapshot.gateways = Arc::new(HashMap::from([(address, Arc::new(port))]));
}

/// Says how the endpoints of a service are spoken to.
pub(crate) fn secure(snapshot: &mut Snapshot, service: u32, security: UpstreamSecurity) {
    let mut backends = (*snapshot.backends).clone();
    let old = &backends[&BackendId(service)];
    let new = ServicePort { security, ..(**old).clone() };
    backends.insert(BackendId(service), Arc::new(new));
    snapshot.backends = Arc::new(backends);
}

/// A proxy with these listeners.
pub(crate) fn world(plan: &Plan, listeners: Vec<Listener>) -> World {
    let mut world = plan.start();
    world.publish_changed(plan, |snapshot| listen(snapshot, listeners));
    world
}

/// A client in TLS.
pub(crate) struct Client {
    pub(crate) tls: StreamOwned<ClientConnection, TcpStream>,
    held: Vec<u8>,
}

impl Client {
    /// Shakes hands.
    pub(crate) fn connect(to: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(config.clone(), name).unwrap();
        let mut tls = StreamOwned::new(connection, Peer::connect(to).stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(Self { tls, held: Vec::new() })
    }

    /// The same, and reads something: a server that refuses a certificate says so after its part
    /// of the handshake.
    pub(crate) fn ask(to: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Message> {
        Self::connect(to, config, name)?.try_get(name, "/")
    }

    pub(crate) fn get(&mut self, host: &str, path: &str) -> Message {
        self.try_get(host, path).unwrap()
    }

    pub(crate) fn try_get(&mut self, host: &str, path: &str) -> std::io::Result<Message> {
        write!(self.tls, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let head = self.head()?;
        let mut message = Message { head, body: String::new(), raw: Vec::new() };
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        message.body = String::from_utf8(self.take(length)?).unwrap();
        Ok(message)
    }

    pub(crate) fn head(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end + 4).collect();
                return Ok(String::from_utf8(head).unwrap().trim_end().to_owned());
            }
            self.more()?;
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        while self.held.len() < count {
            self.more()?;
        }
        Ok(self.held.drain(..count).collect())
    }

    /// All until the end, which has to be that of TLS.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.held);
        self.tls.read_to_end(&mut rest).map(|_| rest)
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut piece = [0; 16384];
        let count = self.tls.read(&mut piece)?;
        self.held.extend_from_slice(&piece[..count]);
        if count == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The leaf that the server presented.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        self.tls.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Ends its direction in due form.
    pub(crate) fn close(&mut self) {
        self.tls.conn.send_close_notify();
        self.tls.flush().unwrap();
    }
}

/// The server's end of an endpoint's connection.
pub(crate) type Secure = StreamOwned<ServerConnection, TcpStream>;

/// An endpoint that speaks TLS and follows a script.
pub(crate) fn endpoint(
    tls: &Arc<ServerTls>,
    alpn: Alpn,
    script: impl Fn(Secure, &Log) + Send + Sync + 'static,
) -> Backend {
    let config: Arc<ServerConfig> = tls::Configs::default().server(tls, alpn).unwrap();
    Backend::script(move |peer, log| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = StreamOwned::new(connection, peer.stream);
        while tls.conn.is_handshaking() {
            if tls.conn.complete_io(&mut tls.sock).is_err() {
                return;
            }
        }
        script(tls, log);
    })
}

/// An endpoint in TLS that answers every request with its name, what it knows of the client and the head.
pub(crate) fn echo(tls: &Arc<ServerTls>, name: &'static str) -> Backend {
    endpoint(tls, Alpn::Http1, move |mut stream, _| {
        let mut held = Vec::new();
        loop {
            while !held.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 4096];
                match stream.read(&mut piece) {
                    Ok(count) if count > 0 => held.extend_from_slice(&piece[..count]),
                    _ => return,
                }
            }
            let sni = stream.conn.server_name().unwrap_or_default();
            let known = stream.conn.peer_certificates().is_some();
            let text = format!("{name} sni={sni} cert={known}\n{}", String::from_utf8_lossy(&held));
            held.clear();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}
