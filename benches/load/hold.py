"""Opens connections one after the other, asks once on each, and holds them until it is ended.

usage: hold.py ADDRESS PORT http1|tls|http2|tls-http2 COUNT
Says "held" once every connection has had an answer of status 200.
"""

import signal
import socket
import ssl
import sys

REQUEST = b"GET /public HTTP/1.1\r\nHost: bench.test\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def read(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            sys.exit("closed before the answer")
        data += part
    return data


def ask_http1(connection):
    connection.sendall(REQUEST)
    data = b""
    while b"\r\n\r\n" not in data:
        data += read(connection, 1)
    if not data.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"answered {data[:40]!r}")
    lines = data.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    read(connection, length)


def ask_http2(connection, secure):
    # GET (2), https (7) or http (6), and literals without indexing for :authority (1) and :path (4).
    head = bytes([0x82, 0x87 if secure else 0x86]) + b"\x01\x0abench.test" + b"\x04\x07/public"
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, head))
    while True:
        start = read(connection, 9)
        kind, flags = start[3], start[4]
        payload = read(connection, int.from_bytes(start[:3], "big"))
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            connection.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            sys.exit("GOAWAY")
        elif kind == HEADERS and b"\x88" not in payload:
            # 8 of the static table is :status 200.
            sys.exit("not answered with 200")
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return


def main():
    address, port, protocol, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    secure, http2 = protocol.startswith("tls"), protocol.endswith("http2")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    held = []
    for _ in range(count):
        connection = socket.create_connection((address, port), timeout=10)
        # Without it, the request waits for the acknowledgement of the handshake's end.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            connection = context.wrap_socket(connection)
            if http2 and connection.selected_alpn_protocol() != "h2":
                sys.exit("no HTTP/2 by ALPN")
        if http2:
            ask_http2(connection, secure)
        else:
            ask_http1(connection)
        held.append(connection)
    print("held", flush=True)
    signal.pause()


main()
