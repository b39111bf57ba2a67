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
};

/* Payloads up to this size are unmasked on the stack before they become text. */
#define SCRATCH_SIZE 4096

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

/* Writes a frame; the key is NULL where the payload travels in the clear. */
static PyObject *
make_frame(int first, const void *payload, Py_ssize_t size, const unsigned char *key)
{
    Py_ssize_t header = size < LENGTH_16 ? 2 : size < 0x10000 ? 4 : 10;
    PyObject *frame;
    unsigned char *out;

    if (size > PY_SSIZE_T_MAX - header - 4)
        return PyErr_NoMemory();
    frame = PyBytes_FromStringAndSize(NULL, header + (key ? 4 : 0) + size);
    if (frame == NULL)
        return NULL;
    out = (unsigned char *)PyBytes_AsString(frame);
    *out++ = (unsigned char)first;
    *out++ = (unsigned char)((key ? MASK : 0) |
                             (header == 2 ? size : header == 4 ? LENGTH_16 : LENGTH_64));
    for (int shift = 8 * (int)(header - 3); shift >= 0; shift -= 8)
        *out++ = (unsigned char)((uint64_t)size >> shift);
    if (key) {
        memcpy(out, key, 4);
        mask_into(out + 4, payload, size, key);
    }
    else if (size > 0)
        memcpy(out, payload, (size_t)size);
    return frame;
}

/* Makes the message of a payload: text, or bytes. Returns NULL with an exception set, which is a
 * UnicodeDecodeError for text that is not UTF-8. */
static PyObject *
make_message(int is_text, const unsigned char *payload, Py_ssize_t size, const unsigned char *key)
{
    unsigned char scratch[SCRATCH_SIZE];
    unsigned char *unmasked = scratch;
    PyObject *message;

    /* The first octet stands for "written to": compilers do not see that mask_into fills it. */
    scratch[0] = 0;
    if (!is_text) {
        message = PyBytes_FromStringAndSize(key ? NULL : (const char *)payload, size);
        if (message != NULL && key != NULL)
            mask_into((unsigned char *)PyBytes_AsString(message), payload, size, key);
        return message;
    }
    if (key == NULL || size == 0)
        return PyUnicode_DecodeUTF8((const char *)payload, size, NULL);
    if (size > SCRATCH_SIZE && (unmasked = PyMem_Malloc((size_t)size)) == NULL)
        return PyErr_NoMemory();
    mask_into(unmasked, payload, size, key);
    message = PyUnicode_DecodeUTF8((const char *)unmasked, size, NULL);
    if (unmasked != scratch)
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

/* Appends the run of whole messages that starts at `position` to a list; returns the offset of the
 * first frame that it leaves, or -1 with an exception set. */
static Py_ssize_t
take_run(const unsigned char *data, Py_ssize_t end, Py_ssize_t position, int masked,
         Py_ssize_t limit, PyObject *events, int mark, PyObject *unwrap)
{
    Py_ssize_t made = 0;

    while (made < SHARE) {
        const unsigned char *frame = data + position;
        Py_ssize_t available = end - position;
        Py_ssize_t header = masked ? 6 : 2, size;
        PyObject *message;
        int kind, appended;

        if (available < header)
            break;
        kind = frame[0] & ~mark;
        if (kind != (FIN | TEXT) && kind != (FIN | BINARY))
            break;
        size = frame[1] ^ (masked ? MASK : 0);
        if (size == LENGTH_16) {
            header += 2;
            if (available < header)
                break;
            size = frame[2] << 8 | frame[3];
            if (size < LENGTH_16)
                break;
        }
        else if (size == LENGTH_64) {
            uint64_t extended = 0;

            header += 8;
            if (available < header)
                break;
            for (int i = 2; i < 10; i++)
                extended = extended << 8 | frame[i];
            if (extended < 0x10000 || extended > PY_SSIZE_T_MAX)
                break;
            size = (Py_ssize_t)extended;
        }
        else if (size > LENGTH_64) /* the wrong mask bit */
            break;
        if (size > limit || size > available - header)
            break;
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
