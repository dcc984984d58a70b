//! Pipes: how many there are, whom they serve next, and when they are closed.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// The two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn pipes(max: usize) -> (Rc<Pipes>, Arc<Stats>) {
    let stats = Arc::<Stats>::default();
    (Pipes::new(max, &stats), stats)
}

async fn fill(pipes: &Rc<Pipes>, from: &TcpStream) -> Option<Pipe> {
    poll_fn(|context| pipes.poll_fill(from, context)).await.unwrap()
}

async fn send(pipe: &mut Pipe, to: &TcpStream) {
    while pipe.held() > 0 {
        poll_fn(|context| pipe.poll_send(to, context)).await.unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn bytes_and_the_end_come_out_as_they_went_in() {
    let ((mut client, near), (far, mut server)) = (pair().await, pair().await);
    let (pipes, stats) = pipes(1);
    let sent: Vec<u8> = (0..3 * PIPE_BYTES).map(|at| at.to_le_bytes()[at % 2]).collect();
    let client = async {
        client.write_all(&sent).await.unwrap();
        drop(client);
    };
    let proxy = async {
        loop {
            let mut pipe = fill(&pipes, &near).await.unwrap();
            if pipe.held() == 0 {
                break drop(far);
            }
            send(&mut pipe, &far).await;
        }
    };
    let mut got = Vec::new();
    let server = server.read_to_end(&mut got);
    let (.., read) = tokio::join!(client, proxy, server);
    read.unwrap();
    assert!(got == sent, "{} of {} bytes, or others", got.len(), sent.len());
    assert_eq!((stats.spliced_bytes.get(), stats.pipes_open.get()), (sent.len() as u64, 1));
}

#[tokio::test(flavor = "current_thread")]
async fn what_one_left_in_a_pipe_reaches_nobody() {
    let ((mut one, near), (mut other, next)) = (pair().await, pair().await);
    let ((far, mut server), (pipes, stats)) = (pair().await, pipes(1));
    one.write_all(b"secret").await.unwrap();
    let left = fill(&pipes, &near).await.unwrap();
    assert_eq!((left.held(), stats.pipes_open.get()), (6, 1));
    drop(left);
    assert_eq!(stats.pipes_open.get(), 0, "closed");
    other.write_all(b"hello").await.unwrap();
    let mut pipe = fill(&pipes, &next).await.unwrap();
    send(&mut pipe, &far).await;
    drop((pipe, far));
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"hello");
    assert_eq!(stats.pipes_open.get(), 1, "kept");
}

#[tokio::test(flavor = "current_thread")]
async fn a_writer_that_is_gone_is_an_error_and_no_signal() {
    let ((mut client, near), (far, server)) = (pair().await, pair().await);
    let (pipes, stats) = pipes(1);
    socket2::SockRef::from(&server).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(server);
    client.write_all(b"x").await.unwrap();
    let mut pipe = fill(&pipes, &near).await.unwrap();
    let error = poll_fn(|context| pipe.poll_send(&far, context)).await.unwrap_err();
    let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    assert!(gone.contains(&error.kind()), "{error}");
    drop(pipe);
    assert_eq!((stats.spliced_bytes.get(), stats.pipes_open.get()), (0, 0));
}

#[test]
fn there_are_no_more_than_the_limit_and_none_that_is_not_used() {
    let (pipes, stats) = pipes(3);
    let taken: Vec<Pipe> = (0..3).map(|_| pipes.take().unwrap()).collect();
    assert!(pipes.take().is_none());
    assert_eq!((stats.limit_pipes.get(), stats.pipes_open.get()), (1, 3));
    drop(taken);
    pipes.sweep();
    assert_eq!(stats.pipes_open.get(), 3, "they were in use since the last sweep");
    let two = [pipes.take(), pipes.take()];
    drop(two);
    pipes.sweep();
    assert_eq!(stats.pipes_open.get(), 2, "one was not");
    pipes.sweep();
    assert_eq!((stats.pipes_open.get(), stats.limit_pipes.get()), (0, 1));
    assert!(Pipes::new(0, &stats).take().is_none());
}
