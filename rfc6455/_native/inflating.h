/* RFC 1951, the way out: the blocks of a whole message to what they hold.
 *
 * What lives here: messages that come whole and are as compressors make them. Whatever is rare or wrong
 * is left to zlib, with all that led to it untouched: this file finds no faults. No more comes out than
 * the limit. It does not know about Python's objects, but for the bytes that it fills.
 */

#ifndef RFC6455_INFLATING_H
#define RFC6455_INFLATING_H

#include "prefixcodes.h"

enum {
    LITERAL_BITS = 10, /* codes that are no longer are looked up in one step */
    DISTANCE_BITS = 8,
    LITERAL = 0x40, /* in the second octet of an entry, where others have their extra bits */
    END = 0x80,
    ENOUGH_BITS = 48, /* for a length and a distance */
    MARGIN = LONGEST_MATCH + 16,
};

typedef enum { INFLATED, UNUSUAL, TOO_LARGE, NO_MEMORY } Verdict;

typedef struct {
    const unsigned char *next;
    const unsigned char *end;
    uint64_t bits;
    int count; /* less than none where more were taken than there are */
} Reader;

/* What comes out, behind what came out before. */
typedef struct {
    PyObject *bytes;
    unsigned char *octets;
    size_t size;
    size_t capacity;
    size_t limit;
    const unsigned char *history;
    size_t history_size;
    size_t window;
} Output;

/* What begins with some bits: the length of the code, the number of extra bits or what it is, and from
 * bit 16 on a literal, or the base of a length or a distance. 0 where the code is longer or none. */
typedef struct {
    uint32_t entries[1 << LITERAL_BITS];
    int bits;
    uint16_t counts[LONGEST_CODE + 1];
    uint16_t symbols[FIXED_LITERALS]; /* in the order of their codes */
    int is_for_distances;
} Lookup;

typedef struct {
    Lookup literals;
    Lookup distances;
} Lookups;

static Lookups fixed_lookups;

/* Bits */

static inline void
refill(Reader *reader)
{
    if (reader->end - reader->next >= 8) {
        reader->bits |= load_64(reader->next) << reader->count;
        reader->next += (63 - reader->count) >> 3;
        reader->count |= 56;
    }
    else
        for (; reader->count <= 56 && reader->next < reader->end; reader->count += 8)
            reader->bits |= (uint64_t)*reader->next++ << reader->count;
}

static inline unsigned
take(Reader *reader, unsigned count)
{
    unsigned taken = (unsigned)reader->bits & ((1u << count) - 1);

    reader->bits >>= count;
    reader->count -= (int)count;
    return taken;
}

/* Codes */

static inline uint32_t
make_entry(const Lookup *self, unsigned symbol, int length)
{
    uint32_t code = (uint32_t)length;

    if (self->is_for_distances)
        return symbol >= DISTANCES ? 0
                                   : (uint32_t)DISTANCE_BASE[symbol] << 16 |
                                         (uint32_t)DISTANCE_EXTRA[symbol] << 8 | code;
    if (symbol < END_OF_BLOCK)
        return symbol << 16 | LITERAL << 8 | code;
    if (symbol == END_OF_BLOCK)
        return END << 8 | code;
    symbol -= FIRST_LENGTH;
    return symbol >= LITERALS - FIRST_LENGTH ? 0
                                             : (uint32_t)LENGTH_BASE[symbol] << 16 |
                                                   (uint32_t)LENGTH_EXTRA[symbol] << 8 | code;
}

/* Makes the lookup of codes with these lengths. Returns 0 where they are no complete code; a single
 * one or none are, of distances. */
static int
make_lookup(Lookup *self, const uint8_t *lengths, int count, int bits)
{
    uint16_t places[LONGEST_CODE + 2] = {0}, codes[LONGEST_CODE + 1];
    int left = 1, longest = 0;
    unsigned used;

    memset(self->counts, 0, sizeof self->counts);
    for (int i = 0; i < count; i++)
        self->counts[lengths[i]]++;
    self->counts[0] = 0;
    for (int length = 1; length <= LONGEST_CODE; length++) {
        left = 2 * left - self->counts[length];
        if (left < 0)
            return 0;
        if (self->counts[length])
            longest = length;
        places[length + 1] = (uint16_t)(places[length] + self->counts[length]);
    }
    used = places[LONGEST_CODE + 1];
    if (left > 0 && !(self->is_for_distances && longest <= 1))
        return 0;
    find_first_codes(self->counts, codes);
    for (int i = 0; i < count; i++)
        if (lengths[i])
            self->symbols[places[lengths[i]]++] = (uint16_t)i;
    self->bits = longest < bits ? longest : bits;
    self->entries[0] = 0;
    for (unsigned length = 1, i = 0; length <= (unsigned)self->bits; length++) {
        size_t half = (size_t)1 << (length - 1);

        memcpy(self->entries + half, self->entries, half * sizeof *self->entries);
        for (int k = 0; k < self->counts[length] && i < used; k++, i++)
            self->entries[reverse_bits(codes[length]++, (int)length)] =
                make_entry(self, self->symbols[i], (int)length);
    }
    return 1;
}

