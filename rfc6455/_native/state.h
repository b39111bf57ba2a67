/* What the short way of messages looks at: the state of a channel, and how it talks to Python.
 *
 * What lives here: the structures of the module `channel`, the names that it calls, and the small
 * steps that all of it is made of. This file decides nothing.
 */

#ifndef RFC6455_STATE_H
#define RFC6455_STATE_H

#include "incomplete.h"

enum {
    COLLECT_AT_MOST = 64 * 1024, /* as in asyncio/channel.py */
    BATCH = 64,                  /* as in asyncio/channel.py */
    LARGE_READ = 128 * 1024,     /* likewise */
    SHORT_READ = 32 * 1024,      /* of a peer that sends many messages at a time */
    FEW = 64,                    /* connections whose replies wait for those of others */
    LARGE_MESSAGE = 16 * 1024,   /* copied into no frame, if that can be helped */
    APART_AT_MOST = 256 * 1024,  /* bytes that those may add up to in a batch */
    MOST_PARTS = 64,             /* that are written at a time */
};

/* What `descriptor` holds beside descriptors. */
enum {
    UNKNOWN = -2,
    NONE = -1,
};

/* Names of methods and attributes, interned once. */
enum {
    N_RECEIVE_READ,
    N_SEND,
    N_PUSH,
    N_FLUSH,
    N_HAND_OUT,
    N_DELIVERED,
    N_AFTER_READ,
    N_YIELD_TURN,
    N_FRAME,
    N_SIZE,
    N_FAIL,
    N_PUT,
    N_TIME,
    N_STATE,
    N_LAST_RECEIVED,
    N_PING_SENT,
    N_PENDING_PONG,
    N_IS_CLOSING,
    N_CLOSING,
    N_WRITE,
    N_WRAP,
    N_WRAP_PREPARED,
    N_ABORT,
    N_CALL_SOON,
    N_WRITE_BUFFER_SIZE,
    N_FIND_DESCRIPTOR,
    N_CHARGE,
    N_WRITING_FAILED,
    N_TAKE_BACK,
    NAMES,
};

static const char *const NAME_TEXTS[NAMES] = {
    [N_RECEIVE_READ] = "_receive_read",
    [N_SEND] = "_send",
    [N_PUSH] = "_push",
    [N_FLUSH] = "_flush",
    [N_HAND_OUT] = "_hand_out",
    [N_DELIVERED] = "_delivered",
    [N_AFTER_READ] = "_after_read",
    [N_YIELD_TURN] = "_yield_turn",
    [N_FRAME] = "frame",
    [N_SIZE] = "size",
    [N_FAIL] = "_fail_with",
    [N_PUT] = "put",
    [N_TIME] = "time",
    [N_STATE] = "state",
    [N_LAST_RECEIVED] = "_last_received",
    [N_PING_SENT] = "_ping_sent",
    [N_PENDING_PONG] = "_pending_pong",
    [N_IS_CLOSING] = "is_closing",
    [N_CLOSING] = "_closing",
    [N_WRITE] = "write",
    [N_WRAP] = "wrap",
    [N_WRAP_PREPARED] = "wrap_prepared",
    [N_ABORT] = "abort",
    [N_CALL_SOON] = "call_soon",
    [N_WRITE_BUFFER_SIZE] = "get_write_buffer_size",
    [N_FIND_DESCRIPTOR] = "_find_descriptor",
    [N_CHARGE] = "_charge",
    [N_WRITING_FAILED] = "_writing_failed",
    [N_TAKE_BACK] = "take_back",
};

typedef struct {
    PyTypeObject *channel_type;
    PyTypeObject *sending_type;
    PyTypeObject *octets_type;
    PyObject *empty;
    PyObject *join;
    PyObject *open_state;
    PyObject *new_masking_key;
    PyObject *depart;
    PyObject *gather;
    PyTypeObject *prepared_type;
    PyObject *names[NAMES];
} ModuleState;

typedef struct {
    PyObject_HEAD
    ModuleState *state; /* the type keeps the module alive */
    PyObject *core;
    PyObject *transport;
    PyObject *loop;
    PyObject *outbox;     /* the core's list of frames */
    PyObject *leaving;    /* the loop's list of those whose flush is scheduled */
    PyObject *inbox;      /* what waits for the application; sized */
    PyObject *on_message; /* who is called instead; or None */
    PyObject *unwrap;     /* gives messages that the only extension has marked; or None */
    PyObject *memory;     /* a view of where transports put what they read; or None */
    PyObject *own_memory; /* a view of where this one was told to put it instead; or NULL */
    Py_ssize_t collected;
    Py_ssize_t longest_read;
    Py_ssize_t whole_limit;
    Py_ssize_t plain_below;
    int mark;              /* the reserved bit of the only extension */
    Py_ssize_t charged;    /* to the budget of unfinished messages */
    Incomplete incomplete; /* while there is one, the core does not know of it */
    int descriptor;        /* of the socket, where it takes what the transport is given */
    char handed_over;      /* whether something may wait in the transport */
    char takes_reads;      /* whether the short way may be taken */
    char masked;
    char masks;
    char batching;
    char must_wait;
    char write_paused;
    char flush_scheduled;
    char laboured; /* whether an extension has made any of what waits in the outbox */
    char apart; /* whether the outbox may hold payloads apart from their headers */
    char crowded; /* whether reads bring more messages than are handed out in a turn */
} Channel;

/* Small steps */

/* Whether everything is there: `__init__` has run, and the garbage collector has not. */
static int
is_whole(Channel *self)
{
    if (self->core && self->transport && self->loop && self->outbox && self->leaving &&
        self->inbox && self->on_message && self->memory)
        return 1;
    PyErr_SetString(PyExc_AttributeError, "the connection is not initialised");
    return 0;
}

/* Calls a method that may replace what it is called on. */
static PyObject *
call(Channel *self, PyObject *object, int name)
{
    PyObject *answer;

    Py_INCREF(object);
    answer = PyObject_CallMethodNoArgs(object, self->state->names[name]);
    Py_DECREF(object);
    return answer;
}

/* Calls a method of our own for what it does. */
static int
tell(Channel *self, int name)
{
    PyObject *answer = call(self, (PyObject *)self, name);

    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static int
is_open(Channel *self)
{
    PyObject *state = PyObject_GetAttr(self->core, self->state->names[N_STATE]);

    if (state == NULL)
        return -1;
    Py_DECREF(state);
    return state == self->state->open_state;
}

/* Calls a method of our own with messages, where there are any, and a size. */
static int
tell_size(Channel *self, int name, PyObject *events, Py_ssize_t size)
{
    PyObject *count = PyLong_FromSsize_t(size), *answer;

    if (count == NULL)
        return -1;
    answer = PyObject_CallMethodObjArgs((PyObject *)self, self->state->names[name],
                                        events ? events : count, events ? count : NULL, NULL);
    Py_DECREF(count);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Hands the exception that is set to a method of our own. */
static int
hand_error(Channel *self, int name)
{
    PyObject *type, *error, *traceback, *answer;

    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    answer = PyObject_CallMethodOneArg((PyObject *)self, self->state->names[name], error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

#endif
