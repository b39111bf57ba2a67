/* The native twin of what `frames.py` and `parser.py` do for every message.
 *
 * What lives here: masking, encoding a frame, and taking a run of whole messages out of a read, as
 * Python calls them. The Python is the specification; each function here has the name of its twin,
 * takes the same arguments and gives the same results. Whatever is rare or wrong is left to Python:
 * this file raises no protocol errors, keeps no state, and knows nothing of fragments, control frames
 * or limits other than the one that it is given.
 */

#include "frames.h"

static int
check_key(const Py_buffer *key)
{
    if (key->len == 4)
        return 0;
    PyErr_SetString(PyExc_ValueError, "a masking key has four bytes");
    return -1;
}

PyDoc_STRVAR(apply_mask_doc,
"apply_mask(payload, key)\n--\n\n"
"Masks or unmasks: see rfc6455.frames.apply_mask.");

static PyObject *
apply_mask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload, key;
    PyObject *masked = NULL;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "apply_mask takes a payload and a key");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    if (check_key(&key) == 0 &&
        (masked = PyBytes_FromStringAndSize(NULL, payload.len)) != NULL)
        mask_into((unsigned char *)PyBytes_AsString(masked), payload.buf, payload.len, key.buf);
    PyBuffer_Release(&key);
    PyBuffer_Release(&payload);
    return masked;
}

/* Gets the four bytes of a key, or nothing for None. Returns -1 with an exception set. */
static int
get_key(PyObject *object, Py_buffer *key)
{
    if (object == Py_None)
        return 0;
    if (PyObject_GetBuffer(object, key, PyBUF_SIMPLE) < 0)
        return -1;
    if (check_key(key) < 0) {
        PyBuffer_Release(key);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(encode_doc,
"encode(opcode, payload, *, fin=True, rsv=0, masking_key=None)\n--\n\n"
"Writes a frame: see rfc6455.frames.encode.");

/* The keywords are read by hand: PyArg_ParseTupleAndKeywords costs more than the frame. */
static PyObject *
encode(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    long opcode, rsv = 0;
    int fin = 1;
    Py_buffer payload, key = {0};
    PyObject *key_object = Py_None, *frame = NULL;
    Py_ssize_t count = keywords ? PyTuple_Size(keywords) : 0;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "encode takes an opcode and a payload");
        return NULL;
    }
    opcode = PyLong_AsLong(args[0]);
    if (opcode == -1 && PyErr_Occurred())
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(keywords, i), *value = args[2 + i];

        if (PyUnicode_CompareWithASCIIString(name, "fin") == 0)
            fin = PyObject_IsTrue(value);
        else if (PyUnicode_CompareWithASCIIString(name, "rsv") == 0)
            rsv = PyLong_AsLong(value);
        else if (PyUnicode_CompareWithASCIIString(name, "masking_key") == 0)
            key_object = value;
        else
            PyErr_Format(PyExc_TypeError, "encode has no argument %R", name);
        if (PyErr_Occurred())
            return NULL;
    }
    if (PyObject_GetBuffer(args[1], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (get_key(key_object, &key) == 0) {
        frame = make_frame((fin ? FIN : 0) | (int)rsv | (int)opcode, payload.buf, payload.len,
                           key.buf);
        if (key.obj)
            PyBuffer_Release(&key);
    }
    PyBuffer_Release(&payload);
    return frame;
}

PyDoc_STRVAR(encode_message_doc,
"encode_message(message, masking_key=None)\n--\n\n"
"Writes the frame of a whole message: see rfc6455.frames.encode_message.");

static PyObject *
encode_message(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload, key = {0};
    PyObject *frame = NULL;

    if (nargs < 1 || nargs > 2) {
        PyErr_SetString(PyExc_TypeError, "encode_message takes a message and a key");
        return NULL;
    }
    if (nargs == 2 && get_key(args[1], &key) < 0)
        return NULL;
    if (PyUnicode_Check(args[0])) {
        /* Python keeps the UTF-8 with the text: a message that goes to many is encoded once. */
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(args[0], &size);

        if (text != NULL)
            frame = make_frame(FIN | TEXT, text, size, key.buf);
    }
    else if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) == 0) {
        frame = make_frame(FIN | BINARY, payload.buf, payload.len, key.buf);
        PyBuffer_Release(&payload);
    }
    if (key.obj)
        PyBuffer_Release(&key);
    return frame;
}

PyDoc_STRVAR(take_whole_messages_doc,
"take_whole_messages(data, position, masked, limit, events, mark=0, unwrap=None)\n--\n\n"
"Appends the run of unfragmented messages that are here whole to the list of events, and returns the\n"
"offset of the first frame that it left: see rfc6455.parser.");

static PyObject *
take_whole_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer data;
    Py_ssize_t position, limit;
    int masked;
    long mark;
    PyObject *events, *unwrap;

    if (nargs != 5 && nargs != 7) {
        PyErr_SetString(PyExc_TypeError, "take_whole_messages takes five or seven arguments");
        return NULL;
    }
    position = PyLong_AsSsize_t(args[1]);
    masked = PyObject_IsTrue(args[2]);
    limit = PyLong_AsSsize_t(args[3]);
    events = args[4];
    unwrap = nargs == 7 ? args[6] : Py_None;
    mark = unwrap == Py_None ? 0 : PyLong_AsLong(args[5]);
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (position < 0 || position > data.len || !PyList_Check(events)) {
        PyErr_SetString(PyExc_ValueError, "position is outside of the data, or events is no list");
        PyBuffer_Release(&data);
        return NULL;
    }
    position = take_run(data.buf, data.len, position, masked, limit, events, (int)mark,
                        unwrap);
    PyBuffer_Release(&data);
    return position < 0 ? NULL : PyLong_FromSsize_t(position);
}

static PyMethodDef methods[] = {
    {"apply_mask", (PyCFunction)(void (*)(void))apply_mask, METH_FASTCALL, apply_mask_doc},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL | METH_KEYWORDS, encode_doc},
    {"encode_message", (PyCFunction)(void (*)(void))encode_message, METH_FASTCALL,
     encode_message_doc},
    {"take_whole_messages", (PyCFunction)(void (*)(void))take_whole_messages, METH_FASTCALL,
     take_whole_messages_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rfc6455._native.codec",
    .m_doc = "The native twin of the hot functions.",
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_codec(void)
{
    return PyModuleDef_Init(&module);
}
