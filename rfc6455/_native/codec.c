/* The native twin of what `frames.py` and `parser.py` do for every message.
 *
 * What lives here: masking, encoding a frame, and taking a run of whole messages out of a read. The
 * Python is the specification; each function here has the name of its twin, takes the same arguments
 * and gives the same results. Whatever is rare or wrong is left to Python: this file raises no
 * protocol errors, keeps no state, and knows nothing of fragments, control frames or limits other
 * than the one that it is given.
 *
 * Only the limited API of Python 3.11 is used: one build serves all later versions.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum {
    FIN = 0x80,
    MASK = 0x80,
    TEXT = 0x1,
    BINARY = 0x2,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* Payloads up to this size are unmasked on the stack before they become text. */
#define SCRATCH_SIZE 4096

/* RFC 6455 section 5.3: octet i of the payload is XORed with octet i MOD 4 of the key. Eight octets
 * at a time; compilers make vector instructions of it. */
static void
mask_into(unsigned char *out, const unsigned char *in, Py_ssize_t size, const unsigned char *key)
{
    uint64_t wide_key, word;
    Py_ssize_t i = 0;

    memcpy(&wide_key, key, 4);
    memcpy((unsigned char *)&wide_key + 4, key, 4);
    for (; size - i >= 8; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= wide_key;
        memcpy(out + i, &word, 8);
    }
    for (; i < size; i++)
        out[i] = in[i] ^ key[i & 3];
}

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

/* Writes a frame; the key is NULL where the payload travels in the clear. */
static PyObject *
make_frame(int first, const void *payload, Py_ssize_t size, const unsigned char *key)
{
    Py_ssize_t header = size < LENGTH_16 ? 2 : size < 0x10000 ? 4 : 10;
    PyObject *frame;
    unsigned char *out;

    if (size > PY_SSIZE_T_MAX - header - 4)
        return PyErr_NoMemory();
    frame = PyBytes_FromStringAndSize(NULL, header + (key ? 4 : 0) + size);
    if (frame == NULL)
        return NULL;
    out = (unsigned char *)PyBytes_AsString(frame);
    *out++ = (unsigned char)first;
    *out++ = (unsigned char)((key ? MASK : 0) |
                             (header == 2 ? size : header == 4 ? LENGTH_16 : LENGTH_64));
    for (int shift = 8 * (int)(header - 3); shift >= 0; shift -= 8)
        *out++ = (unsigned char)((uint64_t)size >> shift);
    if (key) {
        memcpy(out, key, 4);
        mask_into(out + 4, payload, size, key);
    }
    else if (size > 0)
        memcpy(out, payload, (size_t)size);
    return frame;
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

/* Makes the message of a payload: text, or bytes. Returns NULL with an exception set, which is a
 * UnicodeDecodeError for text that is not UTF-8. */
static PyObject *
make_message(int is_text, const unsigned char *payload, Py_ssize_t size, const unsigned char *key)
{
    unsigned char scratch[SCRATCH_SIZE];
    unsigned char *unmasked = scratch;
    PyObject *message;

    /* The first octet stands for "written to": compilers do not see that mask_into fills it. */
    scratch[0] = 0;
    if (!is_text) {
        message = PyBytes_FromStringAndSize(key ? NULL : (const char *)payload, size);
        if (message != NULL && key != NULL)
            mask_into((unsigned char *)PyBytes_AsString(message), payload, size, key);
        return message;
    }
    if (key == NULL || size == 0)
        return PyUnicode_DecodeUTF8((const char *)payload, size, NULL);
    if (size > SCRATCH_SIZE && (unmasked = PyMem_Malloc((size_t)size)) == NULL)
        return PyErr_NoMemory();
    mask_into(unmasked, payload, size, key);
    message = PyUnicode_DecodeUTF8((const char *)unmasked, size, NULL);
    if (unmasked != scratch)
        PyMem_Free(unmasked);
    return message;
}

PyDoc_STRVAR(take_whole_messages_doc,
"take_whole_messages(data, position, masked, limit, events)\n--\n\n"
"Appends the run of unfragmented messages that are here whole to the list of events, and returns the\n"
"offset of the first frame that it left: see rfc6455.parser.");

static PyObject *
take_whole_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer data;
    Py_ssize_t position, limit;
    int masked;
    PyObject *events;

    if (nargs != 5) {
        PyErr_SetString(PyExc_TypeError, "take_whole_messages takes five arguments");
        return NULL;
    }
    position = PyLong_AsSsize_t(args[1]);
    masked = PyObject_IsTrue(args[2]);
    limit = PyLong_AsSsize_t(args[3]);
    events = args[4];
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (position < 0 || position > data.len || !PyList_Check(events)) {
        PyErr_SetString(PyExc_ValueError, "position is outside of the data, or events is no list");
        PyBuffer_Release(&data);
        return NULL;
    }
    for (;;) {
        const unsigned char *frame = (const unsigned char *)data.buf + position;
        Py_ssize_t available = data.len - position;
        Py_ssize_t header = masked ? 6 : 2, size;
        PyObject *message;
        int appended;

        if (available < header || (frame[0] != (FIN | TEXT) && frame[0] != (FIN | BINARY)))
            break;
        size = frame[1] ^ (masked ? MASK : 0);
        if (size == LENGTH_16) {
            header += 2;
            if (available < header)
                break;
            size = frame[2] << 8 | frame[3];
            if (size < LENGTH_16)
                break;
        }
        else if (size > LENGTH_16) /* a 64-bit length, or the wrong mask bit */
            break;
        if (size > limit || size > available - header)
            break;
        message = make_message(frame[0] == (FIN | TEXT), frame + header, size,
                               masked ? frame + header - 4 : NULL);
        if (message == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                PyBuffer_Release(&data);
                return NULL;
            }
            PyErr_Clear();
            break;
        }
        appended = PyList_Append(events, message);
        Py_DECREF(message);
        if (appended < 0) {
            PyBuffer_Release(&data);
            return NULL;
        }
        position += header + size;
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(position);
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
