/* The short way of a message between a transport and whoever takes it.
 *
 * What lives here: the base class of a connection on asyncio, with the state that its hot path looks
 * at, and that path. It takes reads that hold nothing but whole messages, and sends messages that
 * nothing stands in the way of; for everything else it calls `_receive_read`, `_send` and `_push`, the
 * general way in Python, of which it is a shortcut and nothing more. Its twin is `asyncio/channel.py`,
 * which knows the general way alone.
 */

#include "incomplete.h"

#include <structmember.h>

#ifndef _WIN32
#include <sys/socket.h>
#include <sys/uio.h>
#endif

enum {
    COLLECT_AT_MOST = 64 * 1024, /* as in asyncio/outgoing.py */
    BATCH = 64,                  /* as in asyncio/endpoint.py */
    LARGE_READ = 128 * 1024,     /* likewise */
    LARGE_MESSAGE = 16 * 1024,   /* copied into no frame, if that can be helped */
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
    N_CALL_SOON,
    N_WRITE_BUFFER_SIZE,
    N_FIND_DESCRIPTOR,
    N_CHARGE,
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
    [N_CALL_SOON] = "call_soon",
    [N_WRITE_BUFFER_SIZE] = "get_write_buffer_size",
    [N_FIND_DESCRIPTOR] = "_find_descriptor",
    [N_CHARGE] = "_charge",
    [N_TAKE_BACK] = "take_back",
};

typedef struct {
    PyTypeObject *channel_type;
    PyTypeObject *sending_type;
    PyObject *empty;
    PyObject *join;
    PyObject *open_state;
    PyObject *new_masking_key;
    PyObject *depart;
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
    Py_ssize_t collected;
    Py_ssize_t longest_read;
    Py_ssize_t whole_limit;
    Py_ssize_t plain_below;
    int mark;         /* the reserved bit of the only extension */
    Py_ssize_t charged;    /* to the budget of unfinished messages */
    Incomplete incomplete; /* while there is one, the core does not know of it */
    int descriptor;   /* of the socket, where it takes what the transport is given */
    char handed_over; /* whether something may wait in the transport */
    char takes_reads; /* whether the short way may be taken */
    char masked;
    char masks;
    char batching;
    char must_wait;
    char write_paused;
    char flush_scheduled;
} Channel;


/* What `send` returns for a message that may go the short way. */
typedef struct {
    PyObject_HEAD
    Channel *channel;
    PyObject *message; /* until it is awaited */
    PyObject *general; /* the coroutine of the general way, where it had to go that */
} Sending;

/* Life */

/* Subclasses are Python's: the type that knows the module is one of their bases. */
static ModuleState *
find_state(PyTypeObject *type)
{
    for (; type != NULL; type = PyType_GetSlot(type, Py_tp_base)) {
        ModuleState *state = PyType_GetModuleState(type);

        if (state != NULL)
            return state;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_SystemError, "a channel without its module");
    return NULL;
}

/* Returns an attribute of a module, or NULL with an exception set. */
static PyObject *
import_from(const char *name, const char *attribute)
{
    PyObject *imported = PyImport_ImportModule(name), *found;

    if (imported == NULL)
        return NULL;
    found = PyObject_GetAttrString(imported, attribute);
    Py_DECREF(imported);
    return found;
}

static PyObject *
channel_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords))
{
    ModuleState *state = find_state(type);
    Channel *self;

    if (state == NULL)
        return NULL;
    /* Not when this module is imported: that one imports it, by way of `codec`. */
    if (state->prepared_type == NULL &&
        (state->prepared_type =
             (PyTypeObject *)import_from("rfc6455.prepared", "PreparedMessage")) == NULL)
        return NULL;
    self = (Channel *)PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->descriptor = UNKNOWN;
        /* The answer to the opening handshake, by somebody else. */
        self->handed_over = 1;
    }
    return (PyObject *)self;
}

static int
channel_traverse(PyObject *object, visitproc visit, void *arg)
{
    Channel *self = (Channel *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->core);
    Py_VISIT(self->transport);
    Py_VISIT(self->loop);
    Py_VISIT(self->outbox);
    Py_VISIT(self->leaving);
    Py_VISIT(self->inbox);
    Py_VISIT(self->on_message);
    Py_VISIT(self->unwrap);
    return 0;
}

static int
channel_clear(PyObject *object)
{
    Channel *self = (Channel *)object;

    Py_CLEAR(self->core);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->outbox);
    Py_CLEAR(self->leaving);
    Py_CLEAR(self->inbox);
    Py_CLEAR(self->on_message);
    Py_CLEAR(self->unwrap);
    return 0;
}

static void
channel_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    channel_clear(object);
    forget_incomplete(&((Channel *)object)->incomplete);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* Small steps */