/* Finds a code that is longer than those that are looked up in one step; 0 where there is none. */
static uint32_t
find_long(const Lookup *self, uint64_t bits)
{
    unsigned code = 0, first = 0, index = 0;

    for (int length = 1; length <= LONGEST_CODE; length++) {
        unsigned count = self->counts[length];

        code |= bits & 1;
        bits >>= 1;
        if (code < first + count)
            return make_entry(self, self->symbols[index + code - first], length);
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return 0;
}

static inline uint32_t
look_up(const Lookup *self, uint64_t bits)
{
    uint32_t entry = self->entries[bits & ((1u << self->bits) - 1)];

    return entry ? entry : find_long(self, bits);
}

/* Section 3.2.7. Returns 0 where something is wrong. */
static int
read_lookups(Reader *reader, Lookups *lookups)
{
    uint8_t lengths[LITERALS + DISTANCES], code_lengths[LENGTH_SYMBOLS] = {0};
    uint16_t counts[LONGEST_CODE + 1] = {0}, codes[LONGEST_CODE + 1];
    uint8_t symbols[1 << LONGEST_LENGTH_CODE], bits[1 << LONGEST_LENGTH_CODE];
    int literals, distances, sent, left = 1;

    refill(reader);
    literals = (int)take(reader, 5) + 257;
    distances = (int)take(reader, 5) + 1;
    sent = (int)take(reader, 4) + 4;
    if (reader->count < 0 || literals > LITERALS || distances > DISTANCES)
        return 0;
    for (int i = 0; i < sent; i++) {
        refill(reader);
        code_lengths[LENGTH_ORDER[i]] = (uint8_t)take(reader, 3);
        counts[code_lengths[LENGTH_ORDER[i]]]++;
    }
    counts[0] = 0;
    for (int length = 1; length <= LONGEST_LENGTH_CODE; length++)
        if ((left = 2 * left - counts[length]) < 0)
            return 0;
    if (left != 0 || reader->count < 0)
        return 0;
    find_first_codes(counts, codes);
    for (int symbol = 0; symbol < LENGTH_SYMBOLS; symbol++) {
        int length = code_lengths[symbol];

        if (length == 0)
            continue;
        for (unsigned code = reverse_bits(codes[length]++, length);
             code < 1 << LONGEST_LENGTH_CODE; code += 1u << length) {
            symbols[code] = (uint8_t)symbol;
            bits[code] = (uint8_t)length;
        }
    }
    for (int i = 0; i < literals + distances;) {
        unsigned place, symbol, repeats = 1;
        uint8_t value = 0;

        refill(reader);
        place = (unsigned)reader->bits & ((1 << LONGEST_LENGTH_CODE) - 1);
        symbol = symbols[place];
        take(reader, bits[place]);
        if (symbol < 16)
            value = (uint8_t)symbol;
        else if (symbol == 16) {
            if (i == 0)
                return 0;
            value = lengths[i - 1];
            repeats = 3 + take(reader, 2);
        }
        else
            repeats = symbol == 17 ? 3 + take(reader, 3) : 11 + take(reader, 7);
        if (reader->count < 0 || (int)repeats > literals + distances - i)
            return 0;
        memset(lengths + i, value, repeats);
        i += (int)repeats;
    }
    lookups->literals.is_for_distances = 0;
    lookups->distances.is_for_distances = 1;
    return lengths[END_OF_BLOCK] && make_lookup(&lookups->literals, lengths, literals, LITERAL_BITS) &&
           make_lookup(&lookups->distances, lengths + literals, distances, DISTANCE_BITS);
}

/* What comes out */

/* Makes room for so many more octets, and a margin. */
static int
reserve(Output *out, size_t more)
{
    size_t wanted = out->size + more + MARGIN;

    if (wanted <= out->capacity)
        return 1;
    if (wanted < 2 * out->capacity)
        wanted = 2 * out->capacity;
    if (wanted > out->limit + MARGIN)
        wanted = out->limit + MARGIN;
    if (wanted > PY_SSIZE_T_MAX / 2 || _PyBytes_Resize(&out->bytes, (Py_ssize_t)wanted) < 0)
        return 0;
    out->octets = (unsigned char *)PyBytes_AS_STRING(out->bytes);
    out->capacity = wanted;
    return 1;
}

/* Repeats at `to` what stands so far back; there is room for it. */
static inline void
repeat(const Output *out, unsigned char *to, size_t distance, size_t length)
{
    unsigned char *end = to + length;
    size_t made = (size_t)(to - out->octets);
    const unsigned char *from;

    if (distance > made) {
        size_t before = distance - made, part = before < length ? before : length;

        memcpy(to, out->history + out->history_size - before, part);
        if (part == length)
            return;
        to += part;
    }
    from = to - distance;
    if (distance >= 8)
        for (; to < end; to += 8, from += 8)
            memcpy(to, from, 8);
    else
        while (to < end)
            *to++ = *from++;
}

static Verdict
inflate_codes(Reader *shared, const Lookups *lookups, Output *out)
{
    /* Of our own, so that the compiler knows that no octet which is stored changes them. */
    Reader reader = *shared;
    unsigned char *octets = out->octets, *to = octets + out->size;
    size_t left = out->limit - out->size, room = out->capacity - out->size;

    for (;;) {
        uint32_t entry;
        unsigned kind;
        size_t length, distance;

        if (reader.count < ENOUGH_BITS)
            refill(&reader);
        if (room < MARGIN) {
            out->size = (size_t)(to - octets);
            if (!reserve(out, 0))
                return NO_MEMORY;
            octets = out->octets;
            to = octets + out->size;
            room = out->capacity - out->size;
        }
        if ((entry = look_up(&lookups->literals, reader.bits)) == 0)
            return UNUSUAL;
        take(&reader, entry & 0xFF);
        if (reader.count < 0)
            return UNUSUAL;
        kind = entry >> 8 & 0xFF;
        if (kind == LITERAL) {
            if (left == 0)
                return TOO_LARGE;
            *to++ = (unsigned char)(entry >> 16);
            left--;
            room--;
            continue;
        }
        if (kind == END)
            break;
        length = (entry >> 16) + take(&reader, kind);
        if ((entry = look_up(&lookups->distances, reader.bits)) == 0)
            return UNUSUAL;
        take(&reader, entry & 0xFF);
        distance = (entry >> 16) + take(&reader, entry >> 8 & 0xFF);
        if (reader.count < 0 || distance > out->window ||
            distance > (size_t)(to - octets) + out->history_size)
            return UNUSUAL;
        if (length > left)
            return TOO_LARGE;
        repeat(out, to, distance, length);
        to += length;
        left -= length;
        room -= length;
    }
    out->size = (size_t)(to - octets);
    *shared = reader;
    return INFLATED;
}

/* Reads a stored block, behind its type. Sets `ended` where nothing follows: the message's last block,
 * whose rest no message carries (RFC 7692 section 7.2.1). */
static Verdict
inflate_stored(Reader *reader, Output *out, int *ended)
{
    size_t size;

    take(reader, (unsigned)reader->count & 7);
    reader->next -= reader->count >> 3;
    reader->bits = 0;
    reader->count = 0;
    *ended = reader->next == reader->end;
    if (*ended)
        return INFLATED;
    if (reader->end - reader->next < 4)
        return UNUSUAL;
    size = (size_t)(reader->next[0] | reader->next[1] << 8);
    if (size != ((size_t)(reader->next[2] | reader->next[3] << 8) ^ 0xFFFF))
        return UNUSUAL;
    reader->next += 4;
    if (size > (size_t)(reader->end - reader->next))
        return UNUSUAL;
    if (size > out->limit - out->size)
        return TOO_LARGE;
    if (!reserve(out, size))
        return NO_MEMORY;
    memcpy(out->octets + out->size, reader->next, size);
    out->size += size;
    reader->next += size;
    return INFLATED;
}

/* Inflates a whole message, less its tail. */
static Verdict
inflate_message(const unsigned char *payload, size_t size, Output *out)
{
    Reader reader = {.next = payload, .end = payload + size};
    Lookups lookups;
    Verdict verdict = INFLATED;
    int ended = 0;

    while (verdict == INFLATED && !ended) {
        unsigned is_final, type;

        refill(&reader);
        is_final = take(&reader, 1);
        type = take(&reader, 2);
        if (reader.count < 0 || is_final)
            return UNUSUAL;
        if (type == STORED)
            verdict = inflate_stored(&reader, out, &ended);
        else if (type == FIXED)
            verdict = inflate_codes(&reader, &fixed_lookups, out);
        else if (type != DYNAMIC || !read_lookups(&reader, &lookups))
            return UNUSUAL;
        else
            verdict = inflate_codes(&reader, &lookups, out);
    }
    return verdict;
}

/* Makes the lookups that never change. */
static void
prepare_inflating(void)
{
    uint8_t literals[FIXED_LITERALS], distances[DISTANCES + 2];

    set_fixed_lengths(literals, distances);
    memset(distances, 5, sizeof distances);
    fixed_lookups.distances.is_for_distances = 1;
    make_lookup(&fixed_lookups.literals, literals, FIXED_LITERALS, LITERAL_BITS);
    make_lookup(&fixed_lookups.distances, distances, DISTANCES + 2, DISTANCE_BITS);
}

#endif
