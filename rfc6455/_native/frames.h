/* Frames in C: masking, writing one, and taking a run of whole ones out of a read.
 *
 * What lives here: what `codec.c` gives to Python and `channel.c` uses within. The Python in
 * `frames.py` and `parser.py` is the specification. This file raises no protocol errors and keeps no
 * state.
 */

#ifndef RFC6455_FRAMES_H
#define RFC6455_FRAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum {
    FIN = 0x80,
    MASK = 0x80,
    TEXT = 0x1,
    BINARY = 0x2,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    LONGEST_HEADER = 14,
};

#define NOT_ASCII 0x8080808080808080u
#define STRETCH 4096

enum {
    SHARE = 1024 * 1024, /* as in extensions/base.py */
    LEAST = 16 * 1024,   /* as in parser.py */
};

/* RFC 6455 section 5.3: octet i of the payload is XORed with octet i MOD 4 of the key. Eight octets
 * at a time; compilers make vector instructions of it. */
static void
mask_into(unsigned char *out, const unsigned char *in, Py_ssize_t size, const unsigned char *key)
{
    uint64_t wide_key, word;
    Py_ssize_t i = 0;

    memcpy(&wide_key, key, 4);
    memcpy((unsigned char *)&wide_key + 4, key, 4);
    for (; size - i >= 8; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= wide_key;
        memcpy(out + i, &word, 8);
    }
    for (; i < size; i++)
        out[i] = in[i] ^ key[i & 3];
}

/* Writes the start of a header, up to the key; returns its size. */
static Py_ssize_t
write_header(unsigned char *out, int first, Py_ssize_t size, int mask)
{
    Py_ssize_t header = size < LENGTH_16 ? 2 : size < 0x10000 ? 4 : 10;

    *out++ = (unsigned char)first;
    *out++ = (unsigned char)(mask | (header == 2 ? size : header == 4 ? LENGTH_16 : LENGTH_64));
    for (int shift = 8 * (int)(header - 3); shift >= 0; shift -= 8)
        *out++ = (unsigned char)((uint64_t)size >> shift);
    return header;
}

/* Writes a frame; the key is NULL where the payload travels in the clear. */
static PyObject *
make_frame(int first, const void *payload, Py_ssize_t size, const unsigned char *key)
{
    unsigned char header[LONGEST_HEADER];
    Py_ssize_t length = write_header(header, first, size, key ? MASK : 0);
    PyObject *frame;
    unsigned char *out;

    if (size > PY_SSIZE_T_MAX - LONGEST_HEADER)
        return PyErr_NoMemory();
    frame = PyBytes_FromStringAndSize(NULL, length + (key ? 4 : 0) + size);
    if (frame == NULL)
        return NULL;
    out = (unsigned char *)PyBytes_AsString(frame);
    memcpy(out, header, (size_t)length);
    out += length;
    if (key) {
        memcpy(out, key, 4);
        mask_into(out + 4, payload, size, key);
    }
    else if (size > 0)
        memcpy(out, payload, (size_t)size);
    return frame;
}

/* Unmasks what nearly all text is. Returns whether all of it is ASCII; if not, it stops. */
static int
mask_ascii_into(unsigned char *out, const unsigned char *in, Py_ssize_t size,
                const unsigned char *key)
{
    uint64_t wide_key, word, seen = 0;
    Py_ssize_t i = 0;

    memcpy(&wide_key, key, 4);
    memcpy((unsigned char *)&wide_key + 4, key, 4);
    while (size - i >= 8) {
        /* A few thousand at a time, so that a long text is not unmasked in vain. */
        Py_ssize_t stop = size - i > STRETCH ? i + STRETCH : size - 7;

        for (; i < stop; i += 8) {
            memcpy(&word, in + i, 8);
            word ^= wide_key;
            seen |= word;
            memcpy(out + i, &word, 8);
        }
        if (seen & NOT_ASCII)
            return 0;
    }
    for (; i < size; i++)
        seen |= out[i] = in[i] ^ key[i & 3];
    return !(seen & NOT_ASCII);
}

/* Makes the message of a payload: text, or bytes. Returns NULL with an exception set, which is a
 * UnicodeDecodeError for text that is not UTF-8. */
