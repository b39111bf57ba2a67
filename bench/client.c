/* One connection of the load generator, from TCP to whole messages.
 *
 * What lives here: connecting, the opening handshake, sending frames of the ring, finding the
 * messages in what comes back, answering Pings, closing. This file does not know what is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "load.h"

enum { READ = 256 * 1024, SLICES = 64, SOURCES = 64 };

/* The example of RFC 6455 §1.3: a constant key has a constant answer. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

int epoll;
struct client *clients;
uint64_t octets_received;
static uint8_t buffer[MAX_HEADER + READ + 1];

static void watch(struct client *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event))
        die("load: epoll_ctl: %s", strerror(errno));
}

/* Returns whether the request could be sent, which tells that TCP is connected. */
static bool send_request(struct client *c)
{
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY
                        "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                        options.path, options.host, options.port,
                        options.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                          "client_max_window_bits\r\n"
                                        : "");
    ssize_t sent = send(c->fd, request, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN)
        return false;
    if (sent != size)
        die("load: connection %u: request not sent: %s", c->number, strerror(errno));
    c->state = UPGRADING;
    return true;
}

/* Connects from one of several loopback addresses: one alone has too few ports for handshakes
 * by the ten thousand. */
static void connect_socket(struct client *c)
{
    int yes = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, options.host, &to.sin_addr) != 1)
        die("load: not an IPv4 address: %s", options.host);
    if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0)
        die("load: connection %u: %s", c->number, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if ((ntohl(to.sin_addr.s_addr) >> 24) == 127) {
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->number % SOURCES);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from))
            die("load: bind: %s", strerror(errno));
    }
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("load: connection %u: %s", c->number, strerror(errno));
    c->state = CONNECTING;
    watch(c, EPOLL_CTL_ADD, send_request(c) ? EPOLLIN : EPOLLOUT);
}

void start(struct client *c, unsigned number)
{
    memset(c, 0, sizeof *c);
    c->number = number;
    c->sent = calloc(options.in_flight, sizeof *c->sent);
    connect_socket(c);
}

void restart(struct client *c)
{
    uint64_t *sent = c->sent;
    unsigned number = c->number;
    close(c->fd);
    memset(c, 0, sizeof *c);
    c->number = number;
    c->sent = sent;
    connect_socket(c);
}

/* Makes the frames when the first server has answered: compression depends on what it said. */
static void agree(const char *response)
{
    static char agreed[256];
    const char *extensions = strcasestr(response, "\r\nsec-websocket-extensions:");
    const char *end = extensions ? strstr(extensions + 2, "\r\n") : NULL;
    char answer[256] = "";
    if (extensions)
        snprintf(answer, sizeof answer, "%.*s", (int)(end - extensions - 27), extensions + 27);
    if (options.deflate && !strstr(answer, "permessage-deflate"))
        die("load: the server does not agree to permessage-deflate");
    if (!options.deflate && extensions)
        die("load: the server chose an extension that was not offered:%s", answer);
    if (ring.frames) {
        if (strcmp(agreed, answer))
            die("load: the server answers one offer in two ways:%s and%s", agreed, answer);
        return;
    }
    strcpy(agreed, answer);
    const char *bits = strstr(answer, "client_max_window_bits=");
    int window = bits ? atoi(bits + 23) : 15;
    make_frames(options.binary, options.deflate, window < 9 ? 9 : window,
                !strstr(answer, "client_no_context_takeover"));
}

static void read_response(struct client *c)
{
    char *text = (char *)buffer;
    ssize_t got = recv(c->fd, text, READ, MSG_PEEK);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("load: connection %u ended in the opening handshake", c->number);
    text[got] = 0;
    char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return;
    end[2] = 0;
    if (strncmp(text, "HTTP/1.1 101 ", 13) || !strstr(text, ACCEPT))
        die("load: connection %u: no upgrade, but: %s", c->number, text);
    agree(text);
    recv(c->fd, buffer, (size_t)(end + 4 - text), 0);
    c->state = OPEN;
}

void advance(struct client *c, uint32_t events)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (c->state == UPGRADING) {
        read_response(c);
    } else if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            die("load: connection %u: %s", c->number, strerror(error));
        if (send_request(c))
            watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* Sending */

void queue(struct client *c, unsigned count)
{
    uint64_t now = nanoseconds(CLOCK_MONOTONIC);
    while (count--) {
        c->out_left += ring.start[c->next + 1] - ring.start[c->next];
        c->next = c->next + 1 == ring.count ? 0 : c->next + 1;
        unsigned slot = c->sent_first + c->sent_count++;
        c->sent[slot < options.in_flight ? slot : slot - options.in_flight] = now;
    }
}

