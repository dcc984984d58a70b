//! The clients' connections: TCP or TLS, with HTTP of either version by hyper.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes both ways.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A body to send.
pub(super) type Sent = BoxBody<Bytes, std::convert::Infallible>;

/// How long anything may take before it counts as failed; a proxy answers in milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Does it within [`PATIENCE`].
pub(super) async fn patiently<T, E: ToString>(
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| format!("{what}: {}", error.to_string())),
        Err(_) => Err(format!("{what}: nothing for {PATIENCE:?}")),
    }
}

/// Connects in the clear.
pub(super) async fn tcp(to: SocketAddr) -> Result<TcpStream, String> {
    let stream = patiently("connect", TcpStream::connect(to)).await?;
    stream.set_nodelay(true).unwrap_or_default();
    Ok(stream)
}

/// The TLS of clients, and the certificates that they know by their places.
#[derive(Debug)]
pub(super) struct Tls {
    known: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Knows these.
    pub(super) fn new(known: Vec<CertificateDer<'static>>) -> Self {
        Self { known }
    }

    /// Connects with this protocol only; the place of the certificate that was shown. Sessions are
    /// not resumed, or an old certificate would stand for the one in force.
    pub(super) async fn connect(
        &self,
        to: SocketAddr,
        protocol: &[u8],
    ) -> Result<(Box<dyn Transport>, String), String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = Arc::new(Shown { provider: provider.clone(), certificate: Mutex::default() });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .dangerous()
            .with_custom_certificate_verifier(shown.clone())
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(NAME).expect("it is a name");
        let stream = tcp(to).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = patiently("TLS handshake", connector.connect(name, stream)).await?;
        if stream.get_ref().1.alpn_protocol() != Some(protocol) {
            return Err("the protocol asked for was not agreed on".into());
        }
        let certificate = shown.certificate.lock().expect("no panic while it is held").take();
        let at = certificate.and_then(|shown| self.known.iter().position(|known| *known == shown));
        let at = at.map_or_else(|| "a stranger's".into(), |at| at.to_string());
        Ok((Box::new(stream), at))
    }
}

/// The name that is asked for.
pub(super) const NAME: &str = "soak.test";

/// Takes every certificate and remembers it; that its owner signs with its key is verified.
#[derive(Debug)]
struct Shown {
    provider: Arc<CryptoProvider>,
    certificate: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.certificate.lock().expect("no panic while it is held") = Some(certificate.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection that speaks HTTP.
pub(super) struct Connection {
    sender: Sender,
    /// When it last carried something.
    used: Instant,
}

#[derive(Clone)]
enum Sender {
    Http1(Arc<tokio::sync::Mutex<http1::SendRequest<Sent>>>),
    Http2(http2::SendRequest<Sent>),
}

/// Why a request has no answer.
pub(super) enum Unanswered {
    /// The connection had ended before; nothing was sent.
    Unsent,
    /// The server says by GOAWAY that it has not looked at it; or it was not sent because of that.
    Unprocessed,
    /// The request failed, on a connection of HTTP/1.1 after so long without one.
    Ended { quiet: Duration, why: String },
    /// It takes too long.
    Late,
}

impl Connection {
    /// Begins to speak HTTP on it.
    pub(super) async fn new(stream: Box<dyn Transport>, version: Version) -> Result<Self, String> {
        let io = TokioIo::new(stream);
        let sender = if version == Version::HTTP_2 {
            let (sender, connection) =
                patiently("HTTP/2", http2::handshake(TokioExecutor::new(), io)).await?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = patiently("HTTP/1.1", http1::handshake(io)).await?;
            tokio::spawn(connection.with_upgrades());
            Sender::Http1(Arc::new(tokio::sync::Mutex::new(sender)))
        };
        Ok(Self { sender, used: Instant::now() })
    }

    /// Another hold on it, for requests at the same time.
    pub(super) fn share(&self) -> Self {
        Self { sender: self.sender.clone(), used: self.used }
    }

    /// Sends a request; the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Sent>) -> Result<Response<Incoming>, Unanswered> {
        let quiet = self.used.elapsed();
        let sent = tokio::time::timeout(PATIENCE, async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    let mut sender = sender.lock().await;
                    if sender.ready().await.is_err() {
                        return Err(Unanswered::Unsent);
                    }
                    sender.try_send_request(request).await.map_err(|error| unanswered(error, quiet))
                }
                Sender::Http2(sender) => {
                    if sender.ready().await.is_err() {
                        return Err(Unanswered::Unsent);
                    }
                    let sent = sender.try_send_request(request).await;
                    sent.map_err(|error| unanswered(error, Duration::ZERO))
                }
            }
        });
        let sent = sent.await.unwrap_or(Err(Unanswered::Late));
        self.used = Instant::now();
        sent
    }
}

fn unanswered(mut error: hyper::client::conn::TrySendError<Request<Sent>>, quiet: Duration) -> Unanswered {
    if error.take_message().is_some() {
        return Unanswered::Unsent;
    }
    let error = error.into_error();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let is_goodbye = |error: &::h2::Error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(::h2::Reason::NO_ERROR)
    };
    if causes.filter_map(|error| error.downcast_ref()).any(is_goodbye) {
        return Unanswered::Unprocessed;
    }
    Unanswered::Ended { quiet, why: chain(&error) }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
