/* From a read to whoever takes its messages.
 *
 * What lives here: reads that hold nothing but messages, whole or the start of one. All else is given
 * to `_receive_read`. What is done here `Receiving._receive_read` in Python does in the same way.
 */

#ifndef RFC6455_RECEIVING_H
#define RFC6455_RECEIVING_H

#include "leaving.h"

/* Sets the times of the keepalive, as Connection.receive_data does. */
static int
note_activity(Channel *self)
{
    PyObject *now = call(self, self->loop, N_TIME);
    int failed;

    if (now == NULL)
        return -1;
    failed = PyObject_SetAttr(self->core, self->state->names[N_LAST_RECEIVED], now) < 0 ||
             PyObject_SetAttr(self->core, self->state->names[N_PING_SENT], Py_None) < 0;
    Py_DECREF(now);
    return failed ? -1 : 0;
}

/* Whether the application has closed the connection. */
static int
is_closing(Channel *self)
{
    PyObject *closing = PyObject_GetAttr((PyObject *)self, self->state->names[N_CLOSING]);
    int answer;

    if (closing == NULL)
        return -1;
    answer = PyObject_IsTrue(closing);
    Py_DECREF(closing);
    return answer;
}

/* Gives messages to the callback, one by one; `_deliver` of a `CallbackWebSocket` does the same. */
static int
call_back(Channel *self, PyObject *events)
{
    PyObject *on_message = Py_NewRef(self->on_message);
    Py_ssize_t count = PyList_Size(events);
    int stopped = 0; /* 1 at the end of it all, -1 with an exception */

    for (Py_ssize_t i = 0; i < count && !stopped; i++) {
        PyObject *arguments[] = {(PyObject *)self, PyList_GET_ITEM(events, i)};
        PyObject *answer = PyObject_Vectorcall(on_message, arguments, 2, NULL);

        if (answer == NULL)
            stopped = PyErr_ExceptionMatches(PyExc_Exception) && hand_error(self, N_FAIL) == 0 ? 1 : -1;
        /* The callback may have closed the connection, which ends the short way. */
        else if (!self->takes_reads)
            stopped = is_closing(self);
        Py_XDECREF(answer);
    }
    Py_DECREF(on_message);
    return stopped < 0 ? -1 : 0;
}

/* Gives messages to the inbox; `_deliver` of a `WebSocket` does the same. */
static int
put(Channel *self, PyObject *events, Py_ssize_t size)
{
    PyObject *answer, *inbox = Py_NewRef(self->inbox);
    Py_ssize_t before = PyObject_Size(inbox), after = -1;

    if (before == 0) {
        answer = PyObject_CallMethodOneArg(inbox, self->state->names[N_PUT], events);
        if (answer != NULL)
            after = PyObject_Size(inbox);
        Py_XDECREF(answer);
    }
    Py_DECREF(inbox);
    if (before < 0 || (before == 0 && after <= 0))
        return before < 0 || after < 0 ? -1 : 0;
    return before ? tell_size(self, N_HAND_OUT, events, size)
                  : tell_size(self, N_DELIVERED, NULL, size);
}