static PyObject *
make_message(int is_text, const unsigned char *payload, Py_ssize_t size, const unsigned char *key)
{
    PyObject *message;
    unsigned char *unmasked;

    if (!is_text) {
        message = PyBytes_FromStringAndSize(key ? NULL : (const char *)payload, size);
        if (message != NULL && key != NULL)
            mask_into((unsigned char *)PyBytes_AS_STRING(message), payload, size, key);
        return message;
    }
    if (key == NULL || size == 0)
        return PyUnicode_DecodeUTF8((const char *)payload, size, NULL);
    if ((message = PyUnicode_New(size, 127)) == NULL ||
        mask_ascii_into(PyUnicode_1BYTE_DATA(message), payload, size, key))
        return message;
    Py_DECREF(message);
    if ((unmasked = PyMem_Malloc((size_t)size)) == NULL)
        return PyErr_NoMemory();
    mask_into(unmasked, payload, size, key);
    message = PyUnicode_DecodeUTF8((const char *)unmasked, size, NULL);
    PyMem_Free(unmasked);
    return message;
}

/* Makes the message of a payload that an extension has marked: `unwrap` gives it, or None. Returns
 * NULL with an exception set. */
static PyObject *
unwrap_message(PyObject *unwrap, int is_text, const unsigned char *payload, Py_ssize_t size,
               const unsigned char *key)
{
    PyObject *message, *wrapped = make_message(0, payload, size, key);

    if (wrapped == NULL)
        return NULL;
    message = PyObject_CallFunctionObjArgs(unwrap, wrapped, is_text ? Py_True : Py_False, NULL);
    Py_DECREF(wrapped);
    return message;
}

/* Reads the header of a frame that is a message by itself, in its shortest form, masked as it must
 * be, not too large, and with no reserved bit but `mark`. Returns the header's size; 0 where it is
 * not there whole, or anything else. */
static Py_ssize_t
read_header(const unsigned char *frame, Py_ssize_t available, int masked, Py_ssize_t limit, int mark,
            Py_ssize_t *length)
{
    Py_ssize_t header = masked ? 6 : 2;
    uint64_t extended = 0;

    if (available < header ||
        ((frame[0] & ~mark) != (FIN | TEXT) && (frame[0] & ~mark) != (FIN | BINARY)))
        return 0;
    *length = frame[1] ^ (masked ? MASK : 0);
    if (*length > LENGTH_64) /* the wrong mask bit */
        return 0;
    if (*length >= LENGTH_16) {
        int octets = *length == LENGTH_16 ? 2 : 8;

        header += octets;
        if (available < header)
            return 0;
        for (int i = 0; i < octets; i++)
            extended = extended << 8 | frame[2 + i];
        if (extended < (octets == 2 ? LENGTH_16 : 0x10000) || extended > PY_SSIZE_T_MAX)
            return 0;
        *length = (Py_ssize_t)extended;
    }
    return *length <= limit ? header : 0;
}

/* Appends the run of whole messages that starts at `position` to a list; returns the offset of the
 * first frame that it leaves, or -1 with an exception set. */
static Py_ssize_t
take_run(const unsigned char *data, Py_ssize_t end, Py_ssize_t position, int masked,
         Py_ssize_t limit, PyObject *events, int mark, PyObject *unwrap)
{
    Py_ssize_t made = 0;

    while (made < SHARE) {
        const unsigned char *frame = data + position;
        Py_ssize_t size, header = read_header(frame, end - position, masked, limit, mark, &size);
        PyObject *message;
        int kind, appended;

        if (header == 0 || size > end - position - header)
            break;
        kind = frame[0] & ~mark;
        if (frame[0] != kind) {
            message = unwrap_message(unwrap, kind == (FIN | TEXT), frame + header, size,
                                     masked ? frame + header - 4 : NULL);
            if (message == Py_None) {
                Py_DECREF(message);
                break;
            }
            if (message != NULL) {
                Py_ssize_t came_out = PyObject_Size(message);

                if (came_out < 0)
                    Py_CLEAR(message);
                made += came_out + LEAST;
            }
            if (message == NULL)
                return -1;
        }
        else if ((message = make_message(kind == (FIN | TEXT), frame + header, size,
                                         masked ? frame + header - 4 : NULL)) == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                return -1;
            PyErr_Clear();
            break;
        }
        appended = PyList_Append(events, message);
        Py_DECREF(message);
        if (appended < 0)
            return -1;
        position += header + size;
    }
    return position;
}

#endif
