//! One connection's TLS without its socket: what arrived goes in, what is to be sent comes out.
//!
//! Records are decrypted where they were received and encrypted to where they are sent from; a
//! session at rest holds no buffer.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{CommonState, ServerConfig};

use crate::client::ClientSetup;

/// Bytes that a record adds to what it carries, at most, in any version and cipher of ours.
const RECORD_OVERHEAD: usize = 64;
/// Bytes that a record carries at most (RFC 8446 §5.1).
const RECORD_MAX: usize = 16 * 1024;

/// Where what is to be sent goes.
pub trait Output {
    /// Room for at least so many bytes behind what is there.
    fn room(&mut self, least: usize) -> &mut [u8];
    /// So many of them have been written.
    fn advance(&mut self, count: usize);
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record's bytes have been handed over; there may be more.
    Record,
    /// More has to arrive.
    Wait,
    /// The other side has closed its direction in due form; nothing more is read.
    Closed,
    /// What was to be written is in the output.
    Written,
}

/// A step, and the bytes at the front of what arrived that are done with. They are to be dropped,
/// also when the step failed; what to send to say so is in the output.
#[derive(Debug)]
pub struct Stepped {
    /// Bytes to drop.
    pub consumed: usize,
    /// What it came to; an error is final.
    pub step: Result<Step, rustls::Error>,
}

