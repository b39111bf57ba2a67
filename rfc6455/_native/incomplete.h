/* A message whose one frame comes in several reads.
 *
 * What lives here: what has come of its payload, unmasked, and judged where it is text. The Python in
 * `parser.py` and `messages.py` is the specification. This file raises no protocol errors: what is
 * wrong is given back as it came, for Python to judge.
 */

#ifndef RFC6455_INCOMPLETE_H
#define RFC6455_INCOMPLETE_H

#include "frames.h"
#include "utf8.h"

typedef struct {
    unsigned char *payload; /* NULL where there is no such message */
    Py_ssize_t size;        /* what has come */
    Py_ssize_t valid;       /* up to there it is known to be UTF-8 */
    Py_ssize_t capacity;
    Py_ssize_t length; /* of the whole */
    Py_ssize_t header; /* its size */
    unsigned char frame[LONGEST_HEADER]; /* the header */
    char masked;
} Incomplete;

static void
forget_incomplete(Incomplete *self)
{
    PyMem_Free(self->payload);
    self->payload = NULL;
    self->size = 0;
}

/* Adds what has come of the payload. Returns -1 where it is not UTF-8, having added nothing; -2 with
 * an exception set. */
static int
add_to_incomplete(Incomplete *self, const unsigned char *data, Py_ssize_t size)
{
    Py_ssize_t wanted = self->size + size;
    unsigned char *place, key[4];

    if (wanted > self->capacity) {
        /* Never more than twice of what has come: a header may promise anything. */
        Py_ssize_t capacity = self->length / 2 < wanted ? self->length : 2 * wanted;

        if ((place = PyMem_Realloc(self->payload, (size_t)capacity)) == NULL) {
            PyErr_NoMemory();
            return -2;
        }
        self->payload = place;
        self->capacity = capacity;
    }
    place = self->payload + self->size;
    if (self->masked) {
        /* A frame may arrive in several reads: the key goes on where it stopped. */
        for (int i = 0; i < 4; i++)
            key[i] = self->frame[self->header - 4 + ((self->size + i) & 3)];
        mask_into(place, data, size, key);
    }
    else
        memcpy(place, data, (size_t)size);
    if (self->frame[0] == (FIN | TEXT)) {
        Py_ssize_t valid = judge_utf8(self->payload, self->valid, wanted);

        if (valid < 0 || (wanted == self->length && valid < wanted))
            return -1;
        self->valid = valid;
    }
    self->size = wanted;
    return 0;
}

/* Starts with the frame at the end of a read, if it is one that `read_header` takes and only a part of
 * its payload is there. Returns 1 if it did, 0 if not, -1 with an exception set. */
static int
start_incomplete(Incomplete *self, const unsigned char *data, Py_ssize_t size, int masked,
                 Py_ssize_t limit)
{
    int added;

    self->header = read_header(data, size, masked, limit, 0, &self->length);
    if (self->header == 0 || size - self->header >= self->length)
        return 0;
    memcpy(self->frame, data, (size_t)self->header);
    self->masked = (char)masked;
    self->size = self->valid = self->capacity = 0;
    size -= self->header;
    /* Whoever sends in tiny pieces does not make it grow at each of them. */
    self->capacity = self->length < 1024 ? self->length : 1024;
    if ((self->payload = PyMem_Malloc((size_t)self->capacity)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    added = add_to_incomplete(self, data + self->header, size);
    if (added < 0)
        forget_incomplete(self);
    return added == 0 ? 1 : added == -1 ? 0 : -1;
}

/* Returns the message, which is complete, or NULL with an exception set. */
static PyObject *
finish_incomplete(Incomplete *self)
{
    PyObject *message = make_message(self->frame[0] == (FIN | TEXT), self->payload, self->size, NULL);

    forget_incomplete(self);
    return message;
}

/* Returns the bytes that came, and forgets them. */
static PyObject *
give_back_incomplete(Incomplete *self)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, self->header + self->size);
    unsigned char *out;

    if (bytes != NULL) {
        out = (unsigned char *)PyBytes_AsString(bytes);
        memcpy(out, self->frame, (size_t)self->header);
        if (self->masked)
            mask_into(out + self->header, self->payload, self->size,
                      self->frame + self->header - 4);
        else
            memcpy(out + self->header, self->payload, (size_t)self->size);
    }
    forget_incomplete(self);
    return bytes;
}

#endif
