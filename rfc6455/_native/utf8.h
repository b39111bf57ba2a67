/* RFC 6455 section 8.1: UTF-8, judged as it arrives.
 *
 * What lives here: how far a text is valid. The Python in `utf8.py` is the specification. This file
 * does not know about frames or messages.
 */

#ifndef RFC6455_UTF8_H
#define RFC6455_UTF8_H

#include "frames.h"

/* Returns the offset behind the last whole code point: `end`, or where one begins that is cut. The
 * text up to `start` has been judged. Returns -1 where no continuation helps (RFC 3629 section 4). */
static Py_ssize_t
judge_utf8(const unsigned char *text, Py_ssize_t start, Py_ssize_t end)
{
    Py_ssize_t i = start;
    uint64_t word;

    while (i < end) {
        unsigned char first = text[i], low = 0x80, high = 0xBF;
        int more;

        if (first < 0x80) {
            for (i++; end - i >= 8; i += 8) {
                memcpy(&word, text + i, 8);
                if (word & 0x8080808080808080u)
                    break;
            }
            continue;
        }
        if (first < 0xC2 || first > 0xF4)
            return -1;
        more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (first == 0xE0)
            low = 0xA0;
        else if (first == 0xED)
            high = 0x9F;
        else if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F;
        for (int k = 1; k <= more; k++) {
            if (end - i <= k)
                return i;
            if (text[i + k] < low || text[i + k] > high)
                return -1;
            low = 0x80;
            high = 0xBF;
        }
        i += more + 1;
    }
    return i;
}

#endif
