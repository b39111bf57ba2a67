/* RFC 1951, the way in: messages to blocks, as small as zlib's at its level 1.
 *
 * What lives here: the search for repetitions, the choice of a block's type and codes, and the bits.
 * The window is one of the lengths that RFC 7692 has, and no match reaches back further. This file
 * does not know about Python's objects, nor about frames.
 */

#ifndef RFC6455_COMPRESSING_H
#define RFC6455_COMPRESSING_H

#include "prefixcodes.h"

enum {
    PIECE = 32 * 1024,  /* what a block holds at most */
    HASHED = 4,         /* bytes; shorter repetitions are not looked for */
    LONG_ENOUGH = 16,   /* a repetition that no other place is tried for */
    FEW = 24,           /* words that are sorted in the simplest way */
    MORE_IN_BLOCK = 16, /* what a block may take beyond its bytes, rounded up */
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

/* Codes as they are sent: the bits, and from bit 16 on how many they are. */
typedef struct {
    uint32_t literals[FIXED_LITERALS];
    uint32_t distances[DISTANCES];
} Codes;

typedef struct {
    unsigned char *next;
    uint64_t bits;
    int count;
} Writer;

static uint8_t length_symbols[LONGEST_MATCH + 1];
static uint8_t distance_symbols[512];
static Codes fixed_codes;

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

/* Repetitions */

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

/* Codes */

/* Sorts words by their upper 16 bits, the largest of which is known; `other` is room for as many. */
static void
sort_words(uint32_t *words, uint32_t *other, unsigned count, unsigned largest)
{
    if (count <= FEW) {
        for (unsigned i = 1; i < count; i++) {
            uint32_t word = words[i];
            unsigned k = i;

            for (; k > 0 && words[k - 1] > word; k--)
                words[k] = words[k - 1];
            words[k] = word;
        }
        return;
    }
    for (int shift = 16; shift < 32 && largest >> (shift - 16); shift += 8) {
        uint16_t starts[256] = {0};
        unsigned sum = 0, size;

        for (unsigned i = 0; i < count; i++)
            starts[words[i] >> shift & 0xFF]++;
        for (int i = 0; i < 256; i++) {
            size = starts[i];
            starts[i] = (uint16_t)sum;
            sum += size;
        }
        for (unsigned i = 0; i < count; i++)
            other[starts[words[i] >> shift & 0xFF]++] = words[i];
        memcpy(words, other, count * sizeof *words);
    }
}

/* How many codes of each length Huffman's algorithm makes of weights in ascending order. */
static void
count_lengths(const uint32_t *words, unsigned count, uint16_t lengths[LONGEST_CODE + 1], int limit)
{
    uint32_t weights[LITERALS];
    uint16_t parents[LITERALS];
    unsigned inner[32] = {0}, leaf = 0, node = 0, total = 0;
    uint8_t depths[LITERALS];

    for (unsigned next = 0; next + 1 < count; next++) {
        weights[next] = 0;
        for (int k = 0; k < 2; k++) {
            if (leaf < count && (node == next || words[leaf] >> 16 <= weights[node]))
                weights[next] += words[leaf++] >> 16;
            else {
                weights[next] += weights[node];
                parents[node++] = (uint16_t)next;
            }
        }
    }
    depths[count - 2] = 0;
    inner[0] = 1;
    for (int i = (int)count - 3; i >= 0; i--) {
        depths[i] = (uint8_t)(depths[parents[i]] + 1);
        inner[depths[i]]++;
    }
    /* Where all are as deep as they can be; Fibonacci's numbers would be beyond 2 to the power 16. */
    for (int depth = 1; depth < 32; depth++)
        lengths[depth < limit ? depth : limit] =
            (uint16_t)((depth <= limit ? 0 : lengths[limit]) + 2 * inner[depth - 1] - inner[depth]);
    /* Those that were too long have been cut: the others make room for them. */
    for (int length = 1; length <= limit; length++)
        total += (unsigned)lengths[length] << (limit - length);
    for (; total > 1u << limit; total--) {
        int length = limit - 1;

        while (lengths[length] == 0)
            length--;
        lengths[limit]--;
        lengths[length]--;
        lengths[length + 1] += 2;
    }
}

/* Finds the codes for symbols that occur so often: at least two, as zlib and others expect. Returns
 * how many bits they all take together. */
static size_t
make_codes(const uint32_t *counts, int symbols, int limit, uint32_t *codes)
{
    uint32_t words[LITERALS + 2], other[LITERALS];
    uint16_t lengths[LONGEST_CODE + 1] = {0}, next[LONGEST_CODE + 1], in_use[LITERALS + 2];
    unsigned used = 0, largest = 0, i = 0;
    size_t bits = 0;

    for (int symbol = 0; symbol < symbols; symbol++) {
        words[used] = counts[symbol] << 16 | (uint32_t)symbol;
        in_use[used] = (uint16_t)symbol;
        largest = counts[symbol] > largest ? counts[symbol] : largest;
        used += counts[symbol] != 0;
    }
    for (uint16_t symbol = 0; used < 2; symbol++)
        if (used == 0 || in_use[0] != symbol) {
            words[used] = symbol;
            in_use[used++] = symbol;
        }
    if (in_use[0] > in_use[1]) {
        in_use[1] = in_use[0];
        in_use[0] = 0;
    }
    sort_words(words, other, used, largest);
    count_lengths(words, used, lengths, limit);
    find_first_codes(lengths, next);
    memset(codes, 0, (size_t)symbols * sizeof *codes);
    for (int length = limit; length > 0; length--)
        for (int k = 0; k < lengths[length]; k++, i++) {
            codes[words[i] & 0xFFFF] = (uint32_t)length << 16;
            bits += (size_t)length * (words[i] >> 16);
        }
    for (i = 0; i < used; i++) {
        int length = (int)(codes[in_use[i]] >> 16);

        codes[in_use[i]] |= reverse_bits(next[length]++, length);
    }
    return bits;
}

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

    for (int i = 0; i < LITERALS - FIRST_LENGTH; i++)
        for (int extra = 0; extra < 1 << LENGTH_EXTRA[i]; extra++)
            if (LENGTH_BASE[i] + extra <= LONGEST_MATCH)
                length_symbols[LENGTH_BASE[i] + extra] = (uint8_t)i;
    for (int i = 0; i < DISTANCES; i++)
        for (int extra = 0; extra < 1 << DISTANCE_EXTRA[i]; extra++) {
            int place = DISTANCE_BASE[i] + extra - 1;

            distance_symbols[place < 256 ? place : 256 + (place >> 7)] = (uint8_t)i;
        }
    set_fixed_lengths(literals, distances);
    set_code(fixed_codes.literals, literals, FIXED_LITERALS);
    set_code(fixed_codes.distances, distances, DISTANCES);
}

#endif
