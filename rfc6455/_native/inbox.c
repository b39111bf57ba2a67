/* The native twin of `asyncio/inbox.py`: the messages that wait for one task, and that task.
 *
 * What lives here: a queue whose reader runs as soon as there is something to read. The Python is the
 * specification; this file gives the same results, and adds nothing. It does not know where messages
 * come from.
 */

#include "getting.h"

#include <structmember.h>

/* Inbox */

static PyObject *
inbox_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"loop", NULL};
    PyObject *loop;
    Inbox *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Inbox", names, &loop))
        return NULL;
    self = (Inbox *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->loop = Py_NewRef(loop);
    self->messages = PyList_New(0);
    if (self->messages == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
inbox_traverse(PyObject *object, visitproc visit, void *arg)
{
    Inbox *self = (Inbox *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->loop);
    Py_VISIT(self->messages);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    return 0;
}

/* The loop and the list of messages stay, so that they are always there: all that leads from them
 * back here leads through others, which can be cleared. */
static int
inbox_clear(PyObject *object)
{
    Inbox *self = (Inbox *)object;

    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    return 0;
}

static void
inbox_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    inbox_clear(object);
    Py_CLEAR(((Inbox *)object)->loop);
    Py_CLEAR(((Inbox *)object)->messages);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyObject *
inbox_peek(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Inbox *self = (Inbox *)object;

    return PyList_GetSlice(self->messages, self->next, PyList_Size(self->messages));
}

/* Lets the event loop call the callback at its next turn. */
static int
inbox_wake_later(Inbox *self)
{
    PyObject *method, *args, *keywords = PyDict_New(), *result = NULL;

    self->woken = 1;
    method = PyObject_GetAttr(self->loop, state_of((PyObject *)self)->call_soon);
    args = PyTuple_Pack(2, self->callback, (PyObject *)self);
    if (method != NULL && args != NULL && keywords != NULL &&
        PyDict_SetItemString(keywords, "context", self->context ? self->context : Py_None) == 0)
        result = PyObject_Call(method, args, keywords);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
inbox_wake(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Inbox *self = (Inbox *)object;
    PyObject *task, *callback, *context, *result, *arguments[3];
    int later = self->context == NULL;

    if (self->callback == NULL || self->woken)
        Py_RETURN_NONE;
    if (!later) {
        task = PyObject_CallOneArg(state_of(object)->current_task, self->loop);
        if (task == NULL)
            return NULL;
        later = task != Py_None;
        Py_DECREF(task);
        /* A loop written in Python may have done anything when it was asked for its hash. */
        if (self->callback == NULL || self->context == NULL)
            Py_RETURN_NONE;
    }
    if (later) {
        if (inbox_wake_later(self) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    callback = self->callback;
    context = self->context;
    self->callback = self->context = NULL;
    arguments[0] = context;
    arguments[1] = callback;
    arguments[2] = object;
    result = PyObject_VectorcallMethod(state_of(object)->run, arguments, 3, NULL);
    Py_DECREF(callback);
    Py_DECREF(context);
    if (result == NULL)
        return NULL;
    Py_DECREF(result);
    Py_RETURN_NONE;
}

static PyObject *
inbox_put(PyObject *object, PyObject *messages)
{
    Inbox *self = (Inbox *)object;

    if (!PyList_Check(messages)) {
        PyErr_SetString(PyExc_TypeError, "put takes a list of messages");
        return NULL;
    }
    if (inbox_length(object) == 0) {
        PyObject *empty = self->messages;

        self->messages = Py_NewRef(messages);
        self->next = 0;
        Py_DECREF(empty);
    }
    else {
        if (PyList_SetSlice(self->messages, 0, self->next, NULL) < 0)
            return NULL;
        self->next = 0;
        if (PyList_SetSlice(self->messages, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, messages) < 0)
            return NULL;
    }
    return inbox_wake(object, NULL);
}

static PyObject *
inbox_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    int iterating;
    Getter *getter;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "get takes an owner, and whether it iterates");
        return NULL;
    }
    if ((iterating = PyObject_IsTrue(args[1])) < 0)
        return NULL;
    getter = (Getter *)PyType_GenericAlloc(state_of(object)->getter_type, 0);
    if (getter == NULL)
        return NULL;
    getter->inbox = (Inbox *)Py_NewRef(object);
    getter->owner = Py_NewRef(args[0]);
    getter->iterating = (char)iterating;
    return (PyObject *)getter;
}

static PyObject *
inbox_get_loop(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(((Inbox *)object)->loop);
}

/* The keywords are read by hand: a task calls this each time it comes to wait. */
static PyObject *
inbox_add_done_callback(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *keywords)
{
    Inbox *self = (Inbox *)object;
    Py_ssize_t count = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    PyObject *context = count ? args[1] : Py_None, *old;

    if (nargs != 1 || count > 1 ||
        (count && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "context") != 0)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback takes a callback and its context");
        return NULL;
    }
    old = self->callback;
    self->callback = Py_NewRef(args[0]);
    Py_XDECREF(old);
    old = self->context;
    self->context = context == Py_None ? NULL : Py_NewRef(context);
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

static PyObject *
inbox_result(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (((Inbox *)object)->cancelled) {
        PyErr_SetNone(state_of(object)->cancelled_error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
inbox_cancel(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"msg", NULL};
    Inbox *self = (Inbox *)object;
    PyObject *message = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:cancel", names, &message))
        return NULL;
    if (self->callback == NULL || self->woken)
        Py_RETURN_FALSE;
    self->cancelled = 1;
    if (inbox_wake_later(self) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *
inbox_reader(PyObject *object, void *Py_UNUSED(closure))
{
    Inbox *self = (Inbox *)object;
    PyObject *task;

    if (self->callback == NULL)
        Py_RETURN_NONE;
    task = PyObject_GetAttrString(self->callback, "__self__");
    if (task != NULL)
        return task;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyMethodDef inbox_methods[] = {
    {"peek", inbox_peek, METH_NOARGS, "Returns the messages that wait, the next one first."},
    {"put", inbox_put, METH_O, "Adds messages, and runs the reader if it waits."},
    {"get", (PyCFunction)(void (*)(void))inbox_get, METH_FASTCALL, "Takes the next message, or waits for it."},
    {"wake", inbox_wake, METH_NOARGS, "Runs the reader, if it waits."},
    {"get_loop", inbox_get_loop, METH_NOARGS, "Returns the loop whose tasks may wait."},
    {"add_done_callback", (PyCFunction)(void (*)(void))inbox_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, "Takes what makes the waiting task go on."},
    {"result", inbox_result, METH_NOARGS, "Tells the task how its waiting ended."},
    {"cancel", (PyCFunction)(void (*)(void))inbox_cancel, METH_VARARGS | METH_KEYWORDS,
     "Cancels the waiting of the task; False where it has ended already."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef inbox_members[] = {
    {"_asyncio_future_blocking", T_BOOL, offsetof(Inbox, blocking), 0, NULL},
    {"waiting", T_BOOL, offsetof(Inbox, waiting), READONLY, NULL},
    {"over", T_BOOL, offsetof(Inbox, over), 0, NULL},
    {"watched", T_BOOL, offsetof(Inbox, watched), 0, NULL},
    {"busy", T_BOOL, offsetof(Inbox, busy), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef inbox_getset[] = {
    {"reader", inbox_reader, NULL, "The task that waits, where it is known.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot inbox_slots[] = {
    {Py_tp_doc, "Inbox(loop)\n--\n\nA queue of messages with one reader: see rfc6455.asyncio.inbox."},
    {Py_tp_new, inbox_new},
    {Py_tp_dealloc, inbox_dealloc},
    {Py_tp_traverse, inbox_traverse},
    {Py_tp_clear, inbox_clear},
    {Py_tp_methods, inbox_methods},
    {Py_tp_members, inbox_members},
    {Py_tp_getset, inbox_getset},
    {Py_sq_length, inbox_length},
    {0, NULL},
};

static PyType_Spec inbox_spec = {
    .name = "rfc6455._native.inbox.Inbox",
    .basicsize = sizeof(Inbox),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = inbox_slots,
};

/* The module */

/* Returns what tells which task runs in a loop. Before Python 3.12 asyncio's own function for that is
 * written in Python, around a dictionary. */
static PyObject *
find_current_task(PyObject *asyncio)
{
#if PY_VERSION_HEX < 0x030C0000
    PyObject *tasks = PyObject_GetAttrString(asyncio, "tasks"), *get = NULL;
    PyObject *running = tasks == NULL ? NULL : PyObject_GetAttrString(tasks, "_current_tasks");

    if (running != NULL)
        get = PyObject_GetAttrString(running, "get");
    Py_XDECREF(running);
    Py_XDECREF(tasks);
    return get;
#else
    return PyObject_GetAttrString(asyncio, "current_task");
#endif
}

static int
module_exec(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);
    PyObject *asyncio = PyImport_ImportModule("asyncio");

    if (asyncio == NULL)
        return -1;
    state->current_task = find_current_task(asyncio);
    state->cancelled_error = PyObject_GetAttrString(asyncio, "CancelledError");
    Py_DECREF(asyncio);
    state->run = PyUnicode_InternFromString("run");
    state->call_soon = PyUnicode_InternFromString("call_soon");
    state->run_out = PyUnicode_InternFromString("_run_out");
    state->caught_up = PyUnicode_InternFromString("_caught_up");
    state->second_reader = PyUnicode_InternFromString("_second_reader");
    state->inbox_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &inbox_spec, NULL);
    state->getter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &getter_spec, NULL);
    if (PyErr_Occurred())
        return -1;
    return PyModule_AddType(module, state->inbox_type);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    ModuleState *state = PyModule_GetState(module);

    Py_VISIT(state->inbox_type);
    Py_VISIT(state->getter_type);
    Py_VISIT(state->current_task);
    Py_VISIT(state->cancelled_error);
    return 0;
}

static int
module_clear(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);

    Py_CLEAR(state->inbox_type);
    Py_CLEAR(state->getter_type);
    Py_CLEAR(state->current_task);
    Py_CLEAR(state->cancelled_error);
    Py_CLEAR(state->run);
    Py_CLEAR(state->call_soon);
    Py_CLEAR(state->run_out);
    Py_CLEAR(state->caught_up);
    Py_CLEAR(state->second_reader);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rfc6455._native.inbox",
    .m_doc = "The native twin of rfc6455.asyncio.inbox.",
    .m_size = sizeof(ModuleState),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC
PyInit_inbox(void)
{
    return PyModuleDef_Init(&module);
}
