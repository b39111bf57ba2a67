/* From the core's outbox to the peer.
 *
 * What lives here: when what was said leaves. Which way it goes is in `writing.h`. This file does not
 * know what frames hold.
 */

#ifndef RFC6455_LEAVING_H
#define RFC6455_LEAVING_H

#include "writing.h"

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
    int closing, apart = 0, failed = -1;

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
    if ((closing = is_transport_closing(self)) < 0 ||
        (!closing && self->apart && count <= MOST_PARTS && (apart = may_go_straight(self)) < 0))
        return -1;
    if (apart)
        data = PyList_GetSlice(self->outbox, 0, count);
    else
        data = count == 1 ? Py_NewRef(PyList_GetItem(self->outbox, 0))
                          : PyObject_CallMethodOneArg(self->state->empty, self->state->join,
                                                      self->outbox);
    if (data != NULL && PyList_SetSlice(self->outbox, 0, count, NULL) == 0) {
        self->apart = 0;
        failed = closing ? 0 : apart ? write_parts(self, data) : write_out(self, data, 0);
    }
    Py_XDECREF(data);
    return failed;
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
