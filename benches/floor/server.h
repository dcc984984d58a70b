// What the backends share: a listener, an epoll loop on one thread, and writes that wait.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FD_MAX = 65536, EVENTS_MAX = 256, BUFFER_BYTES = 65536, WRITE_WAIT_MS = 10000 };

// What a backend does on a new connection, and when a connection can be read (or written to, if it
// asked for that); it closes the descriptor itself.
struct backend {
    void (*opened)(int epoll, int fd);
    void (*ready)(int epoll, int fd);
};

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void watch(int epoll, int operation, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll_ctl");
}

static inline int listen_at(const char *ip, const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    if (inet_pton(AF_INET, ip, &at.sin_addr) != 1) {
        fprintf(stderr, "%s is not an IPv4 address\n", ip);
        exit(2);
    }
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) die("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) die("SO_REUSEADDR");
    if (bind(listener, (void *)&at, sizeof at) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    return listener;
}

static inline void accept_one(int epoll, int listener, const struct backend *backend) {
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= FD_MAX) {
        close(fd);
        return;
    }
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) die("TCP_NODELAY");
    watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    backend->opened(epoll, fd);
}

static inline void serve(const char *ip, const char *port, const struct backend *backend) {
    int listener = listen_at(ip, port), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) {
                accept_one(epoll, listener, backend);
            } else {
                backend->ready(epoll, events[i].data.fd);
            }
        }
    }
}

// Writes everything; 0, or -1 when the connection is gone.
static inline int write_all(int fd, const void *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, WRITE_WAIT_MS) <= 0) return -1;
            continue;
        }
        if (sent < 0) return -1;
        data = (const char *)data + sent;
        length -= (size_t)sent;
    }
    return 0;
}
