/* From the core's outbox into the socket.
 *
 * What lives here: when what was said leaves, and which way. What the socket does not take at once is
 * the transport's, which knows what to do about it. This file does not know what frames hold.
 */

#ifndef RFC6455_WRITING_H
#define RFC6455_WRITING_H

#include "state.h"

#ifndef _WIN32
#include <sys/socket.h>
#include <sys/uio.h>
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

/* Puts into the socket what it takes of a header and a payload; returns how much that was. Whatever
 * goes wrong, the transport finds it too, and knows what to do. More may be said to follow at once:
 * MSG_MORE, or 0. */
static Py_ssize_t
put_into_socket(Channel *self, const void *header, Py_ssize_t header_size, const void *payload,
                Py_ssize_t size, int more)
{
#ifdef _WIN32
    return 0;
#else
    struct iovec parts[] = {
        {.iov_base = (void *)header, .iov_len = (size_t)header_size},
        {.iov_base = (void *)payload, .iov_len = (size_t)size},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | more;
    Py_ssize_t sent;

    if (header_size == 0)
        sent = send(self->descriptor, payload, (size_t)size, flags);
    else
        sent = sendmsg(self->descriptor, &message, flags);
    return sent < 0 ? 0 : sent;
#endif
}

/* Drops the connection, since there was no memory for the rest of a frame that has begun to leave. */
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
        Py_ssize_t sent = put_into_socket(self, NULL, 0, octets, size, more);

        if (sent == size)
            return 0;
        if (sent > 0)
            return hand_over(self, PyBytes_FromStringAndSize(octets + sent, size - sent));
    }
    return hand_over(self, Py_NewRef(data));
}

static int
is_transport_closing(Channel *self)
{
    PyObject *answer = call(self, self->transport, N_IS_CLOSING);
    int closing = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    return closing;
}

/* Writes what is in the outbox; `_flush` in Python does the same. */
static int
flush(Channel *self)
{
    Py_ssize_t count;
    PyObject *pending, *data;
    int closing = -1, failed = 0;

    self->collected = 0;
    self->flush_scheduled = 0;
    self->laboured = 0;
    if (!is_whole(self) || (count = PyList_Size(self->outbox)) < 0)
        return -1;
    if (self->write_paused || count == 0)
        return 0;
    pending = PyObject_GetAttr(self->core, self->state->names[N_PENDING_PONG]);
    if (pending == NULL)
        return -1;
    Py_DECREF(pending);
    if (pending != Py_None)
        return tell(self, N_FLUSH);
    data = count == 1 ? Py_NewRef(PyList_GetItem(self->outbox, 0))
                      : PyObject_CallMethodOneArg(self->state->empty, self->state->join,
                                                  self->outbox);
    if (data == NULL)
        return -1;
    if (PyList_SetSlice(self->outbox, 0, count, NULL) == 0 &&
        (closing = is_transport_closing(self)) == 0)
        failed = write_out(self, data, 0);
    Py_DECREF(data);
    return closing < 0 ? -1 : failed;
}

/* Has the loop call a function with those that leave, at its next turn. */
static int
call_soon(Channel *self, PyObject *function)
{
    PyObject *arguments[] = {self->loop, function, self->leaving};
    PyObject *handle = PyObject_VectorcallMethod(self->state->names[N_CALL_SOON], arguments, 3, NULL);

    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* Has the loop call `depart` at the end of this turn, as `_schedule_flush` in Python does; or `gather`,
 * where what leaves was work. */
static int
schedule_flush(Channel *self)
{
    Py_ssize_t waiting;

    if (self->flush_scheduled)
        return 0;
    if (!is_whole(self) || (waiting = PyList_Size(self->leaving)) < 0)
        return -1;
    if (waiting == 0 && call_soon(self, self->laboured ? self->state->gather : self->state->depart) < 0)
        return -1;
    self->flush_scheduled = 1;
    return PyList_Append(self->leaving, (PyObject *)self);
}

/* Writes what was sent before an exception, which stays set. */
static void
flush_behind_error(Channel *self)
{
    PyObject *type, *error, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    if (flush(self) < 0)
        PyErr_WriteUnraisable((PyObject *)self);
    PyErr_Restore(type, error, traceback);
}

PyDoc_STRVAR(depart_doc,
"depart(leaving, /)\n--\n\n"
"Writes what these connections have to say, and empties the list.");

static PyObject *
depart(PyObject *module, PyObject *leaving)
{
    ModuleState *state = PyModule_GetState(module);
    PyObject *channels = PyList_GetSlice(leaving, 0, PY_SSIZE_T_MAX);

    if (channels == NULL || PyList_SetSlice(leaving, 0, PY_SSIZE_T_MAX, NULL) < 0) {
        Py_XDECREF(channels);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(channels); i++) {
        PyObject *object = PyList_GetItem(channels, i);
        Channel *channel = (Channel *)object;

        if (!PyObject_TypeCheck(object, state->channel_type)) {
            PyErr_SetString(PyExc_TypeError, "only channels depart");
            PyErr_WriteUnraisable(object);
        }
        /* An observer, who is told in Python, has all messages go the general way. One that fails
         * does not keep the others. */
        else if ((channel->plain_below > 0 ? flush(channel) : tell(channel, N_FLUSH)) < 0 &&
                 hand_error(channel, N_WRITING_FAILED) < 0)
            PyErr_WriteUnraisable(object);
    }
    Py_DECREF(channels);
    Py_RETURN_NONE;
}

/* To wake a peer takes as long as to compress a message. One that answers at once sleeps again before
 * the next message is there, if each turn has but a few for it; so these wait for those of the next. */
PyDoc_STRVAR(gather_doc,
"gather(leaving, /)\n--\n\n"
"Does what `depart` does; where they are a few, after the loop has looked for reads once more.");

static PyObject *
gather(PyObject *module, PyObject *leaving)
{
    ModuleState *state = PyModule_GetState(module);
    Py_ssize_t count = PyList_Size(leaving);
    PyObject *first = count > 0 ? PyList_GetItem(leaving, 0) : NULL;

    if (count < 2 || count > FEW || !PyObject_TypeCheck(first, state->channel_type) ||
        !is_whole((Channel *)first))
        return PyErr_Occurred() ? NULL : depart(module, leaving);
    if (call_soon((Channel *)first, state->depart) < 0)
        return NULL;
    Py_RETURN_NONE;
}

#endif
