// The HTTP/2 backend behind every peer (cleartext, prior knowledge): answers each stream when the
// request ends, with 64 bytes or as a unary gRPC call, as cheaply as it can. It looks at frames
// (RFC 9113) and not into header blocks, because every answer is the same.
//
// usage: backend_h2 LISTEN_IP LISTEN_PORT plain|grpc

#include "server.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { FRAME_HEAD = 9, PREFACE_BYTES = 24, FRAME_MAX = 16384, STREAMS_MAX = 1024, BODY_BYTES = 64 };
enum { WINDOW_START = 65535, WINDOW_REFILL = 32768 };

struct connection {
    int preface_seen;
    // What came and is not handled yet.
    unsigned char in[BUFFER_BYTES];
    size_t in_bytes;
    // What may be sent on the connection; answers that wait for more of it, by stream.
    long window;
    unsigned waiting[STREAMS_MAX];
    size_t waits;
    // Bytes of bodies that were not credited back yet.
    size_t received;
};

static struct connection *connections[FD_MAX];
static unsigned char out[2 * BUFFER_BYTES];
static size_t out_bytes;
static int grpc;

// :status 200 is entry 8 of the static table; the names of the others are content-length (28) and
// content-type (31). Literals without indexing, so that the answer is the same every time.
static const unsigned char PLAIN_HEAD[] = "\x88\x0f\x0d\x02" "64" "\x0f\x10\x0a" "text/plain";
static const unsigned char GRPC_HEAD[] = "\x88\x0f\x10\x10" "application/grpc";
static const unsigned char GRPC_TRAILERS[] = "\x00\x0b" "grpc-status" "\x01" "0";
// One gRPC message: not compressed, its length, a protobuf with one string in field 1.
static const unsigned char GRPC_MESSAGE[] = "\x00\x00\x00\x00\x3b\x0a\x39";

static void frame(unsigned type, unsigned flags, unsigned stream, const void *payload, size_t bytes) {
    unsigned char *at = out + out_bytes;
    at[0] = (unsigned char)(bytes >> 16);
    at[1] = (unsigned char)(bytes >> 8);
    at[2] = (unsigned char)bytes;
    at[3] = (unsigned char)type;
    at[4] = (unsigned char)flags;
    unsigned id = htonl(stream);
    memcpy(at + 5, &id, 4);
    memcpy(at + FRAME_HEAD, payload, bytes);
    out_bytes += FRAME_HEAD + bytes;
}

static void answer(unsigned stream) {
    unsigned char body[BODY_BYTES];
    memset(body, 'a', sizeof body);
    if (!grpc) {
        frame(HEADERS, END_HEADERS, stream, PLAIN_HEAD, sizeof PLAIN_HEAD - 1);
        frame(DATA, END_STREAM, stream, body, sizeof body);
        return;
    }
    memcpy(body, GRPC_MESSAGE, sizeof GRPC_MESSAGE - 1);
    frame(HEADERS, END_HEADERS, stream, GRPC_HEAD, sizeof GRPC_HEAD - 1);
    frame(DATA, 0, stream, body, sizeof body);
    frame(HEADERS, END_HEADERS | END_STREAM, stream, GRPC_TRAILERS, sizeof GRPC_TRAILERS - 1);
}

static int flush(int fd) {
    int failed = write_all(fd, out, out_bytes);
    out_bytes = 0;
    return failed;
}

// Answers what the connection's window allows. Peers give each stream a window of far more than 64
// bytes, so that is not looked at.
static int answer_waiting(int fd, struct connection *c) {
    size_t done = 0;
    for (; done < c->waits && c->window >= BODY_BYTES; done++) {
        c->window -= BODY_BYTES;
        answer(c->waiting[done]);
        if (out_bytes > BUFFER_BYTES && flush(fd) < 0) return -1;
    }
    c->waits -= done;
    memmove(c->waiting, c->waiting + done, c->waits * sizeof *c->waiting);
    return 0;
}

static int handle(struct connection *c, const unsigned char *head, size_t bytes) {
    unsigned type = head[3], flags = head[4], word;
    memcpy(&word, head + 5, 4);
    unsigned stream = ntohl(word) & 0x7fffffff;
    const unsigned char *payload = head + FRAME_HEAD;
    if (type == SETTINGS && !(flags & ACK)) frame(SETTINGS, ACK, 0, "", 0);
    if (type == PING && !(flags & ACK) && bytes == 8) frame(PING, ACK, 0, payload, 8);
    if (type == WINDOW_UPDATE && stream == 0 && bytes == 4) {
        memcpy(&word, payload, 4);
        c->window += ntohl(word) & 0x7fffffff;
    }
    if (type == DATA) c->received += bytes;
    if (c->received >= WINDOW_REFILL) {
        word = htonl((unsigned)c->received);
        frame(WINDOW_UPDATE, 0, 0, &word, 4);
        c->received = 0;
    }
    if ((type == HEADERS || type == DATA) && (flags & END_STREAM)) {
        if (c->waits == STREAMS_MAX) return -1;
        c->waiting[c->waits++] = stream;
    }
    return 0;
}

// Handles the whole frames that came; -1 when the connection must go.
static int frames(int fd, struct connection *c) {
    size_t at = 0;
    if (!c->preface_seen) {
        if (c->in_bytes < PREFACE_BYTES) return 0;
        if (memcmp(c->in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE_BYTES) != 0) return -1;
        // SETTINGS_MAX_CONCURRENT_STREAMS (3).
        unsigned char streams[] = {0, 3, 0, 0, STREAMS_MAX >> 8, STREAMS_MAX & 0xff};
        frame(SETTINGS, 0, 0, streams, sizeof streams);
        c->preface_seen = 1;
        at = PREFACE_BYTES;
    }
    while (c->in_bytes - at >= FRAME_HEAD) {
        const unsigned char *head = c->in + at;
        size_t bytes = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (bytes > FRAME_MAX) return -1;
        if (c->in_bytes - at < FRAME_HEAD + bytes) break;
        if (handle(c, head, bytes) < 0) return -1;
        at += FRAME_HEAD + bytes;
        if (out_bytes > BUFFER_BYTES && flush(fd) < 0) return -1;
    }
    c->in_bytes -= at;
    memmove(c->in, c->in + at, c->in_bytes);
    if (answer_waiting(fd, c) < 0) return -1;
    return flush(fd);
}

static void opened(int epoll, int fd) {
    (void)epoll;
    if (!connections[fd]) connections[fd] = malloc(sizeof *connections[fd]);
    struct connection *c = connections[fd];
    if (!c) die("malloc");
    c->preface_seen = 0;
    c->in_bytes = c->waits = c->received = 0;
    c->window = WINDOW_START;
}

static void ready(int epoll, int fd) {
    (void)epoll;
    struct connection *c = connections[fd];
    ssize_t got = recv(fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
        c->in_bytes += (size_t)got;
        if (frames(fd, c) == 0) return;
    }
    out_bytes = 0;
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 4 || (strcmp(argv[3], "plain") && strcmp(argv[3], "grpc"))) {
        fprintf(stderr, "usage: backend_h2 LISTEN_IP LISTEN_PORT plain|grpc\n");
        return 2;
    }
    grpc = strcmp(argv[3], "grpc") == 0;
    serve(argv[1], argv[2], &(struct backend){opened, ready});
}
