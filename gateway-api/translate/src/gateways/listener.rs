//! One listener of a Gateway: what it speaks, whom it lets in, what it presents.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_api::gateways::{GatewayListeners, GatewayListenersTlsMode as Mode};
use model::service::GatewayAddr;
use model::workload::Protocol as Transport;
use objects::{Kind, ObjectKey};

use super::allowed::AllowedRoutes;
use super::tls::{GatewayWide, ListenerTls, Reader};
use crate::report::{self, Problems};
use crate::status::{Condition, Reason};

/// Which listener: its Gateway, the ListenerSet that adds it to the Gateway, and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ListenerKey {
    /// The Gateway.
    pub(crate) gateway: ObjectKey,
    /// The ListenerSet; `None` for a listener of the Gateway itself.
    pub(crate) set: Option<ObjectKey>,
    /// `listeners[].name`.
    pub(crate) name: Arc<str>,
}

impl ListenerKey {
    /// The object that has the listener.
    pub(crate) fn owner(&self) -> &ObjectKey {
        self.set.as_ref().unwrap_or(&self.gateway)
    }
}

/// `listeners[].protocol` with `tls.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `HTTP`.
    Http,
    /// `HTTPS`.
    Https,
    /// `TLS`, not terminated.
    TlsPassthrough,
    /// `TLS`, terminated.
    TlsTerminate,
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// Any other: the listener is refused.
    Unknown,
}

/// The protocols as `listeners[].protocol` has them.
const NAMES: [&str; 5] = ["HTTP", "HTTPS", "TLS", "TCP", "UDP"];

/// What tells the listeners of one port apart; listeners of different layers cannot share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// The `Host` of a request.
    Http,
    /// The server name of a TLS handshake.
    Tls,
    /// Nothing.
    Bytes,
}

/// One listener of a Gateway of ours.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Which.
    pub(crate) key: Arc<ListenerKey>,
    /// `listeners[].port`.
    pub(crate) port: u16,
    /// `listeners[].protocol`.
    pub(crate) protocol: Protocol,
    /// `listeners[].hostname`, lower case.
    pub(crate) hostname: Option<Arc<str>>,
    /// `listeners[].allowedRoutes`.
    pub(crate) allowed: AllowedRoutes,
    /// `listeners[].tls`, where it is terminated.
    pub(crate) tls: ListenerTls,
    /// Why it is not there at all, if so: no route attaches and nobody listens.
    pub(crate) refused: Option<Reason>,
    /// Its place in `spec.listeners`.
    pub(super) index: usize,
}

impl Protocol {
    fn read(object: &GatewayListeners) -> Self {
        let passthrough = object.tls.as_ref().is_some_and(|tls| tls.mode == Some(Mode::Passthrough));
        match &*object.protocol {
            "HTTP" => Self::Http,
            "HTTPS" => Self::Https,
            "TLS" if passthrough => Self::TlsPassthrough,
            "TLS" => Self::TlsTerminate,
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            _ => Self::Unknown,
        }
    }

    /// The kinds of routes that can attach.
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Self::TlsPassthrough | Self::TlsTerminate => &[Kind::TlsRoute],
            Self::Tcp => &[Kind::TcpRoute],
            Self::Udp => &[Kind::UdpRoute],
            Self::Unknown => &[],
        }
    }

    /// What carries it.
    pub(crate) fn transport(self) -> Transport {
        if self == Self::Udp { Transport::Udp } else { Transport::Tcp }
    }

    pub(super) fn layer(self) -> Layer {
        match self {
            Self::Http => Layer::Http,
            Self::Https | Self::TlsPassthrough | Self::TlsTerminate => Layer::Tls,
            Self::Tcp | Self::Udp | Self::Unknown => Layer::Bytes,
        }
    }

    fn terminates(self) -> bool {
        matches!(self, Self::Https | Self::TlsTerminate)
    }
}

