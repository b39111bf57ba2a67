/* From a message to the outbox.
 *
 * What lives here: `send` and `push` for messages that nothing stands in the way of, and the coroutine
 * that `send` returns. All else is given to `_send` and `_push`.
 */

#ifndef RFC6455_SENDING_H
#define RFC6455_SENDING_H

#include "coroutines.h"
#include "leaving.h"

/* What `send` returns for a message that may go the short way. */
typedef struct {
    PyObject_HEAD
    Channel *channel;
    PyObject *message; /* until it is awaited */
    PyObject *general; /* the coroutine of the general way, where it had to go that */
} Sending;

/* Makes the frame of a message as the only extension transforms it. Returns NULL without an
 * exception where it does not apply. */
static PyObject *
wrapped_frame(Channel *self, int first, PyObject *message, const unsigned char *key)
{
    PyObject *core, *bytes, *wrapped, *frame = NULL;
    Py_buffer buffer;
    int mark = self->mark;

    bytes = PyBytes_Check(message) ? Py_NewRef(message) : PyUnicode_AsUTF8String(message);
    if (bytes == NULL)
        return NULL;
    core = Py_NewRef(self->core);
    wrapped = PyObject_CallMethodOneArg(core, self->state->names[N_WRAP], bytes);
    Py_DECREF(core);
    Py_DECREF(bytes);
    if (wrapped != NULL && wrapped != Py_None &&
        PyObject_GetBuffer(wrapped, &buffer, PyBUF_SIMPLE) == 0) {
        frame = make_frame(first | mark, buffer.buf, buffer.len, key);
        PyBuffer_Release(&buffer);
        self->laboured = 1;
    }
    Py_XDECREF(wrapped);
    return frame;
}

/* Has what was put into the outbox leave, now or with the others of its batch. */
static int
leave(Channel *self, Py_ssize_t size, int collects)
{
    if (!collects)
        return flush(self);
    self->collected += size;
    if (self->collected > (self->apart ? APART_AT_MOST : COLLECT_AT_MOST))
        return flush(self);
    return self->batching ? 0 : schedule_flush(self);
}

/* Puts a frame into the outbox. */
static int
put_out(Channel *self, PyObject *frame, Py_ssize_t size, int collects)
{
    int failed = is_whole(self) ? PyList_Append(self->outbox, frame) : -1;

    Py_DECREF(frame);
    return failed < 0 ? -1 : leave(self, size, collects);
}

/* Puts a message into the outbox without making a frame of it: a header, and the payload as it is. */
static int
put_out_apart(Channel *self, int first, PyObject *message, Py_ssize_t size, int collects)
{
    unsigned char octets[LONGEST_HEADER];
    PyObject *header = PyBytes_FromStringAndSize((char *)octets,
                                                 write_header(octets, first, size, 0));
    PyObject *payload = PyBytes_Check(message) ? Py_NewRef(message) : octets_of(self, message);
    PyObject *parts = header && payload ? PyList_New(0) : NULL;
    int failed = -1;

    if (parts && is_whole(self) && PyList_Append(parts, header) == 0 &&
        PyList_Append(parts, payload) == 0)
        failed = PyList_SetSlice(self->outbox, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, parts);
    Py_XDECREF(header);
    Py_XDECREF(payload);
    Py_XDECREF(parts);
    if (failed < 0)
        return -1;
    self->apart = 1;
    return leave(self, size, collects);
}

/* Sends a message the short way, if nothing stands in its way. Returns 1 if it did, 0 if it is to go
 * the general way, -1 with an exception set. */
