/* Bytes into the socket.
 *
 * What lives here: which way they go, all in one object or in parts. What the socket does not take at
 * once is the transport's, which knows what to do about it. This file does not know what frames hold,
 * nor when they leave.
 */

#ifndef RFC6455_WRITING_H
#define RFC6455_WRITING_H

#include "state.h"

#ifndef _WIN32
#include <sys/socket.h>
#ifndef MSG_NOSIGNAL /* Python ignores SIGPIPE anyhow */
#define MSG_NOSIGNAL 0
#endif
#endif
#ifndef MSG_MORE /* a last word then takes a segment of its own */
#define MSG_MORE 0
#endif

/* Whether bytes may go into the socket at once: it is known, and nothing waits before them. The
 * transport must not be closing: its socket may be closed, and the number somebody else's. */
static int
may_go_straight(Channel *self)
{
    PyObject *answer;
    long waiting;

    if (self->descriptor == UNKNOWN) {
        if ((answer = call(self, (PyObject *)self, N_FIND_DESCRIPTOR)) == NULL)
            return -1;
        self->descriptor = (int)PyLong_AsLong(answer);
        Py_DECREF(answer);
        if (PyErr_Occurred()) {
            self->descriptor = NONE;
            return -1;
        }
    }
    if (self->descriptor < 0 || !self->handed_over)
        return self->descriptor >= 0;
    if ((answer = call(self, self->transport, N_WRITE_BUFFER_SIZE)) == NULL)
        return -1;
    waiting = PyLong_AsLong(answer);
    Py_DECREF(answer);
    if (PyErr_Occurred())
        return -1;
    self->handed_over = waiting != 0;
    return !self->handed_over;
}

/* Puts into the socket what it takes; returns how much that was. Whatever goes wrong, the transport
 * finds it too, and knows what to do. More may be said to follow at once: MSG_MORE, or 0. */
static Py_ssize_t
put_into_socket(Channel *self, const void *octets, Py_ssize_t size, int more)
{
#ifdef _WIN32
    return 0;
#else
    Py_ssize_t sent = send(self->descriptor, octets, (size_t)size,
                           MSG_DONTWAIT | MSG_NOSIGNAL | more);

    return sent < 0 ? 0 : sent;
#endif
}

/* Drops the connection, since the rest of a frame that has begun to leave is lost. */
static void
break_off(Channel *self)
{
    PyObject *type, *error, *traceback, *answer;

    PyErr_Fetch(&type, &error, &traceback);
    if ((answer = call(self, self->transport, N_ABORT)) == NULL)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(answer);
    PyErr_Restore(type, error, traceback);
}

/* Gives bytes to the transport: what the socket did not take. Takes over the reference, which is NULL
 * where there was no memory for it. */
static int
hand_over(Channel *self, PyObject *data)
{
    PyObject *transport, *answer;

    if (data == NULL) {
        break_off(self);
        return -1;
    }
    self->handed_over = 1;
    transport = Py_NewRef(self->transport);
    answer = PyObject_CallMethodOneArg(transport, self->state->names[N_WRITE], data);
    Py_DECREF(transport);
    Py_DECREF(data);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Writes bytes to a transport that is not closing. They go straight into its socket where nothing
 * waits before them: event loops take longer to get them there. */
static int
write_out(Channel *self, PyObject *data, int more)
{
    int straight = PyBytes_CheckExact(data) ? may_go_straight(self) : 0;

    if (straight < 0)
        return -1;
    if (straight) {
        const char *octets = PyBytes_AsString(data);
        Py_ssize_t size = PyBytes_Size(data);
        Py_ssize_t sent = put_into_socket(self, octets, size, more);

        if (sent == size)
            return 0;
        if (sent > 0)
            return hand_over(self, PyBytes_FromStringAndSize(octets + sent, size - sent));
    }
    return hand_over(self, Py_NewRef(data));
}

/* The UTF-8 of a text as an object with a buffer, so that no frame need be made to hold a copy. */
typedef struct {
    PyObject_HEAD
    PyObject *text;
} Octets;

static PyObject *
octets_of(Channel *self, PyObject *text)
{
    Octets *octets = PyObject_New(Octets, self->state->octets_type);

    if (octets != NULL)
        octets->text = Py_NewRef(text);
    return (PyObject *)octets;
}

static int
octets_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    Py_ssize_t size;
    const char *octets = PyUnicode_AsUTF8AndSize(((Octets *)object)->text, &size);

    view->obj = NULL;
    return octets ? PyBuffer_FillInfo(view, object, (void *)octets, size, 1, flags) : -1;
}

static void
octets_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    Py_DECREF(((Octets *)object)->text);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyType_Slot octets_slots[] = {
    {Py_tp_dealloc, octets_dealloc},
    {Py_bf_getbuffer, octets_getbuffer},
    {0, NULL},
};

static PyType_Spec octets_spec = {
    .name = "rfc6455._native.channel.Octets",
    .basicsize = sizeof(Octets),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = octets_slots,
};

/* Puts parts into the socket, one behind the other, in one call; returns how much it took. */
static Py_ssize_t
put_parts_into_socket(Channel *self, const Py_buffer *parts, Py_ssize_t count)
{
#ifdef _WIN32
    return 0;
#else
    struct iovec places[MOST_PARTS];
    struct msghdr message = {.msg_iov = places, .msg_iovlen = (size_t)count};
    Py_ssize_t sent;

    for (Py_ssize_t i = 0; i < count; i++) {
        places[i].iov_base = parts[i].buf;
        places[i].iov_len = (size_t)parts[i].len;
    }
    sent = sendmsg(self->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : sent;
#endif
}

/* Writes parts, MOST_PARTS at most, straight into the socket, which must be allowed. What it does not
 * take goes to the transport without a copy, too. */
static int
write_parts(Channel *self, PyObject *parts)
{
    Py_buffer buffers[MOST_PARTS];
    Py_ssize_t count = PyList_GET_SIZE(parts), known = 0, sent = 0;
    int failed;

    while (known < count &&
           PyObject_GetBuffer(PyList_GET_ITEM(parts, known), &buffers[known], PyBUF_SIMPLE) == 0)
        known++;
    failed = known < count;
    if (!failed)
        sent = put_parts_into_socket(self, buffers, count);
    for (Py_ssize_t i = 0; i < known; i++) {
        Py_ssize_t size = buffers[i].len;

        if (sent < size && !failed) {
            PyObject *view = PyMemoryView_FromObject(PyList_GET_ITEM(parts, i));
            PyObject *rest = view ? PySequence_GetSlice(view, sent, size) : NULL;

            Py_XDECREF(view);
            failed = hand_over(self, rest) < 0;
        }
        sent = sent > size ? sent - size : 0;
        PyBuffer_Release(&buffers[i]);
    }
    /* Of what has begun to leave the rest is lost. */
    if (failed)
        break_off(self);
    return failed ? -1 : 0;
}

#endif
