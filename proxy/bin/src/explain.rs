//! `weir explain`: what would happen to a connection or request, step by step, decided by the same
//! functions as the data plane over the same Snapshot.
//!
//! ```text
//! names → question → judge (policy, route) → Explanation → text or JSON
//! ```

use clap::ValueEnum;
use model::Snapshot;
use model::workload::Protocol;

pub(crate) use answer::Explanation;

mod answer;
mod forward;
mod json;
mod judge;
pub(crate) mod name;
mod question;
mod text;
mod why;

/// The connection or request in question.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Who connects: a pod (NAMESPACE/NAME), an IP address, or `outside`.
    #[arg(long, value_name = "WHO")]
    pub(crate) from: String,

    /// Where to: a pod, a Service or a Gateway as NAMESPACE/NAME[:PORT], or IP:PORT. Write
    /// `pod:`, `service:` or `gateway:` before a name that several kinds have.
    #[arg(long, value_name = "WHERE")]
    pub(crate) to: String,

    /// Transport protocol.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub(crate) protocol: Transport,

    /// Method of the request.
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// Path of the request, with the query if it has one.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// Host of the request. Default: the address that is dialled.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// A header of the request; give it once for each.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
}

/// `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
            Transport::Sctp => Self::Sctp,
        }
    }
}

/// Answers the question over `snapshot`. Fails with a message for the user if a name in it means
/// nothing there, or a value is not what it should be.
pub(crate) fn run(snapshot: &Snapshot, args: &Args) -> anyhow::Result<Explanation> {
    let question = question::read(snapshot, args)?;
    Ok(judge::explain(snapshot, question))
}

#[cfg(test)]
mod tests;
