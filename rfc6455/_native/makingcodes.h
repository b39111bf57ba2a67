/* RFC 1951: the shortest prefix codes for symbols that occur so often.
 *
 * What lives here: Huffman's algorithm, with codes that are no longer than DEFLATE allows. This file
 * does not know what symbols stand for.
 */

#ifndef RFC6455_MAKINGCODES_H
#define RFC6455_MAKINGCODES_H

#include "prefixcodes.h"

enum {
    FEW = 24, /* words that are sorted in the simplest way */
};

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

/* Finds the codes for symbols that occur so often: at least two, as zlib and others expect. Each has its
 * bits as they are sent, and from bit 16 on how many they are. Returns how many bits they all take. */
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

#endif
