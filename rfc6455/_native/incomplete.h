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
    PyObject *message;      /* that the payload lies in: bytes, or text while all of it is ASCII */
    Py_ssize_t size;        /* what has come */
    Py_ssize_t valid;       /* of other text: up to there it is known to be UTF-8 */
    Py_ssize_t capacity;
    Py_ssize_t length; /* of the whole */
    Py_ssize_t header; /* its size */
    unsigned char frame[LONGEST_HEADER]; /* the header */
    char masked;
    char is_text;
} Incomplete;

static void
forget_incomplete(Incomplete *self)
{
    if (self->message == NULL)
        PyMem_Free(self->payload);
    Py_CLEAR(self->message);
    self->payload = NULL;
    self->size = 0;
}

/* Makes room. Returns -1 with an exception set, having forgotten everything. */
static int
resize_incomplete(Incomplete *self, Py_ssize_t capacity)
{
    unsigned char *place = NULL;

    if (self->message == NULL) {
        if ((place = PyMem_Realloc(self->payload, (size_t)capacity)) == NULL)
            PyErr_NoMemory();
    }
    else if (!self->is_text) {
        if (_PyBytes_Resize(&self->message, capacity) == 0)
            place = (unsigned char *)PyBytes_AS_STRING(self->message);
    }
    else if (PyUnicode_Resize(&self->message, capacity) == 0)
        place = PyUnicode_1BYTE_DATA(self->message);
    if (place == NULL) {
        /* What could not be resized may be gone already. */
        if (self->message == NULL && self->is_text == 0)
            self->payload = NULL;
        forget_incomplete(self);
        return -1;
    }
    self->payload = place;
    self->capacity = capacity;
    return 0;
}

/* Text is not ASCII any more: the bytes of it are kept. */
static int
keep_bytes_of_incomplete(Incomplete *self)
{
    unsigned char *place = PyMem_Malloc((size_t)self->capacity);

    if (place == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(place, self->payload, (size_t)self->size);
    Py_CLEAR(self->message);
    self->payload = place;
    self->valid = self->size;
    return 0;
}

/* Adds what has come of the payload. Returns -1 where it is not UTF-8, having added nothing; -2 with
 * an exception set. */
static int
add_to_incomplete(Incomplete *self, const unsigned char *data, Py_ssize_t size)
{
    Py_ssize_t wanted = self->size + size, valid;
    unsigned char key[4] = {0};

    /* Never more than four times of what has come: a header may promise anything. */
    if (wanted > self->capacity &&
        resize_incomplete(self, self->length / 4 < wanted ? self->length : 4 * wanted) < 0)
        return -2;
    /* A frame may arrive in several reads: the key goes on where it stopped. */
    for (int i = 0; self->masked && i < 4; i++)
        key[i] = self->frame[self->header - 4 + ((self->size + i) & 3)];
    if (self->is_text && self->message != NULL) {
        if (mask_ascii_into(self->payload + self->size, data, size, key)) {
            self->size = wanted;
            return 0;
        }
        if (keep_bytes_of_incomplete(self) < 0)
            return -2;
    }
    if (self->masked)
        mask_into(self->payload + self->size, data, size, key);
    else
        memcpy(self->payload + self->size, data, (size_t)size);
    if (self->is_text) {
        valid = judge_utf8(self->payload, self->valid, wanted);
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
    self->is_text = self->frame[0] == (FIN | TEXT);
    self->size = self->valid = 0;
    /* Whoever sends in tiny pieces does not make it grow at each of them. */
    self->capacity = self->length < 1024 ? self->length : 1024;
    self->message = self->is_text ? PyUnicode_New(self->capacity, 127)
                                  : PyBytes_FromStringAndSize(NULL, self->capacity);
    if (self->message == NULL)
        return -1;
    self->payload = self->is_text ? PyUnicode_1BYTE_DATA(self->message)
                                  : (unsigned char *)PyBytes_AS_STRING(self->message);
    added = add_to_incomplete(self, data + self->header, size - self->header);
    if (added < 0)
        forget_incomplete(self);
    return added == 0 ? 1 : added == -1 ? 0 : -1;
}

/* Returns the message, which is complete, or NULL with an exception set. */
static PyObject *
finish_incomplete(Incomplete *self)
{
    PyObject *message = self->message != NULL
                            ? Py_NewRef(self->message)
                            : PyUnicode_DecodeUTF8((const char *)self->payload, self->size, NULL);

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
        out = (unsigned char *)PyBytes_AS_STRING(bytes);
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
