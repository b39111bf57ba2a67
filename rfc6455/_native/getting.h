/* How the next message of an inbox is taken, and waited for.
 *
 * What lives here: the structures of the module `inbox`, and the coroutine that its `get` returns. This
 * file does not know how messages come in, nor how the reader is woken.
 */

#ifndef RFC6455_GETTING_H
#define RFC6455_GETTING_H

#include "coroutines.h"

typedef struct {
    PyTypeObject *inbox_type;
    PyTypeObject *getter_type;
    PyObject *current_task;
    PyObject *cancelled_error;
    PyObject *run;       /* interned names of the methods that are called */
    PyObject *call_soon;
    PyObject *run_out;
    PyObject *caught_up;
    PyObject *second_reader;
} ModuleState;

typedef struct {
    PyObject_HEAD
    PyObject *loop;
    PyObject *messages; /* a list; its items up to `next` are taken, and None */
    Py_ssize_t next;
    PyObject *callback; /* what makes the waiting task go on, and its context */
    PyObject *context;
    char blocking;
    char cancelled;
    char woken; /* the event loop has the callback */
    char waiting;
    char watched;
    char over;
    char busy;
} Inbox;

/* What `Inbox.get` returns: a coroutine to whoever awaits it. */
typedef struct {
    PyObject_HEAD
    Inbox *inbox;
    PyObject *owner;
    char iterating;
    char suspended;
} Getter;

static ModuleState *
state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

static Py_ssize_t
inbox_length(PyObject *object)
{
    Inbox *self = (Inbox *)object;
    Py_ssize_t size = PyList_Size(self->messages);

    /* Whoever put the list may have kept it, and emptied it. */
    return size > self->next ? size - self->next : 0;
}

/* Taking */

static PyObject *
inbox_pop(Inbox *self)
{
    PyObject *message = Py_NewRef(PyList_GetItem(self->messages, self->next));

    if (PyList_SetItem(self->messages, self->next, Py_NewRef(Py_None)) < 0) {
        Py_DECREF(message);
        return NULL;
    }
    self->next++;
    return message;
}

/* Takes the next message; tells with PYGEN_NEXT that there is none yet. */
static PySendResult
inbox_take(Inbox *self, PyObject *owner, int iterating, PyObject **message)
{
    ModuleState *state = state_of((PyObject *)self);
    PyObject *answer, *error;

    if (self->waiting) {
        error = PyObject_CallMethodNoArgs(owner, state->second_reader);
        if (error != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
            Py_DECREF(error);
        }
        return PYGEN_ERROR;
    }
    if (inbox_length((PyObject *)self) == 0) {
        self->busy = 0;
        if (!self->over)
            return PYGEN_NEXT;
        answer = PyObject_CallMethodOneArg(owner, state->run_out, iterating ? Py_True : Py_False);
        if (answer == NULL)
            return PYGEN_ERROR;
        Py_DECREF(answer);
        if (inbox_length((PyObject *)self) == 0)
            return PYGEN_NEXT;
    }
    *message = inbox_pop(self);
    if (*message == NULL)
        return PYGEN_ERROR;
    self->busy = 1;
    if (self->watched && inbox_length((PyObject *)self) == 0) {
        answer = PyObject_CallMethodNoArgs(owner, state->caught_up);
        if (answer == NULL) {
            Py_CLEAR(*message);
            return PYGEN_ERROR;
        }
        Py_DECREF(answer);
    }
    return PYGEN_RETURN;
}

/* The coroutine */

static int
getter_traverse(PyObject *object, visitproc visit, void *arg)
{
    Getter *self = (Getter *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->inbox);
    Py_VISIT(self->owner);
    return 0;
}

static void
getter_stop_waiting(Getter *self)
{
    Inbox *inbox = self->inbox;
    PyObject *callback, *context;

    if (!self->suspended)
        return;
    self->suspended = 0;
    inbox->waiting = inbox->woken = inbox->cancelled = 0;
    callback = inbox->callback;
    context = inbox->context;
    inbox->callback = inbox->context = NULL;
    /* With these anything may go, the inbox included. */
    Py_XDECREF(callback);
    Py_XDECREF(context);
}

static int
getter_clear(PyObject *object)
{
    Getter *self = (Getter *)object;

    getter_stop_waiting(self);
    Py_CLEAR(self->inbox);
    Py_CLEAR(self->owner);
    return 0;
}

static void
getter_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    getter_clear(object);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PySendResult
getter_send(PyObject *object, PyObject *Py_UNUSED(value), PyObject **result)
{
    Getter *self = (Getter *)object;
    PySendResult outcome;
    Inbox *inbox;
    PyObject *owner;

    *result = NULL;
    getter_stop_waiting(self);
    if (self->inbox == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    /* It is over unless it has to wait: what the owner does may come back here. */
    inbox = self->inbox;
    owner = self->owner;
    self->inbox = NULL;
    self->owner = NULL;
    outcome = inbox_take(inbox, owner, self->iterating, result);
    if (outcome == PYGEN_NEXT) {
        self->inbox = inbox;
        self->owner = owner;
        self->suspended = 1;
        inbox->waiting = inbox->blocking = 1;
        *result = Py_NewRef((PyObject *)inbox);
        return PYGEN_NEXT;
    }
    Py_DECREF((PyObject *)inbox);
    Py_DECREF(owner);
    return outcome;
}

static PyObject *
getter_next(PyObject *object)
{
    PyObject *result;
    PySendResult outcome = getter_send(object, Py_None, &result);

    return as_generators_do(outcome, result);
}

static PyObject *
getter_send_method(PyObject *object, PyObject *Py_UNUSED(value))
{
    return getter_next(object);
}

static PyObject *
getter_throw(PyObject *object, PyObject *args)
{
    getter_clear(object);
    return raise_thrown(args);
}

static PyObject *
getter_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    getter_clear(object);
    Py_RETURN_NONE;
}

static PyMethodDef getter_methods[] = {
    {"send", getter_send_method, METH_O, "Goes on."},
    {"throw", getter_throw, METH_VARARGS, "Stops waiting, and raises."},
    {"close", getter_close, METH_NOARGS, "Stops waiting."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot getter_slots[] = {
    {Py_tp_dealloc, getter_dealloc},
    {Py_tp_traverse, getter_traverse},
    {Py_tp_clear, getter_clear},
    {Py_tp_methods, getter_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, getter_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, getter_send},
    {0, NULL},
};

static PyType_Spec getter_spec = {
    .name = "rfc6455._native.inbox.Getter",
    .basicsize = sizeof(Getter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = getter_slots,
};

#endif
