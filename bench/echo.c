/* The smallest WebSocket server that there can be, in C: the limit row of the tables.
 *
 *     echo PORT ws            each message goes back to where it came from
 *     echo PORT broadcast     each message goes to every connection
 *     echo PORT raw           TCP alone: octets go back, but for the opening handshake's
 *
 * What lives here: one epoll loop, one recv and one send per read. Messages are unmasked and their
 * headers rewritten where they lie, as they arrive; nothing is stored, nothing is checked. It shows
 * what a server costs that does nothing, and what the load generator can reach. It accepts
 * permessage-deflate, and sends what was compressed back as it is: the generator's ceiling there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

enum { READ = 256 * 1024, EVENTS = 256 };

struct connection {
    int fd;
    int open;           /* the opening handshake is done */
    int closing;        /* close once everything is written */
    uint64_t left;      /* octets of the current payload that are to come */
    uint64_t offset;    /* octets of it that have come */
    struct header header;
    uint8_t stash[MAX_HEADER]; /* a part of a header */
    size_t stashed;
    uint8_t *unsent;    /* what the socket did not take */
    size_t unsent_size;
    size_t index;       /* in `connections` */
};

static enum { WS, BROADCAST, RAW } mode;
static int epoll;
static struct connection **connections;
static size_t connected, allocated;
static uint8_t buffer[MAX_HEADER + READ];

/* SHA-1 (RFC 3174) of one short text, for Sec-WebSocket-Accept. */
static uint32_t rotate(uint32_t word, unsigned bits) { return word << bits | word >> (32 - bits); }

static void sha1(const uint8_t *text, size_t size, uint8_t digest[20])
{
    uint8_t padded[128] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
    size_t total = size < 56 ? 64 : 128;
    memcpy(padded, text, size);
    padded[size] = 0x80;
    for (unsigned i = 0; i < 4; i++)
        padded[total - 1 - i] = (uint8_t)(size * 8 >> 8 * i);
    for (uint8_t *block = padded; block < padded + total; block += 64) {
        for (unsigned i = 0; i < 80; i++)
            w[i] = i < 16 ? (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                                (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3]
                          : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (unsigned i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
            f += rotate(a, 5) + e + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = f;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (unsigned i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void accept_value(const char *key, char accept[29])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[61];
    uint8_t digest[21] = {0};
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1((uint8_t *)text, 60, digest);
    for (unsigned i = 0; i < 7; i++) {
        uint32_t three =
            (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (unsigned j = 0; j < 4; j++)
            accept[4 * i + j] = alphabet[three >> (18 - 6 * j) & 63];
    }
    accept[27] = '=';
    accept[28] = 0;
}

static void drop(struct connection *c)
{
    close(c->fd);
    connections[c->index] = connections[--connected];
    connections[c->index]->index = c->index;
    free(c->unsent);
    free(c);
}

static void watch(struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* Sends, or keeps what the socket does not take; then reads no more until it has. */
static void deliver(struct connection *c, const uint8_t *data, size_t size)
{
    ssize_t sent = 0;
    if (!c->unsent_size) {
        sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0)
            sent = errno == EAGAIN ? 0 : (ssize_t)size; /* what is gone is found out by reading */
    }
    if ((size_t)sent < size) {
        size_t rest = size - (size_t)sent;
        c->unsent = realloc(c->unsent, c->unsent_size + rest);
        memcpy(c->unsent + c->unsent_size, data + sent, rest);
        c->unsent_size += rest;
        watch(c, EPOLLOUT);
    }
}

static void writable(struct connection *c)
{
    ssize_t sent = send(c->fd, c->unsent, c->unsent_size, MSG_NOSIGNAL);
    if (sent < 0)
        return;
    c->unsent_size -= (size_t)sent;
    memmove(c->unsent, c->unsent + sent, c->unsent_size);
    if (!c->unsent_size)
        watch(c, EPOLLIN);
}

/* Answers a request once all of it has come; until then it stays in the socket. */
static void handshake(struct connection *c)
{
    char accept[29], answer[512], *text = (char *)buffer;
    ssize_t got = recv(c->fd, text, READ, MSG_PEEK);
    if (got <= 0) {
        drop(c);
        return;
    }
    text[got] = 0;
    char *end = strstr(text, "\r\n\r\n"), *key = strcasestr(text, "sec-websocket-key:");
    if (!end)
        return;
    if (!key)
        die("echo: no Sec-WebSocket-Key in the request");
    recv(c->fd, text, (size_t)(end + 4 - text), 0);
    for (key += 18; *key == ' '; key++)
        ;
    accept_value(key, accept);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                        accept,
                        strcasestr(text, "permessage-deflate")
                            ? "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                            : "");
    c->open = 1;
    deliver(c, (uint8_t *)answer, (size_t)size);
}

/* Turns a client's frames into a server's, in place, and returns the octets of the result. */
static size_t rewrite(struct connection *c, uint8_t *data, size_t size)
{
    uint8_t *in = data, *out = data, *end = data + size;
    while (in < end) {
        if (!c->left) {
            size_t octets = read_header(in, (size_t)(end - in), &c->header);
            if (!octets) {
                c->stashed = (size_t)(end - in);
                memcpy(c->stash, in, c->stashed);
                break;
            }
            in += octets;
            c->left = c->header.length;
            c->offset = 0;
            if ((c->header.first & 15) == PING)
                c->header.first = FIN | PONG;
            else if ((c->header.first & 15) == CLOSE)
                c->closing = 1;
            out += write_header(out, c->header.first, c->left, NULL);
        }
        size_t some = (size_t)(end - in) < c->left ? (size_t)(end - in) : c->left;
        apply_mask(out, in, some, c->header.key, c->offset);
        in += some, out += some;
        c->left -= some, c->offset += some;
    }
    return (size_t)(out - data);
}

static void readable(struct connection *c)
{
    if (!c->open) {
        handshake(c);
        return;
    }
    size_t stashed = c->stashed;
    uint8_t *data = buffer + MAX_HEADER - stashed;
    ssize_t got = recv(c->fd, buffer + MAX_HEADER, READ, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(c);
        return;
    }
    memcpy(data, c->stash, stashed);
    c->stashed = 0;
    size_t size = stashed + (size_t)got;
    if (mode != RAW)
        size = rewrite(c, data, size);
    if (mode == BROADCAST && !c->closing) {
        for (size_t i = 0; i < connected; i++)
            deliver(connections[i], data, size);
    } else if (size) {
        deliver(c, data, size);
    }
    if (c->closing && !c->unsent_size)
        drop(c);
}

static void welcome(int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->index = connected;
        if (connected == allocated) {
            allocated = allocated * 2 + 64;
            connections = realloc(connections, allocated * sizeof *connections);
        }
        connections[connected++] = c;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments)
{
    if (count != 3)
        die("usage: echo PORT ws|broadcast|raw");
    if (!strcmp(arguments[2], "ws"))
        mode = WS;
    else if (!strcmp(arguments[2], "broadcast"))
        mode = BROADCAST;
    else if (!strcmp(arguments[2], "raw"))
        mode = RAW;
    else
        die("echo: no such mode: %s", arguments[2]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(arguments[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        die("echo: cannot listen on port %s: %s", arguments[1], strerror(errno));
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                welcome(listener);
            else if (events[i].events & EPOLLOUT)
                writable(c);
            else
                readable(c);
        }
    }
}