void flush(struct client *c)
{
    size_t total = ring.start[ring.count];
    while (c->out_left) {
        struct iovec slices[SLICES];
        size_t at = c->out_at, left = c->out_left;
        int count = 0;
        for (; left && count < SLICES; count++) {
            size_t size = left < total - at ? left : total - at;
            slices[count] = (struct iovec){ring.frames + at, size};
            left -= size;
            at = 0;
        }
        ssize_t sent = count == 1 ? send(c->fd, slices[0].iov_base, slices[0].iov_len, MSG_NOSIGNAL)
                                  : writev(c->fd, slices, count);
        if (sent < 0) {
            if (errno != EAGAIN)
                die("load: connection %u: %s", c->number, strerror(errno));
            break;
        }
        c->out_left -= (size_t)sent;
        c->out_at = (c->out_at + (size_t)sent) % total;
    }
    if (c->writing != (c->out_left > 0)) {
        c->writing = c->out_left > 0;
        watch(c, EPOLL_CTL_MOD, c->writing ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* A control frame goes between two messages; there is no such place while one is half written. */
static void send_control(struct client *c, unsigned opcode, const uint8_t *payload, size_t size)
{
    uint8_t frame[MAX_HEADER + 125];
    const uint8_t key[4] = {0x64, 0x55, 0x76, 0x92};
    if (c->out_left)
        return;
    size_t octets = write_header(frame, FIN | opcode, size, key);
    apply_mask(frame + octets, payload, size, key, 0);
    if (send(c->fd, frame, octets + size, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        die("load: connection %u: %s", c->number, strerror(errno));
}

void send_close(struct client *c)
{
    send_control(c, CLOSE, (const uint8_t *)"\x03\xe8", 2);
    c->state = CLOSING;
}

bool receive_close(struct client *c)
{
    ssize_t got = recv(c->fd, buffer, READ, 0);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

/* Receiving */

static void check_payload(struct client *c, uint8_t *data, size_t size)
{
    if (c->masked) /* a TCP echo sends back what it got */
        apply_mask(data, data, size, c->key, c->at);
    if (c->compressed && !c->inflater)
        c->inflater = new_inflater();
    check_part(c->inflater, c->expected, &c->checked, data, size, c->compressed);
}

static void begin_frame(struct client *c, const struct header *header)
{
    c->opcode = header->first & 15;
    c->left = header->length;
    c->at = 0;
    c->masked = header->masked;
    memcpy(c->key, header->key, 4);
    if (c->opcode >= CLOSE) {
        if (c->left > 125)
            die("load: control frame of %llu octets", (unsigned long long)c->left);
        return;
    }
    c->fin_seen = header->first & FIN;
    if (c->opcode != CONTINUATION) {
        if (c->opcode != (options.binary ? BINARY : TEXT))
            die("load: a frame with opcode %u came back", c->opcode);
        c->compressed = header->first & RSV1;
        c->message_size = 0;
        c->checked = 0;
    }
    c->message_size += c->left;
}

/* Returns 1 for the end of a message. */
static unsigned end_frame(struct client *c)
{
    if (c->opcode == PING)
        send_control(c, PONG, c->control, (size_t)c->at);
    if (c->opcode == CLOSE)
        die("load: the server closed connection %u with code %u", c->number,
            c->at < 2 ? 1005 : c->control[0] << 8 | c->control[1]);
    if (c->opcode >= CLOSE || !c->fin_seen)
        return 0;
    if (!c->compressed && c->message_size != ring.plain_size[c->expected])
        die("load: a message of %llu octets came back, not %zu",
            (unsigned long long)c->message_size, ring.plain_size[c->expected]);
    if (c->checking)
        check_end(c->inflater, c->expected, c->checked, c->compressed);
    c->expected = c->expected + 1 == ring.count ? 0 : c->expected + 1;
    c->received++;
    return 1;
}

unsigned receive(struct client *c)
{
    uint8_t *data = buffer + MAX_HEADER - c->stashed;
    unsigned messages = 0;
    ssize_t got = recv(c->fd, buffer + MAX_HEADER, READ, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        die("load: the server dropped connection %u: %s", c->number,
            got ? strerror(errno) : "end of stream");
    octets_received += (uint64_t)got;
    uint8_t *end = buffer + MAX_HEADER + got;
    memcpy(data, c->stash, c->stashed);
    c->stashed = 0;
    while (data < end) {
        if (!c->left) {
            struct header header = {0};
            size_t octets = read_header(data, (size_t)(end - data), &header);
            if (!octets) {
                c->stashed = (uint8_t)(end - data);
                memcpy(c->stash, data, c->stashed);
                break;
            }
            data += octets;
            begin_frame(c, &header);
        }
        size_t some = (size_t)(end - data) < c->left ? (size_t)(end - data) : c->left;
        if (c->opcode >= CLOSE) {
            memcpy(c->control + c->at, data, some);
            if (c->masked)
                apply_mask(c->control + c->at, data, some, c->key, c->at);
        } else if (c->checking) {
            check_payload(c, data, some);
        }
        data += some;
        c->left -= some, c->at += some;
        if (!c->left)
            messages += end_frame(c);
    }
    return messages;
}