impl Listener {
    /// Reads all but the references.
    pub(super) fn read(
        key: ListenerKey,
        index: usize,
        object: &GatewayListeners,
        problems: &mut Problems,
    ) -> Self {
        let protocol = Protocol::read(object);
        let hostname = object.hostname.as_deref().filter(|hostname| !hostname.is_empty());
        let allowed = AllowedRoutes::read(index, object, protocol.kinds(), problems);
        let mut listener = Self {
            key: Arc::new(key),
            port: u16::try_from(object.port).unwrap_or_default(),
            protocol,
            hostname: hostname
                .filter(|_| protocol.layer() != Layer::Bytes)
                .map(|hostname| hostname.to_ascii_lowercase().into()),
            allowed,
            tls: ListenerTls::default(),
            refused: None,
            index,
        };
        let field = |name: &str| format!("spec.listeners[{index}].{name}");
        if listener.port == 0 {
            report::error(problems, field("port"), format!("{} is not a port", object.port));
            listener.refused = Some(Reason::PortUnavailable);
        }
        if protocol == Protocol::Unknown {
            let said = &object.protocol;
            let message = match NAMES.iter().find(|name| name.eq_ignore_ascii_case(said)) {
                Some(name) => format!("{said:?} is not a protocol; did you mean {name}?"),
                None => format!("{said:?} is not a protocol that we know: use {}", NAMES.join(", ")),
            };
            report::error(problems, field("protocol"), message);
            listener.refused = Some(Reason::UnsupportedProtocol);
        }
        for option in object.tls.iter().flat_map(|tls| tls.options.iter().flatten()) {
            let message = format!("{} is not an option that we know: it has no effect", option.0);
            report::warning(problems, field("tls.options"), message);
        }
        let mode = object.tls.as_ref().and_then(|tls| tls.mode.as_ref());
        if protocol == Protocol::Https && mode == Some(&Mode::Passthrough) {
            report::error(problems, field("tls.mode"), "HTTPS is always terminated: use protocol TLS");
            listener.refused = Some(Reason::UnsupportedProtocol);
        }
        listener
    }

    /// Reads the references. What comes to the same as in `old` keeps its `Arc`.
    pub(super) fn resolve(
        &mut self,
        object: &GatewayListeners,
        wide: &GatewayWide,
        old: Option<&Self>,
        reader: &mut Reader<'_>,
    ) {
        if !self.protocol.terminates() || self.refused.is_some() {
            return;
        }
        let references = object.tls.as_ref().and_then(|tls| tls.certificate_refs.as_deref());
        let clients = (self.protocol == Protocol::Https).then_some((wide, self.port));
        let field = format!("spec.listeners[{}]", self.index);
        let tls = reader.listener(&field, references.unwrap_or_default(), clients);
        let same = old.map(|old| &old.tls).filter(|old| **old == tls);
        self.tls = same.cloned().unwrap_or(tls);
    }

    /// Where it listens if its Gateway has these addresses.
    pub(super) fn addresses<'a>(
        &self,
        addresses: &'a [Option<IpAddr>],
    ) -> impl Iterator<Item = GatewayAddr> + use<'a> {
        let (port, transport) = (self.port, self.protocol.transport());
        addresses.iter().map(move |ip| GatewayAddr { ip: *ip, port, transport })
    }

    /// Is not served for this reason, which is told of one of its fields.
    pub(super) fn refuse(&mut self, field: &str, reason: Reason, message: String, problems: &mut Problems) {
        report::error(problems, format!("spec.listeners[{}].{field}", self.index), message);
        self.refused = Some(reason);
    }

    /// Whether another has its place.
    pub(super) fn is_conflicted(&self) -> bool {
        matches!(self.refused, Some(Reason::HostnameConflict | Reason::ProtocolConflict))
    }

    /// Why `Accepted` is false, if it is.
    pub(super) fn unaccepted(&self) -> Option<Reason> {
        self.refused.or(self.tls.refused)
    }

    /// Why `Programmed` is false, if it is.
    pub(super) fn unprogrammed(&self) -> Option<Reason> {
        let lacks_tls = self.protocol.terminates() && self.tls.server.is_none();
        self.unaccepted().or(lacks_tls.then_some(Reason::Invalid))
    }

    /// `conditions` of its status.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let conflict = self.refused.filter(|_| self.is_conflicted());
        let of = |kind, bad: Option<Reason>, good, when_bad| {
            let reason = bad.unwrap_or(good);
            Condition::new(kind, bad.is_some() == when_bad, reason)
        };
        let kinds = self.allowed.unknown_kinds.then_some(Reason::InvalidRouteKinds);
        vec![
            of("Accepted", self.unaccepted(), Reason::Accepted, false),
            of("Programmed", self.unprogrammed(), Reason::Programmed, false),
            of("ResolvedRefs", self.tls.unresolved.or(kinds), Reason::ResolvedRefs, false),
            of("Conflicted", conflict, Reason::NoConflicts, true),
        ]
    }
}
