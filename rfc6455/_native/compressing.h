/* RFC 1951, the way in: messages to blocks, as small as zlib's at its level 1.
 *
 * What lives here: the choice of a block's type, the description of its codes, and the bits. This file
 * does not know how repetitions are found, nor about Python's objects or frames.
 */

#ifndef RFC6455_COMPRESSING_H
#define RFC6455_COMPRESSING_H

#include "makingcodes.h"
#include "repetitions.h"

enum {
    MORE_IN_BLOCK = 16, /* what a block may take beyond its bytes, rounded up */
};

/* As `make_codes` finds them. */
typedef struct {
    uint32_t literals[FIXED_LITERALS];
    uint32_t distances[DISTANCES];
} Codes;

typedef struct {
    unsigned char *next;
    uint64_t bits;
    int count;
} Writer;

static Codes fixed_codes;

/* Bits */

static inline void
put(Writer *writer, uint32_t bits, int count)
{
    writer->bits |= (uint64_t)bits << writer->count;
    writer->count += count;
}

static inline void
put_code(Writer *writer, uint32_t code)
{
    put(writer, code & 0xFFFF, (int)(code >> 16));
}

/* Writes whole octets, so that less than 8 bits are left. */
static inline void
put_down(Writer *writer)
{
    store_64(writer->next, writer->bits);
    writer->next += writer->count >> 3;
    writer->bits >>= writer->count & ~7;
    writer->count &= 7;
}

static void
pad(Writer *writer)
{
    writer->count = (writer->count + 7) & ~7;
    put_down(writer);
}

/* Blocks */

/* The code lengths of a block, themselves in symbols: section 3.2.7. */
typedef struct {
    uint8_t symbols[LITERALS + DISTANCES];
    uint8_t repeats[LITERALS + DISTANCES]; /* the value of the extra bits */
    unsigned count;
    int literals;
    int distances;
    int lengths; /* how many of LENGTH_ORDER are sent */
    uint32_t codes[LENGTH_SYMBOLS];
} Lengths;

static const uint8_t REPEAT_EXTRA[3] = {2, 3, 7};

static int
count_used(const uint32_t *codes, int count)
{
    while (codes[count - 1] == 0)
        count--;
    return count;
}

/* Returns how many bits the description takes. */
static size_t
describe_lengths(Lengths *self, const Codes *codes)
{
    uint8_t all[LITERALS + DISTANCES];
    uint32_t counts[LENGTH_SYMBOLS] = {0};
    size_t bits;
    int size = 0;

    self->literals = count_used(codes->literals, LITERALS);
    self->distances = count_used(codes->distances, DISTANCES);
    for (int i = 0; i < self->literals; i++)
        all[size++] = (uint8_t)(codes->literals[i] >> 16);
    for (int i = 0; i < self->distances; i++)
        all[size++] = (uint8_t)(codes->distances[i] >> 16);
    self->count = 0;
    for (int i = 0; i < size;) {
        int run = 1, symbol = all[i], least = 1;

        while (i + run < size && all[i + run] == all[i])
            run++;
        if (symbol == 0 && run >= 3) {
            run = run < 138 ? run : 138;
            symbol = run < 11 ? 17 : 18;
            least = run < 11 ? 3 : 11;
        }
        else if (i > 0 && all[i - 1] == all[i] && run >= 3) {
            run = run < 6 ? run : 6;
            symbol = 16;
            least = 3;
        }
        else
            run = 1;
        self->symbols[self->count] = (uint8_t)symbol;
        self->repeats[self->count++] = (uint8_t)(run - least);
        counts[symbol]++;
        i += run;
    }
    bits = make_codes(counts, LENGTH_SYMBOLS, LONGEST_LENGTH_CODE, self->codes);
    self->lengths = LENGTH_SYMBOLS;
    while (self->codes[LENGTH_ORDER[self->lengths - 1]] == 0)
        self->lengths--;
    for (int i = 0; i < 3; i++)
        bits += (size_t)counts[16 + i] * REPEAT_EXTRA[i];
    return bits + 14 + 3 * (size_t)self->lengths;
}

static void
put_lengths(Writer *writer, const Lengths *self)
{
    put(writer, (uint32_t)self->literals - 257, 5);
    put(writer, (uint32_t)self->distances - 1, 5);
    put(writer, (uint32_t)self->lengths - 4, 4);
    put_down(writer);
    for (int i = 0; i < self->lengths; i++) {
        put(writer, self->codes[LENGTH_ORDER[i]] >> 16, 3);
        put_down(writer);
    }
    for (unsigned i = 0; i < self->count; i++) {
        int symbol = self->symbols[i];

        put_code(writer, self->codes[symbol]);
        if (symbol >= 16)
            put(writer, self->repeats[i], REPEAT_EXTRA[symbol - 16]);
        put_down(writer);
    }
}

/* The bits of a block with the fixed codes, but for those that are extra. */
static size_t
size_with_fixed_codes(const Workbench *bench)
{
    size_t bits = 0;

    for (int i = 0; i < 144; i++)
        bits += 8 * bench->literal_counts[i];
    for (int i = 144; i < 256; i++)
        bits += 9 * bench->literal_counts[i];
    for (int i = 256; i < LITERALS; i++)
        bits += (i < 280 ? 7 : 8) * bench->literal_counts[i];
    for (int i = 0; i < DISTANCES; i++)
        bits += 5 * bench->distance_counts[i];
    return bits;
}

