// The HTTP/1.1 backend behind every peer: answers each request head with a body of so many bytes,
// as cheaply as it can, because it shares its core with the load. Requests have no body.
//
// usage: backend LISTEN_IP LISTEN_PORT BODY_BYTES

#include "server.h"

static const char HEAD_END[] = "\r\n\r\n";

// Head and body, and their length.
static char *answer;
static size_t answer_bytes;
// How much of HEAD_END each connection has seen at the end of what it sent.
static unsigned char matched[FD_MAX];
// What each connection is still to be sent: answers, less what was sent of the first.
static size_t owed[FD_MAX];
static char buffer[BUFFER_BYTES];

static size_t heads(int fd, ssize_t length) {
    size_t count = 0;
    unsigned char state = matched[fd];
    for (ssize_t i = 0; i < length; i++) {
        state = buffer[i] == HEAD_END[state] ? state + 1 : (buffer[i] == '\r' ? 1 : 0);
        if (state == 4) {
            count++;
            state = 0;
        }
    }
    matched[fd] = state;
    return count;
}

static void opened(int epoll, int fd) {
    (void)epoll;
    matched[fd] = 0;
    owed[fd] = 0;
}

static void ready(int epoll, int fd) {
    size_t waiting = owed[fd];
    if (waiting == 0) {
        ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            close(fd);
            return;
        }
        owed[fd] = heads(fd, got) * answer_bytes;
    }
    while (owed[fd] > 0) {
        size_t left = (owed[fd] - 1) % answer_bytes + 1;
        ssize_t sent = send(fd, answer + (answer_bytes - left), left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            // Nothing is read until this is written.
            if (waiting == 0) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
            return;
        }
        if (sent < 0) {
            close(fd);
            return;
        }
        owed[fd] -= (size_t)sent;
    }
    if (waiting > 0) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: backend LISTEN_IP LISTEN_PORT BODY_BYTES\n");
        return 2;
    }
    size_t body = (size_t)atol(argv[3]);
    answer = malloc(body + 256);
    if (!answer) die("malloc");
    int head = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    answer_bytes = (size_t)head + body;
    for (size_t i = 0; i < body; i++) answer[(size_t)head + i] = "0123456789abcde\n"[i % 16];
    serve(argv[1], argv[2], &(struct backend){opened, ready});
}