/// See the module.
pub struct Session {
    side: Side,
    peer_closed: bool,
    /// What ended it.
    failed: Option<rustls::Error>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What to write.
#[derive(Clone, Copy)]
enum Write<'b> {
    Bytes(&'b [u8]),
    Close,
}

impl Session {
    /// The server's side of a new connection.
    ///
    /// # Errors
    /// The configuration is at odds with itself.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self::of(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The client's side of a new connection.
    ///
    /// # Errors
    /// The configuration is at odds with itself.
    pub fn client(setup: &ClientSetup) -> Result<Self, rustls::Error> {
        let (config, name) = (setup.config.clone(), setup.name.clone());
        Ok(Self::of(Side::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn of(side: Side) -> Self {
        Self { side, peer_closed: false, failed: None }
    }

    /// Takes what arrived, up to the end of the first record that carries something for us, which
    /// is handed to `plain`.
    pub fn read(
        &mut self,
        incoming: &mut [u8],
        output: &mut impl Output,
        plain: impl FnMut(&[u8]),
    ) -> Stepped {
        if self.peer_closed {
            // What follows the end is not looked at (RFC 8446 §6.1).
            return Stepped { consumed: incoming.len(), step: Ok(Step::Closed) };
        }
        self.run(incoming, output, plain, None)
    }

    /// Encrypts all of `bytes`. What arrived is taken first, however much that is: `plain` may be
    /// handed many records.
    pub fn write(
        &mut self,
        incoming: &mut [u8],
        bytes: &[u8],
        output: &mut impl Output,
        plain: impl FnMut(&[u8]),
    ) -> Stepped {
        self.run(incoming, output, plain, Some(Write::Bytes(bytes)))
    }

    /// Ends our direction.
    pub fn close(
        &mut self,
        incoming: &mut [u8],
        output: &mut impl Output,
        plain: impl FnMut(&[u8]),
    ) -> Stepped {
        self.run(incoming, output, plain, Some(Write::Close))
    }

    /// Whether application data cannot flow yet.
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether the other side has closed its direction in due form.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// The protocol agreed on (ALPN).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// Whether the handshake was that of a resumed session.
    pub fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    fn run(
        &mut self,
        incoming: &mut [u8],
        output: &mut impl Output,
        plain: impl FnMut(&[u8]),
        write: Option<Write<'_>>,
    ) -> Stepped {
        if let Some(error) = &self.failed {
            return Stepped { consumed: incoming.len(), step: Err(error.clone()) };
        }
        let mut run = Run { incoming, consumed: 0, output, plain, write, peer_closed: &mut self.peer_closed };
        let step = match &mut self.side {
            Side::Server(connection) => run.all(connection),
            Side::Client(connection) => run.all(connection),
        };
        let consumed = run.consumed;
        self.failed = step.as_ref().err().cloned();
        Stepped { consumed, step }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("peer_closed", &self.peer_closed).finish_non_exhaustive()
    }
}

/// One of rustls's two kinds of connection.
trait Connection {
    type Data;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    /// Whether the next step is one that has something to send, for sure.
    fn has_output(&self) -> bool;
}

impl Connection for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

impl Connection for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

/// Steps of a connection until there is something to tell.
struct Run<'r, O, P> {
    incoming: &'r mut [u8],
    consumed: usize,
    output: &'r mut O,
    plain: P,
    write: Option<Write<'r>>,
    peer_closed: &'r mut bool,
}

impl<O: Output, P: FnMut(&[u8])> Run<'_, O, P> {
    fn all<C: Connection>(&mut self, connection: &mut C) -> Result<Step, rustls::Error> {
        loop {
            match self.once(connection) {
                Ok(None) => {}
                Ok(Some(step)) => return Ok(step),
                Err(error) => {
                    self.alert(connection);
                    return Err(error);
                }
            }
        }
    }

    /// `None`: go on.
    fn once<C: Connection>(&mut self, connection: &mut C) -> Result<Option<Step>, rustls::Error> {
        let UnbufferedStatus { discard, state, .. } = connection.step(&mut self.incoming[self.consumed..]);
        self.consumed += discard;
        match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    self.consumed += record.discard;
                    (self.plain)(record.payload);
                }
                return Ok(self.write.is_none().then_some(Step::Record));
            }
            ConnectionState::EncodeTlsData(data) => encode(data, self.output)?,
            // It is as good as sent: the output keeps it until it is.
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => {
                *self.peer_closed = true;
                return Ok(self.write.is_none().then_some(Step::Closed));
            }
            ConnectionState::Closed => return Ok(Some(Step::Closed)),
            ConnectionState::WriteTraffic(traffic) => {
                let Some(write) = self.write else { return Ok(Some(Step::Wait)) };
                encrypt(traffic, write, self.output)?;
                return Ok(Some(Step::Written));
            }
            ConnectionState::BlockedHandshake if self.write.is_none() => return Ok(Some(Step::Wait)),
            // Early data is never accepted, and nothing is written before the handshake is done.
            _ => return Err(rustls::Error::HandshakeNotComplete),
        }
        Ok(None)
    }

    /// Puts the alert that goes with an error into the output.
    fn alert<C: Connection>(&mut self, connection: &mut C) {
        while connection.has_output() {
            let status = connection.step(&mut self.incoming[self.consumed..]);
            self.consumed += status.discard;
            let Ok(ConnectionState::EncodeTlsData(data)) = status.state else { return };
            if encode(data, self.output).is_err() {
                return;
            }
        }
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, output: &mut impl Output) -> Result<(), rustls::Error> {
    // Most messages of a handshake are smaller.
    let mut least = 2048;
    loop {
        match data.encode(output.room(least)) {
            Ok(count) => {
                output.advance(count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                least = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => return Ok(()),
        }
    }
}

fn encrypt<D>(
    mut traffic: WriteTraffic<'_, D>,
    write: Write<'_>,
    output: &mut impl Output,
) -> Result<(), rustls::Error> {
    let mut least = match write {
        Write::Bytes(bytes) => bytes.len() + bytes.len().div_ceil(RECORD_MAX) * RECORD_OVERHEAD,
        Write::Close => RECORD_OVERHEAD,
    };
    loop {
        let room = output.room(least);
        let written = match write {
            Write::Bytes(bytes) => traffic.encrypt(bytes, room),
            Write::Close => traffic.queue_close_notify(room),
        };
        match written {
            Ok(count) => {
                output.advance(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                least = required_size;
            }
            Err(EncryptError::EncryptExhausted) => return Err(rustls::Error::EncryptError),
        }
    }
}

#[cfg(test)]
mod tests;
