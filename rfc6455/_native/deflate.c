/* DEFLATE for permessage-deflate, in place of zlib.
 *
 * What lives here: the compressor of a connection, and `inflate` for whole messages, as Python calls
 * them. How they work is told in `compressing.h` and `inflating.h`. This file does not know about frames
 * or negotiation.
 */

#include "compressing.h"
#include "inflating.h"

#define MOST (PY_SSIZE_T_MAX / 4) /* no message is larger, with a limit or without */

enum { LARGE = 16 * 1024 }; /* bytes: other threads may run while so much is compressed */

typedef struct {
    PyTypeObject *compressor_type;
    Workbench *bench; /* one for all; NULL while somebody is at it */
} ModuleState;

typedef struct {
    PyObject_HEAD
    Compressor compressor;
    char in_use;
} CompressorObject;

static Workbench *
take_bench(ModuleState *state)
{
    Workbench *bench = state->bench;

    state->bench = NULL;
    return bench != NULL ? bench : PyMem_Malloc(sizeof *bench);
}

static void
put_back_bench(ModuleState *state, Workbench *bench)
{
    if (state->bench == NULL)
        state->bench = bench;
    else
        PyMem_Free(bench);
}

static PyObject *
compressor_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    int bits;
    size_t window, places;
    CompressorObject *self;
    unsigned char *memory;

    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Compressor takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "i:Compressor", &bits))
        return NULL;
    if (bits < 8 || bits > 15)
        return PyErr_Format(PyExc_ValueError, "window bits are 8 to 15, not %d", bits);
    self = (CompressorObject *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->compressor.window_bits = bits;
    window = (size_t)1 << bits;
    places = 2 * sizeof(uint16_t) << hash_bits(&self->compressor);
    if ((memory = PyMem_Calloc(1, places + window)) == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->compressor.places = (uint16_t *)memory;
    self->compressor.window = memory + places;
    return (PyObject *)self;
}

static void
compressor_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyMem_Free(((CompressorObject *)object)->compressor.places);
    PyObject_Free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(compress_doc,
"compress(payload, /)\n--\n\n"
"Compresses a message, and ends it as RFC 7692 section 7.2.1 says, without the last four octets.");

static PyObject *
compressor_compress(PyObject *object, PyObject *payload)
{
    CompressorObject *self = (CompressorObject *)object;
    ModuleState *state = PyType_GetModuleState(Py_TYPE(object));
    Workbench *bench;
    Py_buffer buffer;
    PyObject *compressed;
    unsigned char *out;
    size_t size;

    if (self->in_use) {
        PyErr_SetString(PyExc_RuntimeError, "another thread compresses a message with it");
        return NULL;
    }
    if (PyObject_GetBuffer(payload, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    size = (size_t)buffer.len;
    compressed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)compressed_size(size));
    if (compressed != NULL && (bench = take_bench(state)) == NULL) {
        Py_CLEAR(compressed);
        PyErr_NoMemory();
    }
    if (compressed != NULL) {
        out = (unsigned char *)PyBytes_AS_STRING(compressed);
        if (size < LARGE)
            size = compress(&self->compressor, bench, buffer.buf, size, out);
        else {
            self->in_use = 1;
            Py_BEGIN_ALLOW_THREADS
            size = compress(&self->compressor, bench, buffer.buf, size, out);
            Py_END_ALLOW_THREADS
            self->in_use = 0;
        }
        put_back_bench(state, bench);
        _PyBytes_Resize(&compressed, (Py_ssize_t)size);
    }
    PyBuffer_Release(&buffer);
    return compressed;
}

static PyMethodDef compressor_methods[] = {
    {"compress", compressor_compress, METH_O, compress_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(compressor_doc,
"Compressor(window_bits, /)\n--\n\n"
"Compresses messages, each of which may look back at those before it.");

static PyType_Slot compressor_slots[] = {
    {Py_tp_doc, (void *)compressor_doc},
    {Py_tp_new, compressor_new},
    {Py_tp_dealloc, compressor_dealloc},
    {Py_tp_methods, compressor_methods},
    {0, NULL},
};

static PyType_Spec compressor_spec = {
    .name = "rfc6455._native.deflate.Compressor",
    .basicsize = sizeof(CompressorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = compressor_slots,
};

/* Keeps as much of what came out as later messages may look back at. A bytearray forgets its start
 * without moving the rest; there is room for an eighth more than it holds before that has to be done. */
static int
remember(PyObject *history, const Output *out)
{
    size_t kept = out->history_size, size = out->size < out->window ? out->size : out->window;

    if (kept > out->window - size) {
        kept = out->window - size;
        if (PySequence_DelSlice(history, 0, (Py_ssize_t)(out->history_size - kept)) < 0)
            return -1;
    }
    if (PyByteArray_Resize(history, (Py_ssize_t)(kept + size)) < 0)
        return -1;
    memcpy(PyByteArray_AS_STRING(history) + kept, out->octets + out->size - size, size);
    return 0;
}

PyDoc_STRVAR(inflate_doc,
"inflate(payload, history, window_bits, max_size, /)\n--\n\n"
"Inflates a whole message, and adds it to the history: see rfc6455.extensions.codec.");

static PyObject *
inflate(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload;
    PyObject *history;
    long window_bits;
    Py_ssize_t limit = MOST;
    Output out = {0};
    Verdict verdict = NO_MEMORY;

    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "inflate takes four arguments");
        return NULL;
    }
    history = args[1];
    window_bits = PyLong_AsLong(args[2]);
    if (args[3] != Py_None)
        limit = PyNumber_AsSsize_t(args[3], NULL);
    if (PyErr_Occurred())
        return NULL;
    if (limit > MOST)
        limit = MOST;
    if (!PyByteArray_CheckExact(history) || window_bits < 8 || window_bits > 15 || limit < 0) {
        PyErr_SetString(PyExc_ValueError, "no bytearray, or a number out of bounds");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    out.limit = (size_t)limit;
    out.window = (size_t)1 << window_bits;
    out.history = (const unsigned char *)PyByteArray_AS_STRING(history);
    out.history_size = (size_t)PyByteArray_GET_SIZE(history);
    out.bytes = PyBytes_FromStringAndSize(NULL, 0);
    if (out.bytes != NULL && reserve(&out, 4 * (size_t)payload.len < out.limit
                                               ? 4 * (size_t)payload.len
                                               : out.limit))
        verdict = inflate_message(payload.buf, (size_t)payload.len, &out);
    PyBuffer_Release(&payload);
    if (verdict == INFLATED && remember(history, &out) == 0) {
        _PyBytes_Resize(&out.bytes, (Py_ssize_t)out.size);
        return out.bytes;
    }
    Py_XDECREF(out.bytes);
    if (verdict == UNUSUAL)
        Py_RETURN_NONE;
    if (verdict == TOO_LARGE)
        PyErr_SetString(PyExc_OverflowError, "message is too large when inflated");
    return NULL;
}

static PyMethodDef methods[] = {
    {"inflate", (PyCFunction)(void (*)(void))inflate, METH_FASTCALL, inflate_doc},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    ModuleState *state = PyModule_GetState(module);

    prepare_compressing();
    prepare_inflating();
    state->compressor_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &compressor_spec, NULL);
    if (state->compressor_type == NULL)
        return -1;
    return PyModule_AddType(module, state->compressor_type);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(((ModuleState *)PyModule_GetState(module))->compressor_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    Py_CLEAR(((ModuleState *)PyModule_GetState(module))->compressor_type);
    return 0;
}

static void
module_free(void *module)
{
    ModuleState *state = PyModule_GetState(module);

    module_clear(module);
    PyMem_Free(state->bench);
    state->bench = NULL;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rfc6455._native.deflate",
    .m_doc = "DEFLATE for permessage-deflate.",
    .m_size = sizeof(ModuleState),
    .m_methods = methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit_deflate(void)
{
    return PyModuleDef_Init(&module);
}