/* Gives an unfinished message to the core, which goes on with it the general way. */
static int
give_back(Channel *self)
{
    PyObject *core, *data, *answer;

    if (self->incomplete.payload == NULL)
        return 0;
    if ((data = give_back_incomplete(&self->incomplete)) == NULL)
        return -1;
    core = Py_NewRef(self->core);
    answer = PyObject_CallMethodOneArg(core, self->state->names[N_TAKE_BACK], data);
    Py_DECREF(core);
    Py_DECREF(data);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Goes the general way with what a read brought; messages up to `position` are in `events`. */
static PyObject *
receive_read(Channel *self, PyObject *data, Py_ssize_t position, PyObject *events)
{
    PyObject *offset, *answer;

    if (give_back(self) < 0 || (offset = PyLong_FromSsize_t(position)) == NULL)
        return NULL;
    answer = PyObject_CallMethodObjArgs((PyObject *)self, self->state->names[N_RECEIVE_READ], data,
                                        offset, events, NULL);
    Py_DECREF(offset);
    return answer;
}

/* The size of all messages in a list. */
static Py_ssize_t
total_size(PyObject *events)
{
    Py_ssize_t total = 0, size;

    for (Py_ssize_t i = 0; i < PyList_Size(events); i++) {
        if ((size = PyObject_Size(PyList_GetItem(events, i))) < 0)
            return -1;
        total += size;
    }
    return total;
}

/* Takes the messages at the start of a read, up to the first thing that is to go the general way; or
 * all of it, where it ends within a message. Returns where that is; -1 with an exception set. Adds
 * to `size` what earlier reads have brought of them. */
static Py_ssize_t
take_messages(Channel *self, const unsigned char *octets, Py_ssize_t end, PyObject *events,
              Py_ssize_t *size)
{
    Incomplete *incomplete = &self->incomplete;
    Py_ssize_t position = 0;
    PyObject *unwrap;
    int taken;

    if (incomplete->payload != NULL) {
        Py_ssize_t missing = incomplete->length - incomplete->size, before = incomplete->size;
        PyObject *message;

        position = missing < end ? missing : end;
        if ((taken = add_to_incomplete(incomplete, octets, position)) < 0)
            return taken == -1 ? 0 : -1;
        if (position < missing)
            return end;
        *size += before;
        if ((message = finish_incomplete(incomplete)) == NULL)
            return -1;
        taken = PyList_Append(events, message);
        Py_DECREF(message);
        if (taken < 0)
            return -1;
    }
    /* What it calls may put another in its place. */
    unwrap = Py_XNewRef(self->unwrap);
    position = take_run(octets, end, position, self->masked, self->whole_limit, events, self->mark,
                        unwrap);
    Py_XDECREF(unwrap);
    if (position < 0 || position == end)
        return position;
    taken = start_incomplete(incomplete, octets + position, end - position, self->masked,
                             self->whole_limit);
    return taken < 0 ? -1 : taken ? end : position;
}

/* Gives messages to whoever takes them. */
static int
deliver(Channel *self, PyObject *events, Py_ssize_t size)
{
    if (PyList_Size(events) > BATCH || (self->mark && size >= SHARE))
        return tell_size(self, N_HAND_OUT, events, size);
    return self->on_message != Py_None ? call_back(self, events) : put(self, events, size);
}

/* Takes what a read brought, which lies in `data`; where that is NULL, in memory that the next read
 * overwrites. */
static PyObject *
take_read(Channel *self, const unsigned char *octets, Py_ssize_t length, PyObject *data)
{
    PyObject *events = NULL, *answer = NULL;
    Py_ssize_t size = length, position = 0;
    int opened = 0, failed;

    if (!is_whole(self) ||
        (self->takes_reads && octets && length <= self->longest_read && (opened = is_open(self)) < 0) ||
        (events = PyList_New(0)) == NULL)
        return NULL;
    if (opened) {
        position = take_messages(self, octets, length, events, &size);
        if (position < 0)
            goto done;
        /* Of such a peer less is read at a time: to take a long read apart holds up the others. */
        self->crowded = PyList_GET_SIZE(events) > (self->crowded ? BATCH / 8 : BATCH);
    }
    if (!opened || position < length) {
        data = data ? Py_NewRef(data) : PyBytes_FromStringAndSize((const char *)octets, length);
        if (data != NULL)
            answer = receive_read(self, data, position, events);
        Py_XDECREF(data);
        goto done;
    }
    if ((self->flush_scheduled && flush(self) < 0) || note_activity(self) < 0 ||
        (self->incomplete.size != self->charged &&
         tell_size(self, N_CHARGE, NULL, self->incomplete.size) < 0) ||
        (size = self->mark ? total_size(events) : size) < 0)
        goto done;
    if (PyList_Size(events) > 0) {
        self->batching = 1;
        failed = deliver(self, events, size) < 0;
        self->batching = 0;
        if (failed) {
            flush_behind_error(self);
            goto done;
        }
        /* A turn's worth of large messages would leave the processor's caches, and the C library would
         * give their memory back to the system each time. */
        if ((PyList_Size(self->outbox) > 0 &&
             (self->apart ? flush(self) : schedule_flush(self)) < 0) ||
            (!self->takes_reads && tell(self, N_AFTER_READ) < 0))
            goto done;
    }
    answer = Py_NewRef(Py_None);
done:
    Py_DECREF(events);
    return answer;
}

/* For what came before the transport was ours. */
static PyObject *
channel_data_received(PyObject *object, PyObject *data)
{
    Channel *self = (Channel *)object;

    if (!PyBytes_CheckExact(data))
        return take_read(self, NULL, 0, data);
    return take_read(self, (const unsigned char *)PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                     data);
}

/* Transports that are not known to fill it at once get memory of their own for each read. */
static PyObject *
channel_get_buffer(PyObject *object, PyObject *Py_UNUSED(sizehint))
{
    Channel *self = (Channel *)object;

    if (!is_whole(self))
        return NULL;
    if (self->memory == Py_None) {
        PyObject *octets = PyByteArray_FromStringAndSize(NULL, LARGE_READ);

        Py_XSETREF(self->own_memory, octets ? PyMemoryView_FromObject(octets) : NULL);
        Py_XDECREF(octets);
        return Py_XNewRef(self->own_memory);
    }
    if (self->crowded)
        return PySequence_GetSlice(self->memory, 0, SHORT_READ);
    return Py_NewRef(self->memory);
}

static PyObject *
channel_buffer_updated(PyObject *object, PyObject *count)
{
    Channel *self = (Channel *)object;
    Py_ssize_t length = PyLong_AsSsize_t(count), room = 0;
    PyObject *memory = self->own_memory ? self->own_memory : Py_XNewRef(self->memory);
    PyObject *answer = NULL;

    if (memory != NULL && PyMemoryView_Check(memory))
        room = self->own_memory || !self->crowded ? PyMemoryView_GET_BUFFER(memory)->len : SHORT_READ;
    self->own_memory = NULL;
    if (length >= 0 && length <= room && room > 0)
        answer = take_read(self, PyMemoryView_GET_BUFFER(memory)->buf, length, NULL);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "more than there is room for");
    /* There may be more: libuv would read on, 32 times. */
    if (answer != NULL && length == room && tell(self, N_YIELD_TURN) < 0)
        Py_CLEAR(answer);
    Py_XDECREF(memory);
    return answer;
}

#endif
