//! The question in the terms of a Snapshot: who, where to, and the request that is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use codec::path::{PathError, normalise};
use model::Snapshot;
use model::identity::{Identity, IdentityId};
use model::request::{HeaderView, HttpRequest};
use model::service::{Backend, Frontend, GatewayPort, Listener, ListenerProtocol};
use model::workload::{Protocol, Workload};

use crate::explain::{Args, name};

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) source: Source,
    pub(super) target: Target,
    pub(super) protocol: Protocol,
    pub(super) request: Request,
    /// Nothing was said of a request: it was made up in case one is needed.
    pub(super) is_assumed: bool,
}

/// Who connects.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As people call it.
    pub(super) name: String,
    /// Unknown for `outside`.
    pub(super) ip: Option<IpAddr>,
    pub(super) id: IdentityId,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) workload: Option<Arc<Workload>>,
}

/// What answers where the connection goes, found as the data plane finds it.
#[derive(Debug)]
pub(crate) struct Target {
    /// As people call it.
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) place: Place,
}

/// See [`Target`].
#[derive(Debug)]
pub(crate) enum Place {
    /// Gateway listeners.
    Gateway(Arc<GatewayPort>),
    /// A ClusterIP, of TCP or UDP.
    Service(Arc<Frontend>, Protocol, Option<Arc<Backend>>),
    /// An address as such: policed, never routed.
    Direct,
}

impl Place {
    /// What it answers on; `None` for whatever the address does.
    fn transport(&self) -> Option<Protocol> {
        match self {
            Self::Gateway(port) => {
                let is_udp = |listener: &Arc<Listener>| matches!(listener.protocol, ListenerProtocol::Udp(_));
                Some(if port.listeners.iter().any(is_udp) { Protocol::Udp } else { Protocol::Tcp })
            }
            Self::Service(_, transport, _) => Some(*transport),
            Self::Direct => None,
        }
    }
}

/// A request as it is at one point of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) method: String,
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// Lends the view that policy and routes see.
    pub(super) fn view<R>(&self, see: impl FnOnce(&HttpRequest<'_>) -> R) -> R {
        let headers: Vec<HeaderView<'_>> =
            self.headers.iter().map(|(name, value)| HeaderView { name, value }).collect();
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.target, None),
        };
        see(&HttpRequest {
            method: &self.method,
            authority: &self.authority,
            path,
            query,
            target: &self.target,
            headers: &headers,
        })
    }
}

/// Reads the question. The errors are for the user.
pub(super) fn read(snapshot: &Snapshot, args: &Args) -> Result<Question> {
    let mut source = name::source(snapshot, &args.from)?;
    let protocol = Protocol::from(args.protocol);
    let target = name::target(snapshot, &args.to, protocol)?;
    if let Some(only) = target.place.transport().filter(|only| *only != protocol) {
        bail!("{} answers on {only} only, not {protocol}", target.name);
    }
    if matches!(target.place, Place::Gateway(_)) && source.workload.is_none() {
        source.id = IdentityId::INGRESS;
        source.identity = snapshot.identities.get(&source.id).cloned();
    }
    let is_assumed =
        args.method.is_none() && args.path.is_none() && args.host.is_none() && args.headers.is_empty();
    ensure!(is_assumed || protocol == Protocol::Tcp, "a request needs --protocol tcp");
    let request = request(args, target.address)?;
    Ok(Question { source, target, protocol, request, is_assumed })
}

fn request(args: &Args, dialled: SocketAddr) -> Result<Request> {
    let method = args.method.clone().unwrap_or_else(|| "GET".into());
    ensure!(!method.is_empty() && method.bytes().all(is_token), "--method {method:?} is no HTTP method");
    let authority = match &args.host {
        Some(host) => host.clone(),
        None if dialled.port() == 80 && dialled.is_ipv4() => dialled.ip().to_string(),
        None if dialled.port() == 80 => format!("[{}]", dialled.ip()),
        None => dialled.to_string(),
    };
    ensure!(authority.bytes().all(|b| b.is_ascii_graphic()), "--host {authority:?} is no host");
    let raw = args.path.as_deref().unwrap_or("/");
    ensure!(raw.starts_with('/'), "--path {raw:?}: a path begins with `/`, as in \"/{raw}\"");
    let target = match normalise(raw) {
        Ok(normalised) => normalised.target().to_owned(),
        Err(PathError::RedirectTo(location)) => bail!(
            "--path {raw:?}: every such request is answered with 307 to {location}; ask about that path"
        ),
        Err(error) => {
            bail!("--path {raw:?}: every such request is answered with {}: {error}", error.status())
        }
    };
    let mut headers = vec![("host".to_owned(), authority.clone().into_bytes())];
    for header in &args.headers {
        let (name, value) =
            header.split_once(':').with_context(|| format!("--header {header:?} has no colon"))?;
        ensure!(!name.is_empty() && name.bytes().all(is_token), "--header {header:?} has no field name");
        ensure!(!name.eq_ignore_ascii_case("host"), "--header {header:?}: use --host");
        headers.push((name.to_owned(), value.trim().as_bytes().to_vec()));
    }
    Ok(Request { method, authority, target, headers })
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
