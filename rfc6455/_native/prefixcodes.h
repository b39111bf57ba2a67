/* RFC 1951: prefix codes, and what the symbols of a DEFLATE stream stand for.
 *
 * What lives here: the tables of section 3.2.5, bits in and out of words, and how codes follow from
 * their lengths (section 3.2.2). This file does not know how lengths are found, nor which blocks hold
 * what.
 */

#ifndef RFC6455_PREFIXCODES_H
#define RFC6455_PREFIXCODES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum {
    WINDOW = 32 * 1024, /* the largest there is */
    SHORTEST_MATCH = 3,
    LONGEST_MATCH = 258,
    END_OF_BLOCK = 256,
    FIRST_LENGTH = 257,
    LITERALS = 286, /* symbols for literals, the end of a block, and lengths */
    DISTANCES = 30,
    FIXED_LITERALS = 288, /* section 3.2.6: two of them never occur */
    LENGTH_SYMBOLS = 19,  /* of the code of code lengths */
    LONGEST_CODE = 15,
    LONGEST_LENGTH_CODE = 7,
    STORED = 0, /* types of blocks */
    FIXED = 1,
    DYNAMIC = 2,
};

static const uint16_t LENGTH_BASE[LITERALS - FIRST_LENGTH] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
};
static const uint8_t LENGTH_EXTRA[LITERALS - FIRST_LENGTH] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
};
static const uint16_t DISTANCE_BASE[DISTANCES] = {
    1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
};
static const uint8_t DISTANCE_EXTRA[DISTANCES] = {
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
};
/* Section 3.2.7: in this order stand the lengths of the code of code lengths. */
static const uint8_t LENGTH_ORDER[LENGTH_SYMBOLS] = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
};

/* Section 3.1.1: the first octet holds the lowest bits. */
static inline uint64_t
load_64(const unsigned char *octets)
{
    uint64_t word;

    memcpy(&word, octets, 8);
#if PY_BIG_ENDIAN
    word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)octets[i] << (8 * i);
#endif
    return word;
}

static inline void
store_64(unsigned char *octets, uint64_t word)
{
#if PY_BIG_ENDIAN
    for (int i = 0; i < 8; i++)
        octets[i] = (unsigned char)(word >> (8 * i));
#else
    memcpy(octets, &word, 8);
#endif
}

static inline uint32_t
load_32(const unsigned char *octets)
{
    uint32_t word;

    memcpy(&word, octets, 4);
    return word;
}

/* Codes are sent with their first bit lowest. */
static inline unsigned
reverse_bits(unsigned code, int length)
{
    code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
    code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
    code = (code & 0x0F0F) << 4 | (code >> 4 & 0x0F0F);
    code = (code & 0x00FF) << 8 | (code >> 8 & 0x00FF);
    return code >> (16 - length);
}

/* Section 3.2.2: the smallest code of each length, from how many codes have it. */
static void
find_first_codes(const uint16_t count[LONGEST_CODE + 1], uint16_t first[LONGEST_CODE + 1])
{
    unsigned code = 0;

    first[0] = 0;
    for (int length = 1; length <= LONGEST_CODE; length++) {
        first[length] = (uint16_t)code;
        code = (code + count[length]) << 1;
    }
}

/* Section 3.2.6. */
static void
set_fixed_lengths(uint8_t literals[FIXED_LITERALS], uint8_t distances[DISTANCES])
{
    memset(literals, 8, 144);
    memset(literals + 144, 9, 112);
    memset(literals + 256, 7, 24);
    memset(literals + 280, 8, 8);
    memset(distances, 5, DISTANCES);
}

#endif
