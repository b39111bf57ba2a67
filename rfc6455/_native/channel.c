/* The short way of a message between a transport and whoever takes it.
 *
 * What lives here: the base class of a connection on asyncio, as Python sees it. The way itself is in
 * `receiving.h`, `sending.h`, `leaving.h` and `writing.h`. For everything that it does not take it calls
 * `_receive_read`, `_send` and `_push`, the general way in Python, of which it is a shortcut and
 * nothing more. Its twin is `asyncio/channel.py`, which has a short way for less.
 */

#include "receiving.h"
#include "sending.h"

#include <structmember.h>

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
    Py_VISIT(self->memory);
    Py_VISIT(self->own_memory);
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
    Py_CLEAR(self->memory);
    Py_CLEAR(self->own_memory);
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

    if (!is_whole(self) || write_out(self, data, 0) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* It waits in the socket, and leaves in one segment with the end of TCP. */
static PyObject *
channel_write_last(PyObject *object, PyObject *data)
{
    Channel *self = (Channel *)object;

    if (!is_whole(self) || write_out(self, data, MSG_MORE) < 0)
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

PyDoc_STRVAR(get_buffer_doc,
"get_buffer($self, sizehint, /)\n--\n\n"
"Returns the memory that the next read is to go into.");

PyDoc_STRVAR(buffer_updated_doc,
"buffer_updated($self, nbytes, /)\n--\n\n"
"Takes what a read has put there.");

PyDoc_STRVAR(send_doc,
"send($self, message, /, *, compress=None)\n--\n\n"
"Sends a message: see rfc6455.asyncio.channel.");

PyDoc_STRVAR(push_doc,
"push($self, message, /, *, key=None, overflow=Overflow.DISCONNECT, compress=None)\n--\n\n"
"Sends a message without waiting: see rfc6455.asyncio.channel.");

static PyMethodDef channel_methods[] = {
    {"data_received", channel_data_received, METH_O, data_received_doc},
    {"get_buffer", channel_get_buffer, METH_O, get_buffer_doc},
    {"buffer_updated", channel_buffer_updated, METH_O, buffer_updated_doc},
    {"send", (PyCFunction)(void (*)(void))channel_send, METH_FASTCALL | METH_KEYWORDS, send_doc},
    {"push", (PyCFunction)(void (*)(void))channel_push, METH_FASTCALL | METH_KEYWORDS, push_doc},
    {"_give_back", channel_give_back, METH_NOARGS, "Gives an unfinished message to the core."},
    {"_schedule_flush", channel_schedule_flush, METH_NOARGS,
     "Has what is to be sent leave at the end of this turn."},
    {"_write", channel_write, METH_O, "Writes bytes to the transport."},
    {"_write_last", channel_write_last, METH_O,
     "Writes what the end of TCP follows at once."},
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
    {"_memory", T_OBJECT_EX, offsetof(Channel, memory), 0, NULL},
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

static PyMethodDef module_methods[] = {
    {"depart", depart, METH_O, depart_doc},
    {"gather", gather, METH_O, gather_doc},
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
        (state->gather = PyObject_GetAttrString(module, "gather")) == NULL ||
        (states = import_from("rfc6455.state", "State")) == NULL)
        return -1;
    state->open_state = PyObject_GetAttrString(states, "OPEN");
    Py_DECREF(states);
    state->sending_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sending_spec, NULL);
    state->octets_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &octets_spec, NULL);
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
    Py_VISIT(state->octets_type);
    Py_VISIT(state->open_state);
    Py_VISIT(state->new_masking_key);
    Py_VISIT(state->depart);
    Py_VISIT(state->gather);
    Py_VISIT(state->prepared_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);

    Py_CLEAR(state->channel_type);
    Py_CLEAR(state->sending_type);
    Py_CLEAR(state->octets_type);
    Py_CLEAR(state->empty);
    Py_CLEAR(state->join);
    Py_CLEAR(state->open_state);
    Py_CLEAR(state->new_masking_key);
    Py_CLEAR(state->depart);
    Py_CLEAR(state->gather);
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