static size_t
size_of_extra(const Workbench *bench)
{
    size_t bits = 0;

    for (int i = 0; i < LITERALS - FIRST_LENGTH; i++)
        bits += (size_t)bench->literal_counts[FIRST_LENGTH + i] * LENGTH_EXTRA[i];
    for (int i = 0; i < DISTANCES; i++)
        bits += (size_t)bench->distance_counts[i] * DISTANCE_EXTRA[i];
    return bits;
}

static void
put_sequences(Writer *writer, const Workbench *bench, const unsigned char *octets,
              const Codes *codes)
{
    Writer w = *writer;

    for (const Sequence *sequence = bench->sequences;; sequence++) {
        const unsigned char *end = octets + sequence->literals;
        unsigned symbol;

        for (; end - octets >= 3; octets += 3) {
            put_code(&w, codes->literals[octets[0]]);
            put_code(&w, codes->literals[octets[1]]);
            put_code(&w, codes->literals[octets[2]]);
            put_down(&w);
        }
        for (; octets < end; octets++) {
            put_code(&w, codes->literals[*octets]);
            put_down(&w);
        }
        if (sequence->length == 0)
            break;
        symbol = length_symbols[sequence->length];
        put_code(&w, codes->literals[FIRST_LENGTH + symbol]);
        put(&w, (uint32_t)sequence->length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol]);
        symbol = distance_symbol(sequence->distance);
        put_code(&w, codes->distances[symbol]);
        put(&w, (uint32_t)sequence->distance - DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol]);
        put_down(&w);
        octets += sequence->length;
    }
    put_code(&w, codes->literals[END_OF_BLOCK]);
    put_down(&w);
    *writer = w;
}

static void
put_stored(Writer *writer, const unsigned char *octets, unsigned size)
{
    put(writer, STORED << 1, 3);
    pad(writer);
    put(writer, size | (~size & 0xFFFF) << 16, 32);
    put_down(writer);
    memcpy(writer->next, octets, size);
    writer->next += size;
}

/* Writes the block of what `find_sequences` found, in the shortest of the three ways. */
static void
put_block(Writer *writer, const Workbench *bench, const unsigned char *octets, unsigned size)
{
    Codes codes;
    Lengths lengths;
    size_t extra = size_of_extra(bench), stored = 8 * ((size_t)size + 4) + 7, dynamic = extra;
    size_t fixed = extra + size_with_fixed_codes(bench);

    dynamic += make_codes(bench->literal_counts, LITERALS, LONGEST_CODE, codes.literals);
    dynamic += make_codes(bench->distance_counts, DISTANCES, LONGEST_CODE, codes.distances);
    dynamic += describe_lengths(&lengths, &codes);
    if (stored <= dynamic && stored <= fixed)
        put_stored(writer, octets, size);
    else if (fixed <= dynamic) {
        put(writer, FIXED << 1, 3);
        put_sequences(writer, bench, octets, &fixed_codes);
    }
    else {
        put(writer, DYNAMIC << 1, 3);
        put_lengths(writer, &lengths);
        put_sequences(writer, bench, octets, &codes);
    }
}

/* How many octets `compress` writes at most. */
static size_t
compressed_size(size_t size)
{
    return size + (size / PIECE + 2) * MORE_IN_BLOCK;
}

/* Compresses a message: whole octets, the last of which begins a stored block that is empty. Returns
 * how many they are. Each piece is copied first, so that nobody can change it meanwhile. */
static size_t
compress(Compressor *self, Workbench *bench, const unsigned char *octets, size_t size,
         unsigned char *out)
{
    Writer writer = {.next = out};
    unsigned reach = 1u << self->window_bits;

    while (size > 0) {
        unsigned piece = size < PIECE ? (unsigned)size : PIECE, end = self->filled + piece, dropped;

        memcpy(bench->octets, self->window, self->filled);
        memcpy(bench->octets + self->filled, octets, piece);
        find_sequences(self, bench, self->filled, end);
        put_block(&writer, bench, bench->octets + self->filled, piece);
        dropped = end > reach ? end - reach : 0;
        self->position += dropped;
        self->filled = end - dropped;
        memcpy(self->window, bench->octets + dropped, self->filled);
        octets += piece;
        size -= piece;
    }
    put(&writer, STORED << 1, 3);
    pad(&writer);
    return (size_t)(writer.next - out);
}

static void
set_code(uint32_t *codes, const uint8_t *lengths, int count)
{
    uint16_t counts[LONGEST_CODE + 1] = {0}, next[LONGEST_CODE + 1];

    for (int i = 0; i < count; i++)
        counts[lengths[i]]++;
    find_first_codes(counts, next);
    for (int i = 0; i < count; i++)
        codes[i] = (uint32_t)lengths[i] << 16 | reverse_bits(next[lengths[i]]++, lengths[i]);
}

/* Fills the tables that never change. */
static void
prepare_compressing(void)
{
    uint8_t literals[FIXED_LITERALS], distances[DISTANCES];

    prepare_symbols();
    set_fixed_lengths(literals, distances);
    set_code(fixed_codes.literals, literals, FIXED_LITERALS);
    set_code(fixed_codes.distances, distances, DISTANCES);
}

#endif
