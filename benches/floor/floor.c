// The floor for a user-space proxy: a byte forwarder on epoll that parses nothing. Each client
// connection has one upstream connection; a request costs two reads and two writes.
//
// usage: floor LISTEN_IP LISTEN_PORT UPSTREAM_IP UPSTREAM_PORT

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FD_MAX = 65536, EVENTS_MAX = 256, BUFFER_BYTES = 65536 };

// The other side of each connection, by descriptor; 0: none.
static int other_side[FD_MAX];
static char buffer[BUFFER_BYTES];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *ip, const char *port) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    if (inet_pton(AF_INET, ip, &addr.sin_addr) != 1) {
        fprintf(stderr, "floor: %s is not an IPv4 address\n", ip);
        exit(2);
    }
    return addr;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) die("TCP_NODELAY");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void open_pair(int epoll, int listener, const struct sockaddr_in *upstream) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0) die("socket");
    if (client >= FD_MAX || server >= FD_MAX || connect(server, (const void *)upstream, sizeof *upstream) < 0) {
        close(client);
        close(server);
        return;
    }
    other_side[client] = server;
    other_side[server] = client;
    watch(epoll, client);
    watch(epoll, server);
}

// Closing both sides at once is enough for keep-alive load. A later event of this round for a side
// that is closed here finds no other side and is ignored.
static void close_pair(int fd) {
    int other = other_side[fd];
    other_side[fd] = other_side[other] = 0;
    close(other);
    close(fd);
}

static int write_all(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, 1000) <= 0) return -1;
            continue;
        }
        if (sent < 0) return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static void forward(int fd) {
    if (other_side[fd] == 0) return;
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || write_all(other_side[fd], buffer, (size_t)got) < 0) close_pair(fd);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: floor LISTEN_IP LISTEN_PORT UPSTREAM_IP UPSTREAM_PORT\n");
        return 2;
    }
    struct sockaddr_in listen_at = address(argv[1], argv[2]), upstream = address(argv[3], argv[4]);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) die("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) die("SO_REUSEADDR");
    if (bind(listener, (void *)&listen_at, sizeof listen_at) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS_MAX];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) {
                open_pair(epoll, listener, &upstream);
            } else {
                forward(events[i].data.fd);
            }
        }
    }
}