static int
send_now(Channel *self, PyObject *message, int pushed)
{
    const char *payload;
    Py_ssize_t size, waiting;
    PyObject *key = NULL, *frame;
    const unsigned char *key_octets = NULL;
    int first = FIN | BINARY, collects = self->batching || pushed, opened, straight;

    if (self->must_wait || !is_whole(self))
        return PyErr_Occurred() ? -1 : 0;
    if (PyUnicode_CheckExact(message)) {
        first = FIN | TEXT;
        payload = PyUnicode_AsUTF8AndSize(message, &size);
        if (payload == NULL) {
            PyErr_Clear();
            return 0;
        }
    }
    else if (PyBytes_CheckExact(message)) {
        payload = PyBytes_AsString(message);
        size = PyBytes_Size(message);
    }
    else
        return 0;
    if (size >= self->plain_below && !self->mark)
        return 0;
    if ((opened = is_open(self)) <= 0)
        return opened;
    /* Behind a message that the application has yet to take there may be another reply; and who
     * pushes one does not wait for it to leave. */
    if (!collects && self->on_message == Py_None) {
        if ((waiting = PyObject_Size(self->inbox)) < 0)
            return -1;
        collects = waiting > 0;
    }
    if (size >= LARGE_MESSAGE && size < self->plain_below && !self->masks &&
        (straight = may_go_straight(self)) != 0)
        return straight < 0 || put_out_apart(self, first, message, size, collects) < 0 ? -1 : 1;
    if (self->masks) {
        if ((key = PyObject_CallNoArgs(self->state->new_masking_key)) == NULL)
            return -1;
        key_octets = (const unsigned char *)PyBytes_AsString(key);
    }
    frame = size < self->plain_below ? make_frame(first, payload, size, key_octets)
                                     : wrapped_frame(self, first, message, key_octets);
    Py_XDECREF(key);
    if (frame == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return put_out(self, frame, size, collects) < 0 ? -1 : 1;
}

static PyObject *
go_general_way(Channel *self, int name, PyObject *const *args, Py_ssize_t nargs,
               PyObject *keywords)
{
    Py_ssize_t count = keywords ? PyTuple_Size(keywords) : 0;
    PyObject *method = PyObject_GetAttr((PyObject *)self, self->state->names[name]);
    PyObject *positional = PyTuple_New(nargs), *named = PyDict_New(), *answer = NULL;

    if (method == NULL || positional == NULL || named == NULL)
        goto done;
    for (Py_ssize_t i = 0; i < nargs; i++)
        if (PyTuple_SetItem(positional, i, Py_NewRef(args[i])) < 0)
            goto done;
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyDict_SetItem(named, PyTuple_GetItem(keywords, i), args[nargs + i]) < 0)
            goto done;
    answer = PyObject_Call(method, positional, named);
done:
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return answer;
}

static PyObject *
channel_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    Channel *self = (Channel *)object;
    Sending *sending;

    if (nargs != 1 || keywords != NULL ||
        !(PyUnicode_CheckExact(args[0]) || PyBytes_CheckExact(args[0])))
        return go_general_way(self, N_SEND, args, nargs, keywords);
    sending = (Sending *)PyType_GenericAlloc(self->state->sending_type, 0);
    if (sending == NULL)
        return NULL;
    sending->channel = (Channel *)Py_NewRef(object);
    sending->message = Py_NewRef(args[0]);
    return (PyObject *)sending;
}

/* Does the same for a prepared message, which is pushed. */
static int
send_prepared_now(Channel *self, PyObject *prepared)
{
    PyObject *length, *core, *frame;
    Py_ssize_t size;
    int opened;

    if (self->must_wait || self->masks || !is_whole(self))
        return PyErr_Occurred() ? -1 : 0;
    if ((length = PyObject_GetAttr(prepared, self->state->names[N_SIZE])) == NULL)
        return -1;
    size = PyLong_AsSsize_t(length);
    Py_DECREF(length);
    if (size < 0)
        return -1;
    if (size >= self->plain_below && !self->mark)
        return 0;
    if ((opened = is_open(self)) <= 0)
        return opened;
    if (size < self->plain_below)
        frame = PyObject_GetAttr(prepared, self->state->names[N_FRAME]);
    else {
        core = Py_NewRef(self->core);
        frame = PyObject_CallMethodOneArg(core, self->state->names[N_WRAP_PREPARED], prepared);
        Py_DECREF(core);
        if (frame == Py_None) {
            Py_DECREF(frame);
            return 0;
        }
    }
    return frame == NULL || put_out(self, frame, size, 1) < 0 ? -1 : 1;
}

/* Whether the keywords of a push matter only where the peer is slow. */
static int
are_for_slow_peers(PyObject *keywords, PyObject *const *values)
{
    for (Py_ssize_t i = 0; i < PyTuple_Size(keywords); i++) {
        PyObject *name = PyTuple_GetItem(keywords, i);

        if (PyUnicode_CompareWithASCIIString(name, "key") != 0 &&
            PyUnicode_CompareWithASCIIString(name, "overflow") != 0 &&
            (PyUnicode_CompareWithASCIIString(name, "compress") != 0 || values[i] != Py_None))
            return 0;
    }
    return 1;
}