/* Whether everything is there: `__init__` has run, and the garbage collector has not. */
static int
is_whole(Channel *self)
{
    if (self->core && self->transport && self->loop && self->outbox && self->leaving &&
        self->inbox && self->on_message)
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
 * goes wrong, the transport finds it too, and knows what to do. */
static Py_ssize_t
put_into_socket(Channel *self, const void *header, Py_ssize_t header_size, const void *payload,
                Py_ssize_t size)
{
#ifdef _WIN32
    return 0;
#else
    struct iovec parts[] = {
        {.iov_base = (void *)header, .iov_len = (size_t)header_size},
        {.iov_base = (void *)payload, .iov_len = (size_t)size},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    Py_ssize_t sent;

    if (header_size == 0)
        sent = send(self->descriptor, payload, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        sent = sendmsg(self->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : sent;
#endif
}

/* Gives bytes to the transport. Takes over the reference, which may be NULL. */
static int
hand_over(Channel *self, PyObject *data)
{
    PyObject *transport, *answer;

    if (data == NULL)
        return -1;
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
write_out(Channel *self, PyObject *data)
{
    int straight = PyBytes_CheckExact(data) ? may_go_straight(self) : 0;

    if (straight < 0)
        return -1;
    if (straight) {
        const char *octets = PyBytes_AsString(data);
        Py_ssize_t size = PyBytes_Size(data), sent = put_into_socket(self, NULL, 0, octets, size);

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
        failed = write_out(self, data);
    Py_DECREF(data);
    return closing < 0 ? -1 : failed;
}

/* Has the loop call `depart` at the end of this turn; `_schedule_flush` in Python does the same. */
static int
schedule_flush(Channel *self)
{
    Py_ssize_t waiting;

    if (self->flush_scheduled)
        return 0;
    if (!is_whole(self) || (waiting = PyList_Size(self->leaving)) < 0)
        return -1;
    if (waiting == 0) {
        PyObject *arguments[] = {self->loop, self->state->depart, self->leaving};
        PyObject *handle = PyObject_VectorcallMethod(self->state->names[N_CALL_SOON], arguments, 3,
                                                     NULL);

        if (handle == NULL)
            return -1;
        Py_DECREF(handle);
    }
    self->flush_scheduled = 1;
    return PyList_Append(self->leaving, (PyObject *)self);
}

/* Receiving */

/* Hands an exception of the callback's to Python, which logs it and closes the connection. */
static int
fail(Channel *self)
{
    PyObject *type, *error, *traceback, *answer;

    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    answer = PyObject_CallMethodOneArg((PyObject *)self, self->state->names[N_FAIL], error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
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
            stopped = PyErr_ExceptionMatches(PyExc_Exception) && fail(self) == 0 ? 1 : -1;
        /* The callback may have closed the connection, which ends the short way. */
        else if (!self->takes_reads)
            stopped = is_closing(self);
        Py_XDECREF(answer);
    }
    Py_DECREF(on_message);
    return stopped < 0 ? -1 : 0;
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

static PyObject *
channel_data_received(PyObject *object, PyObject *data)
{
    Channel *self = (Channel *)object;
    PyObject *events, *answer = NULL;
    Py_ssize_t size, length, position;
    int opened = 0, failed;

    if (!is_whole(self) || (self->takes_reads && PyBytes_CheckExact(data) &&
                            PyBytes_Size(data) <= self->longest_read &&
                            (opened = is_open(self)) < 0))
        return NULL;
    if ((events = PyList_New(0)) == NULL)
        return NULL;
    if (!opened) {
        answer = receive_read(self, data, 0, events);
        goto done;
    }
    size = length = PyBytes_Size(data);
    position = take_messages(self, (const unsigned char *)PyBytes_AsString(data), length, events,
                             &size);
    if (position < 0)
        goto done;
    if (position < length) {
        answer = receive_read(self, data, position, events);
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
        if ((PyList_Size(self->outbox) > 0 && schedule_flush(self) < 0) ||
            (!self->takes_reads && tell(self, N_AFTER_READ) < 0))
            goto done;
    }
    if (length < LARGE_READ || tell(self, N_YIELD_TURN) == 0)
        answer = Py_NewRef(Py_None);
done:
    Py_DECREF(events);
    return answer;
}

/* Sending */

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
    }
    Py_XDECREF(wrapped);
    return frame;
}

/* Puts a frame into the outbox, which leaves now or with the others of its batch. */
static int
put_out(Channel *self, PyObject *frame, Py_ssize_t size, int collects)
{
    int failed = is_whole(self) ? PyList_Append(self->outbox, frame) : -1;

    Py_DECREF(frame);
    if (failed < 0)
        return -1;
    if (!collects)
        return flush(self);
    self->collected += size;
    if (self->collected > COLLECT_AT_MOST)
        return flush(self);
    return self->batching ? 0 : schedule_flush(self);
}

/* Writes the frame of a large message without making one. Returns 0 if that cannot be. */
static int
send_uncopied(Channel *self, int first, const char *payload, Py_ssize_t size)
{
    unsigned char header[LONGEST_HEADER];
    Py_ssize_t waiting, header_size, sent;
    PyObject *rest;
    char *out;
    int closing, straight;

    if (flush(self) < 0 || (waiting = PyList_Size(self->outbox)) < 0 ||
        (closing = is_transport_closing(self)) < 0 || (straight = may_go_straight(self)) < 0)
        return -1;
    if (waiting || closing || !straight)
        return 0;
    header_size = write_header(header, first, size, 0);
    sent = put_into_socket(self, header, header_size, payload, size);
    if (sent == header_size + size)
        return 1;
    if (sent == 0)
        return 0;
    rest = PyBytes_FromStringAndSize(NULL, header_size + size - sent);
    if (rest != NULL) {
        out = PyBytes_AsString(rest);
        if (sent < header_size) {
            memcpy(out, header + sent, (size_t)(header_size - sent));
            out += header_size - sent;
            sent = header_size;
        }
        memcpy(out, payload + sent - header_size, (size_t)(size + header_size - sent));
    }
    return hand_over(self, rest) < 0 ? -1 : 1;
}

/* Sends a message the short way, if nothing stands in its way. Returns 1 if it did, 0 if it is to go
 * the general way, -1 with an exception set. */
static int
send_now(Channel *self, PyObject *message, int pushed)
{
    const char *payload;
    Py_ssize_t size, waiting = 0;
    PyObject *key = NULL, *frame;
    const unsigned char *key_octets = NULL;
    int first = FIN | BINARY, sent;

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
    if ((sent = is_open(self)) <= 0)
        return sent;
    if (size >= LARGE_MESSAGE && size < self->plain_below && !self->masks &&
        (sent = send_uncopied(self, first, payload, size)) != 0)
        return sent;
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
    /* Behind a message that the application has yet to take there may be another reply; and who
     * pushes one does not wait for it to leave. */
    if (!self->batching && !pushed && self->on_message == Py_None &&
        (waiting = PyObject_Size(self->inbox)) < 0) {
        Py_DECREF(frame);
        return -1;
    }
    return put_out(self, frame, size, self->batching || pushed || waiting > 0) < 0 ? -1 : 1;
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

static PyObject *
channel_schedule_flush(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (schedule_flush((Channel *)object) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
channel_write(PyObject *object, PyObject *data)
{
    Channel *self = (Channel *)object;

    if (!is_whole(self) || write_out(self, data) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
channel_allow_shortcuts(PyObject *object, PyObject *args)
{
    Channel *self = (Channel *)object;
    int takes_reads, masked;
    PyObject *unwrap, *previous = self->unwrap;

    if (!PyArg_ParseTuple(args, "pnpnniO:_allow_shortcuts", &takes_reads, &self->longest_read,
                          &masked, &self->whole_limit, &self->plain_below, &self->mark, &unwrap))
        return NULL;
    self->unwrap = Py_NewRef(unwrap);
    Py_XDECREF(previous);
    self->takes_reads = (char)takes_reads;
    self->masked = (char)masked;
    self->masks = (char)!masked;
    if (!takes_reads && give_back(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
channel_give_back(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (!is_whole((Channel *)object) || give_back((Channel *)object) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(data_received_doc,
"data_received($self, data, /)\n--\n\n"
"Takes what a read brought.");

PyDoc_STRVAR(send_doc,
"send($self, message, /, *, compress=None)\n--\n\n"
"Sends a message: see rfc6455.asyncio.channel.");

PyDoc_STRVAR(push_doc,
"push($self, message, /, *, key=None, overflow=Overflow.DISCONNECT, compress=None)\n--\n\n"
"Sends a message without waiting: see rfc6455.asyncio.channel.");

static PyMethodDef channel_methods[] = {
    {"data_received", channel_data_received, METH_O, data_received_doc},
    {"send", (PyCFunction)(void (*)(void))channel_send, METH_FASTCALL | METH_KEYWORDS, send_doc},
    {"push", (PyCFunction)(void (*)(void))channel_push, METH_FASTCALL | METH_KEYWORDS, push_doc},
    {"_give_back", channel_give_back, METH_NOARGS, "Gives an unfinished message to the core."},
    {"_schedule_flush", channel_schedule_flush, METH_NOARGS,
     "Has what is to be sent leave at the end of this turn."},
    {"_write", channel_write, METH_O, "Writes bytes to the transport."},
    {"_allow_shortcuts", channel_allow_shortcuts, METH_VARARGS,
     "Says which messages may take the short way."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef channel_members[] = {
    {"_core", T_OBJECT_EX, offsetof(Channel, core), 0, NULL},
    {"_transport", T_OBJECT_EX, offsetof(Channel, transport), 0, NULL},
    {"_loop", T_OBJECT_EX, offsetof(Channel, loop), 0, NULL},
    {"_outbox", T_OBJECT_EX, offsetof(Channel, outbox), 0, NULL},
    {"_leaving", T_OBJECT_EX, offsetof(Channel, leaving), 0, NULL},
    {"_inbox", T_OBJECT_EX, offsetof(Channel, inbox), 0, NULL},
    {"_on_message", T_OBJECT_EX, offsetof(Channel, on_message), 0, NULL},
    {"_charged", T_PYSSIZET, offsetof(Channel, charged), 0, NULL},
    {"_collected", T_PYSSIZET, offsetof(Channel, collected), 0, NULL},
    {"_batching", T_BOOL, offsetof(Channel, batching), 0, NULL},
    {"_must_wait", T_BOOL, offsetof(Channel, must_wait), 0, NULL},
    {"_write_paused", T_BOOL, offsetof(Channel, write_paused), 0, NULL},
    {"_flush_scheduled", T_BOOL, offsetof(Channel, flush_scheduled), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_doc, "The short way of messages: see rfc6455.asyncio.channel."},
    {Py_tp_new, channel_new},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_traverse, channel_traverse},
    {Py_tp_clear, channel_clear},
    {Py_tp_methods, channel_methods},
    {Py_tp_members, channel_members},
    {0, NULL},
};

static PyType_Spec channel_spec = {
    .name = "rfc6455._native.channel.Channel",
    .basicsize = sizeof(Channel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = channel_slots,
};

/* Sending: a coroutine, which does nothing before it is awaited */

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

    if (sending_send(object, value, &result) == PYGEN_RETURN) {
        PyErr_SetObject(PyExc_StopIteration, result);
        Py_CLEAR(result);
    }
    return result;
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
    PyObject *type, *value = NULL, *traceback = NULL, *method, *answer;

    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback))
        return NULL;
    Py_CLEAR(self->message);
    if (self->general != NULL) {
        if ((method = PyObject_GetAttrString(self->general, "throw")) == NULL)
            return NULL;
        answer = PyObject_Call(method, args, NULL);
        Py_DECREF(method);
        return answer;
    }
    if (PyType_Check(type))
        PyErr_SetObject(type, value);
    else
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    return NULL;
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

/* Departures */

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

        /* An observer, who is told in Python, has all messages go the general way. */
        if (!PyObject_TypeCheck(object, state->channel_type) ||
            (channel->plain_below > 0 ? flush(channel) : tell(channel, N_FLUSH)) < 0) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "no channel");
            /* One that fails does not keep the others. */
            PyErr_WriteUnraisable(object);
        }
    }
    Py_DECREF(channels);
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"depart", depart, METH_O, depart_doc},
    {NULL, NULL, 0, NULL},
};

/* The module */

static int
module_exec(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    PyObject *states;

    for (int i = 0; i < NAMES; i++)
        if ((state->names[i] = PyUnicode_InternFromString(NAME_TEXTS[i])) == NULL)
            return -1;
    if ((state->join = PyUnicode_InternFromString("join")) == NULL ||
        (state->empty = PyBytes_FromStringAndSize(NULL, 0)) == NULL ||
        (state->new_masking_key = import_from("rfc6455.masking", "new_masking_key")) == NULL ||
        (state->depart = PyObject_GetAttrString(module, "depart")) == NULL ||
        (states = import_from("rfc6455.state", "State")) == NULL)
        return -1;
    state->open_state = PyObject_GetAttrString(states, "OPEN");
    Py_DECREF(states);
    state->sending_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sending_spec, NULL);
    state->channel_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &channel_spec, NULL);
    if (PyErr_Occurred())
        return -1;
    return PyModule_AddType(module, state->channel_type);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    ModuleState *state = PyModule_GetState(module);

    Py_VISIT(state->channel_type);
    Py_VISIT(state->sending_type);
    Py_VISIT(state->open_state);
    Py_VISIT(state->new_masking_key);
    Py_VISIT(state->depart);
    Py_VISIT(state->prepared_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);

    Py_CLEAR(state->channel_type);
    Py_CLEAR(state->sending_type);
    Py_CLEAR(state->empty);
    Py_CLEAR(state->join);
    Py_CLEAR(state->open_state);
    Py_CLEAR(state->new_masking_key);
    Py_CLEAR(state->depart);
    Py_CLEAR(state->prepared_type);
    for (int i = 0; i < NAMES; i++)
        Py_CLEAR(state->names[i]);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rfc6455._native.channel",
    .m_doc = "The short way of messages between a transport and whoever takes them.",
    .m_size = sizeof(ModuleState),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC
PyInit_channel(void)
{
    return PyModuleDef_Init(&module);
}
