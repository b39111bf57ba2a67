/* The messages of the load generator.
 *
 * What lives here: reading them from a file, one a line; their frames, masked and compressed before
 * anything is timed; and the comparison of what comes back. This file does not know about sockets.
 *
 * With context takeover all messages are one compressed stream, and yet it can be sent round and
 * round: the first message was compressed with nothing behind it and refers to itself alone, and
 * each later one refers to those between it and the first, which always precede it.
 */
#include <sys/random.h>
#include <zlib.h>

#include "load.h"

struct ring ring;

void read_messages(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *line = NULL;
    size_t allocated = 0;
    ssize_t size;
    if (!file)
        die("load: cannot read %s", path);
    while ((size = getline(&line, &allocated, file)) > 0) {
        if (line[size - 1] == '\n')
            size--;
        ring.plain = realloc(ring.plain, (ring.count + 1) * sizeof *ring.plain);
        ring.plain_size = realloc(ring.plain_size, (ring.count + 1) * sizeof *ring.plain_size);
        ring.plain[ring.count] = malloc((size_t)size + 1);
        memcpy(ring.plain[ring.count], line, (size_t)size);
        ring.plain_size[ring.count++] = (size_t)size;
    }
    free(line);
    fclose(file);
    if (!ring.count)
        die("load: no messages in %s", path);
}

/* Compresses one message (RFC 7692 §7.2.1) and returns its octets. */
static size_t compress_message(z_stream *stream, const uint8_t *in, size_t size, uint8_t *out,
                               size_t space)
{
    stream->next_in = (uint8_t *)in;
    stream->avail_in = (unsigned)size;
    stream->next_out = out;
    stream->avail_out = (unsigned)space;
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in || stream->avail_out < 8)
        die("load: zlib cannot compress");
    return (size_t)(stream->next_out - out) - 4;
}

void make_frames(bool binary, bool deflate, int window_bits, bool takeover)
{
    size_t total = 0, at = 0;
    for (unsigned i = 0; i < ring.count; i++)
        total += ring.plain_size[i] + ring.plain_size[i] / 100 + 64 + MAX_HEADER;
    ring.frames = malloc(total);
    ring.start = malloc((ring.count + 1) * sizeof *ring.start);
    uint8_t *keys = malloc(4 * ring.count), *packed = malloc(total);
    for (size_t got = 0; got < 4 * ring.count;) {
        ssize_t some = getrandom(keys + got, 4 * ring.count - got, 0);
        if (some < 0)
            die("load: no random numbers for the masking keys");
        got += (size_t)some;
    }
    z_stream stream = {0};
    if (deflate && deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -window_bits, 8,
                                Z_DEFAULT_STRATEGY) != Z_OK)
        die("load: zlib refuses a window of %d bits", window_bits);
    for (unsigned i = 0; i < ring.count; i++) {
        const uint8_t *payload = ring.plain[i];
        size_t size = ring.plain_size[i];
        unsigned first = FIN | (binary ? BINARY : TEXT);
        if (deflate) {
            size = compress_message(&stream, payload, size, packed, total);
            payload = packed;
            first |= RSV1;
            if (!takeover)
                deflateReset(&stream);
        }
        ring.start[i] = at;
        at += write_header(ring.frames + at, first, size, keys + 4 * i);
        apply_mask(ring.frames + at, payload, size, keys + 4 * i, 0);
        at += size;
    }
    ring.start[ring.count] = at;
    if (deflate)
        deflateEnd(&stream);
    free(keys);
    free(packed);
}

struct inflater {
    z_stream stream;
};

struct inflater *new_inflater(void)
{
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (inflateInit2(&inflater->stream, -15) != Z_OK)
        die("load: zlib has no memory");
    return inflater;
}

void free_inflater(struct inflater *inflater)
{
    if (inflater)
        inflateEnd(&inflater->stream);
    free(inflater);
}

static void compare(unsigned index, size_t *at, const uint8_t *data, size_t size)
{
    if (*at + size > ring.plain_size[index] || memcmp(ring.plain[index] + *at, data, size))
        die("load: another message came back than was sent (message %u, octet %zu)", index, *at);
    *at += size;
}

void check_part(struct inflater *inflater, unsigned index, size_t *at, const uint8_t *data,
                size_t size, bool compressed)
{
    if (!compressed) {
        compare(index, at, data, size);
        return;
    }
    static uint8_t out[64 * 1024];
    z_stream *stream = &inflater->stream;
    stream->next_in = (uint8_t *)data;
    stream->avail_in = (unsigned)size;
    do {
        stream->next_out = out;
        stream->avail_out = sizeof out;
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            die("load: what came back cannot be inflated (message %u)", index);
        compare(index, at, out, sizeof out - stream->avail_out);
    } while (stream->avail_in || !stream->avail_out);
}

void check_end(struct inflater *inflater, unsigned index, size_t at, bool compressed)
{
    if (compressed)
        check_part(inflater, index, &at, (const uint8_t *)"\x00\x00\xff\xff", 4, true);
    if (at != ring.plain_size[index])
        die("load: message %u came back as %zu octets, not %zu", index, at, ring.plain_size[index]);
}