static PyObject *
channel_push(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    Channel *self = (Channel *)object;
    int sent = 0;

    if (nargs == 1 && (keywords == NULL || are_for_slow_peers(keywords, args + nargs)))
        sent = Py_IS_TYPE(args[0], self->state->prepared_type) ? send_prepared_now(self, args[0])
                                                               : send_now(self, args[0], 1);
    if (sent < 0)
        return NULL;
    return sent ? Py_NewRef(Py_True) : go_general_way(self, N_PUSH, args, nargs, keywords);
}

/* The coroutine, which does nothing before it is awaited */

static int
sending_traverse(PyObject *object, visitproc visit, void *arg)
{
    Sending *self = (Sending *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->general);
    return 0;
}

static int
sending_clear(PyObject *object)
{
    Sending *self = (Sending *)object;

    Py_CLEAR(self->channel);
    Py_CLEAR(self->message);
    Py_CLEAR(self->general);
    return 0;
}

static void
sending_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *pending_type, *pending, *traceback;

    PyObject_GC_UnTrack(object);
    if (((Sending *)object)->message != NULL) {
        PyErr_Fetch(&pending_type, &pending, &traceback);
        if (PyErr_WarnEx(PyExc_RuntimeWarning, "coroutine 'send' of a WebSocket was never awaited",
                         1) < 0)
            PyErr_WriteUnraisable((PyObject *)type);
        PyErr_Restore(pending_type, pending, traceback);
    }
    sending_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PySendResult
sending_send(PyObject *object, PyObject *value, PyObject **result)
{
    Sending *self = (Sending *)object;
    int sent;

    *result = NULL;
    if (self->message != NULL) {
        PyObject *message = self->message;

        self->message = NULL;
        sent = send_now(self->channel, message, 0);
        if (sent == 0)
            self->general = go_general_way(self->channel, N_SEND, &message, 1, NULL);
        Py_DECREF(message);
        if (sent > 0) {
            *result = Py_NewRef(Py_None);
            return PYGEN_RETURN;
        }
    }
    else if (self->general == NULL)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    if (self->general == NULL)
        return PYGEN_ERROR;
    return PyIter_Send(self->general, value, result);
}

static PyObject *
sending_send_method(PyObject *object, PyObject *value)
{
    PyObject *result;
    PySendResult outcome = sending_send(object, value, &result);

    return as_generators_do(outcome, result);
}

static PyObject *
sending_next(PyObject *object)
{
    return sending_send_method(object, Py_None);
}

static PyObject *
sending_throw(PyObject *object, PyObject *args)
{
    Sending *self = (Sending *)object;
    PyObject *method, *answer;

    Py_CLEAR(self->message);
    if (self->general == NULL)
        return raise_thrown(args);
    if ((method = PyObject_GetAttrString(self->general, "throw")) == NULL)
        return NULL;
    answer = PyObject_Call(method, args, NULL);
    Py_DECREF(method);
    return answer;
}

static PyObject *
sending_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Sending *self = (Sending *)object;
    PyObject *method, *answer;

    Py_CLEAR(self->message);
    if (self->general == NULL)
        Py_RETURN_NONE;
    if ((method = PyObject_GetAttrString(self->general, "close")) == NULL)
        return NULL;
    answer = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    return answer;
}

static PyMethodDef sending_methods[] = {
    {"send", sending_send_method, METH_O, "Goes on."},
    {"throw", sending_throw, METH_VARARGS, "Goes on with an exception."},
    {"close", sending_close, METH_NOARGS, "Gives up."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sending_slots[] = {
    {Py_tp_dealloc, sending_dealloc},
    {Py_tp_traverse, sending_traverse},
    {Py_tp_clear, sending_clear},
    {Py_tp_methods, sending_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sending_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, sending_send},
    {0, NULL},
};

static PyType_Spec sending_spec = {
    .name = "rfc6455._native.channel.Sending",
    .basicsize = sizeof(Sending),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sending_slots,
};

#endif
