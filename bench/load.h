/* The load generator's parts: what load.c (modes), client.c (connections) and ring.c (messages)
 * tell each other. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire.h"

struct options {
    const char *mode, *host, *path, *messages;
    int port, pid;
    unsigned connections, in_flight, interval_us;
    double warmup, seconds;
    bool binary, deflate;
};
extern struct options options;

/* ring.c: the messages as masked frames, one behind the other, sent round and round. */
struct ring {
    unsigned count;
    uint8_t **plain; /* the messages */
    size_t *plain_size;
    uint8_t *frames;
    size_t *start; /* of each frame; start[count] is the size of all */
};
extern struct ring ring;

void read_messages(const char *path);
void make_frames(bool binary, bool deflate, int window_bits, bool takeover);

struct inflater;
struct inflater *new_inflater(void);
void free_inflater(struct inflater *);
/* Compares a part of message `index`, or its end, with what was sent; dies where they differ. */
void check_part(struct inflater *, unsigned index, size_t *at, const uint8_t *data, size_t size,
                bool compressed);
void check_end(struct inflater *, unsigned index, size_t at, bool compressed);

/* client.c: connections, from TCP to whole messages. */
enum state { CONNECTING, UPGRADING, OPEN, CLOSING };

struct client {
    int fd;
    enum state state;
    unsigned number;
    bool writing, checking, fin_seen, compressed;
    uint8_t stash[MAX_HEADER];
    uint8_t stashed;
    uint8_t opcode; /* of the frame that is arriving */
    uint8_t control[125];
    uint64_t left, message_size;
    uint64_t at;       /* octets of the frame's payload that have arrived */
    size_t checked;    /* octets of the message that were compared */
    uint8_t key[4];
    bool masked;
    unsigned next;     /* frame of the ring to be queued next */
    unsigned expected; /* message of the ring that comes back next */
    size_t out_at, out_left;
    uint64_t received; /* messages */
    uint64_t *sent;    /* when those in flight were queued: a ring of in_flight */
    unsigned sent_first, sent_count;
    struct inflater *inflater;
};

void start(struct client *, unsigned number);
void restart(struct client *);
void advance(struct client *, uint32_t events); /* while it is not open */
unsigned receive(struct client *);              /* whole messages; dies at the end of the stream */
void queue(struct client *, unsigned count);
void flush(struct client *);
void send_close(struct client *);
bool receive_close(struct client *); /* whether the server has closed */
extern int epoll;
extern struct client *clients;
extern uint64_t octets_received; /* on open connections */

#endif
