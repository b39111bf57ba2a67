/* RFC 1951, the way in: what a message repeats of itself, and of those before it.
 *
 * What lives here: the search for repetitions. The window is one of the lengths that RFC 7692 has, and
 * no repetition reaches back further. This file does not know how they are written.
 */

#ifndef RFC6455_REPETITIONS_H
#define RFC6455_REPETITIONS_H

#include "prefixcodes.h"

enum {
    PIECE = 32 * 1024, /* what a block holds at most */
    HASHED = 4,        /* bytes; shorter repetitions are not looked for */
    LONG_ENOUGH = 16,  /* a repetition that no other place is tried for */
};

/* Bytes as they are, and then a repetition; the last of a block has none. */
typedef struct {
    uint32_t literals;
    uint16_t length;
    uint16_t distance;
} Sequence;

/* What is needed while a message is compressed, and by no connection afterwards. */
typedef struct {
    unsigned char octets[WINDOW + PIECE];
    Sequence sequences[PIECE / HASHED + 1];
    uint32_t literal_counts[LITERALS];
    uint32_t distance_counts[DISTANCES];
} Workbench;

/* What a connection keeps from message to message. */
typedef struct {
    int window_bits;
    uint32_t filled;   /* bytes of the window that are there */
    uint32_t position; /* of the first of them, in all that was compressed */
    unsigned char *window;
    uint16_t *places; /* for each hash the last two positions that had it, less what 16 bits hold */
} Compressor;

static uint8_t length_symbols[LONGEST_MATCH + 1];
static uint8_t distance_symbols[512];

static inline int
hash_bits(const Compressor *self)
{
    return self->window_bits - 1;
}

static inline unsigned
distance_symbol(unsigned distance)
{
    unsigned place = distance - 1;

    return distance_symbols[place < 256 ? place : 256 + (place >> 7)];
}

/* How far two stretches are alike, of which the first HASHED bytes are. */
static inline unsigned
match_length(const unsigned char *one, const unsigned char *other, const unsigned char *end)
{
    unsigned length = HASHED;
    unsigned most = end - other < LONGEST_MATCH ? (unsigned)(end - other) : LONGEST_MATCH;

    while (length + 8 <= most) {
        uint64_t difference = load_64(one + length) ^ load_64(other + length);

        if (difference) {
#if defined(__GNUC__)
            return length + (unsigned)(__builtin_ctzll(difference) >> 3);
#else
            break;
#endif
        }
        length += 8;
    }
    while (length < most && one[length] == other[length])
        length++;
    return length;
}

static inline uint16_t *
places_for(const Compressor *self, uint32_t start)
{
    return self->places + 2 * (start * 0x9E3779B1u >> (32 - hash_bits(self)));
}

static inline void
note_place(uint16_t *places, uint16_t place)
{
    places[1] = places[0];
    places[0] = place;
}

/* How long the repetition is of what stood at a place; 0 where there is none. The place may be one of
 * another 64 KiB, or of other bytes with the same hash. */
static inline unsigned
try_place(const unsigned char *octets, unsigned i, unsigned end, uint32_t start, unsigned reach,
          unsigned back)
{
    int is_there = back - 1 < reach;
    const unsigned char *before = octets + i - (is_there ? back : 0);

    if (!(is_there & (load_32(before) == start)))
        return 0;
    return match_length(before, octets + i, octets + end);
}

/* Finds the sequences of the bytes from `first` to `end`; what stands before them is the window.
 * Counts their symbols. */
static void
find_sequences(Compressor *self, Workbench *bench, unsigned first, unsigned end)
{
    const unsigned char *octets = bench->octets;
    Sequence *sequence = bench->sequences;
    unsigned window = 1u << self->window_bits, i = first, literals = first;

    memset(bench->literal_counts, 0, sizeof bench->literal_counts);
    memset(bench->distance_counts, 0, sizeof bench->distance_counts);
    bench->literal_counts[END_OF_BLOCK] = 1;
    while (i + HASHED <= end) {
        uint32_t start = load_32(octets + i);
        uint16_t *places = places_for(self, start), here = (uint16_t)(self->position + i);
        unsigned reach = i < window ? i : window;
        unsigned distance = (uint16_t)(here - places[0]), other = (uint16_t)(here - places[1]);
        unsigned length = try_place(octets, i, end, start, reach, distance);

        note_place(places, here);
        if (length < LONG_ENOUGH) {
            unsigned longer = try_place(octets, i, end, start, reach, other);

            if (longer > length) {
                length = longer;
                distance = other;
            }
        }
        if (length == 0) {
            /* What has had no repetition for long has none, probably. */
            unsigned next = i + 1 + ((i - literals) >> 8);

            for (next = next < end ? next : end; i < next; i++)
                bench->literal_counts[octets[i]]++;
            continue;
        }
        bench->literal_counts[FIRST_LENGTH + length_symbols[length]]++;
        bench->distance_counts[distance_symbol(distance)]++;
        sequence->literals = i - literals;
        sequence->length = (uint16_t)length;
        sequence->distance = (uint16_t)distance;
        sequence++;
        literals = i + length;
        for (i++; i < literals && i + HASHED <= end; i += 2)
            note_place(places_for(self, load_32(octets + i)), (uint16_t)(self->position + i));
        i = literals;
    }
    sequence->literals = end - literals;
    sequence->length = 0;
    for (; i < end; i++)
        bench->literal_counts[octets[i]]++;
}

/* Fills the tables of symbols, which never change. */
static void
prepare_symbols(void)
{
    for (int i = 0; i < LITERALS - FIRST_LENGTH; i++)
        for (int extra = 0; extra < 1 << LENGTH_EXTRA[i]; extra++)
            if (LENGTH_BASE[i] + extra <= LONGEST_MATCH)
                length_symbols[LENGTH_BASE[i] + extra] = (uint8_t)i;
    for (int i = 0; i < DISTANCES; i++)
        for (int extra = 0; extra < 1 << DISTANCE_EXTRA[i]; extra++) {
            int place = DISTANCE_BASE[i] + extra - 1;

            distance_symbols[place < 256 ? place : 256 + (place >> 7)] = (uint8_t)i;
        }
}

#endif
