/* What the load generator and the echo server share: frames (RFC 6455 §5.2) and the clock.
 *
 * What lives here: reading and writing headers of frames, and masking. This file does not know
 * about sockets. It trusts nobody further than a benchmark must: both ends are ours or checked.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { FIN = 0x80, RSV1 = 0x40, MASKED = 0x80, MAX_HEADER = 14 };

struct header {
    uint8_t first; /* FIN, RSV1 and the opcode */
    uint8_t masked;
    uint8_t key[4];
    uint64_t length;
};

/* Returns the octets of the header that `data` begins with, or 0 if more of them are needed. */
static inline size_t read_header(const uint8_t *data, size_t size, struct header *header)
{
    if (size < 2)
        return 0;
    unsigned length = data[1] & 0x7f;
    size_t at = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0);
    header->first = data[0];
    header->masked = data[1] & MASKED;
    size_t total = at + (header->masked ? 4 : 0);
    if (size < total)
        return 0;
    header->length = length;
    if (length > 125) {
        header->length = 0;
        for (size_t i = 2; i < at; i++)
            header->length = header->length << 8 | data[i];
    }
    if (header->masked)
        memcpy(header->key, data + at, 4);
    return total;
}

/* Writes a header, with the masking key or with NULL for none, and returns its octets. */
static inline size_t write_header(uint8_t *out, unsigned first, uint64_t length, const uint8_t *key)
{
    size_t at = 2, octets = length < 126 ? 0 : length < 65536 ? 2 : 8;
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)((octets == 0 ? length : octets == 2 ? 126 : 127) | (key ? MASKED : 0));
    while (octets--)
        out[at++] = (uint8_t)(length >> 8 * octets);
    if (key) {
        memcpy(out + at, key, 4);
        at += 4;
    }
    return at;
}

/* XORs `size` octets into `out`, which may be `in` or lie before it; `offset` is that of the first
 * of them in the payload. */
static inline void apply_mask(uint8_t *out, const uint8_t *in, size_t size, const uint8_t key[4],
                              uint64_t offset)
{
    uint8_t turned[8];
    uint64_t word, eight;
    for (unsigned i = 0; i < 8; i++)
        turned[i] = key[(offset + i) & 3];
    memcpy(&eight, turned, 8);
    while (size >= 8) {
        memcpy(&word, in, 8);
        word ^= eight;
        memcpy(out, &word, 8);
        in += 8, out += 8, size -= 8;
    }
    for (unsigned i = 0; i < size; i++)
        out[i] = in[i] ^ turned[i];
}

static inline uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

#endif
