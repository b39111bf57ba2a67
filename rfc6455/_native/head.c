/* The head of a request, as nearly everybody sends it.
 *
 * What lives here: one pass over a head that came whole. It takes nothing that the Python in
 * `http.py` and `handshake/server.py` would not take in the same way, and leaves the rest to it: what
 * is cut, what is wrong or too large, what has a body. This file does not know what a WebSocket is.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

/* What an octet may be part of. */
enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8, SPACE = 16 };

static unsigned char kinds[256];

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} Reader;

/* RFC 9110 sections 5.5, 5.6.2 and 7.2; `headers.py` has the same as regular expressions. */
static void
fill_kinds(void)
{
    for (int octet = 0; octet < 256; octet++) {
        int is_word = (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') ||
                      (octet >= 'a' && octet <= 'z');
        int kind = is_word ? TOKEN | HOST : 0;

        if (octet > ' ' && octet != 0x7F)
            kind |= VALUE;
        if (octet > ' ' && octet < 0x7F && octet != '#')
            kind |= TARGET;
        if (octet == ' ' || octet == '\t')
            kind |= SPACE;
        if (octet && strchr("!#$%&'*+-.^_`|~", octet))
            kind |= TOKEN;
        if (octet && strchr("._~!$&'()*+,;=-", octet))
            kind |= HOST;
        kinds[octet] = (unsigned char)kind;
    }
}

/* Passes over octets of a kind; returns how many. */
static Py_ssize_t
pass(Reader *reader, int kind)
{
    const unsigned char *start = reader->at;

    while (reader->at < reader->end && kinds[*reader->at] & kind)
        reader->at++;
    return reader->at - start;
}

/* Passes over a text, if it stands here. */
static int
take(Reader *reader, const char *text, Py_ssize_t size)
{
    if (reader->end - reader->at < size || memcmp(reader->at, text, (size_t)size) != 0)
        return 0;
    reader->at += size;
    return 1;
}

/* A name without escapes, or an IPv4 address, with or without a port: most of `headers.HOST`. */
static int
is_plain_host(const unsigned char *value, Py_ssize_t size)
{
    Reader reader = {value, value + size};

    if (pass(&reader, HOST) == 0)
        return 0;
    if (take(&reader, ":", 1))
        while (reader.at < reader.end && *reader.at >= '0' && *reader.at <= '9')
            reader.at++;
    return reader.at == reader.end;
}

static int
is_name(PyObject *name, const char *text)
{
    return strcmp(PyBytes_AS_STRING(name), text) == 0;
}

static PyObject *
lowered(const unsigned char *name, Py_ssize_t size)
{
    PyObject *copy = PyBytes_FromStringAndSize(NULL, size);

    if (copy != NULL)
        for (Py_ssize_t i = 0; i < size; i++)
            PyBytes_AS_STRING(copy)[i] = (char)Py_TOLOWER(name[i]);
    return copy;
}

/* Adds a value to those of its name. */
static int
add_value(PyObject *values, PyObject *name, PyObject *value)
{
    PyObject *lines = PyDict_GetItemWithError(values, name);
    int failed;

    if (lines != NULL)
        return PyList_Append(lines, value);
    if (PyErr_Occurred() || (lines = PyList_New(1)) == NULL)
        return -1;
    PyList_SET_ITEM(lines, 0, Py_NewRef(value));
    failed = PyDict_SetItem(values, name, lines);
    Py_DECREF(lines);
    return failed;
}

/* Reads the line of a field. Returns 1 where it was taken, 0 where it is not for here, -1 with an
 * exception set. */
static int
take_field(Reader *reader, Py_ssize_t max_size, PyObject *values, int *hosts)
{
    const unsigned char *start = reader->at, *from, *to;
    Py_ssize_t name_size = pass(reader, TOKEN);
    PyObject *name, *value;
    int taken = 0;

    if (name_size == 0 || !take(reader, ":", 1))
        return 0;
    pass(reader, SPACE);
    from = to = reader->at;
    while (pass(reader, VALUE)) {
        to = reader->at;
        pass(reader, SPACE);
    }
    if (reader->at - start > max_size || !take(reader, "\r\n", 2))
        return 0;
    if ((name = lowered(start, name_size)) == NULL)
        return -1;
    if (is_name(name, "host"))
        taken = ++*hosts == 1 && is_plain_host(from, to - from);
    else
        taken = !is_name(name, "content-length") && !is_name(name, "transfer-encoding") &&
                !is_name(name, "expect");
    if (taken) {
        value = PyBytes_FromStringAndSize((const char *)from, to - from);
        if (value == NULL || add_value(values, name, value) < 0)
            taken = -1;
        Py_XDECREF(value);
    }
    Py_DECREF(name);
    return taken;
}

/* Reads a limit, None being no limit; returns 0 where it is none. */
static int
read_limit(PyObject *number, Py_ssize_t *limit)
{
    if (number == Py_None) {
        *limit = PY_SSIZE_T_MAX;
        return 1;
    }
    *limit = PyLong_AsSsize_t(number);
    if (*limit >= 0)
        return 1;
    /* It is no int, or too large for one of C's. */
    PyErr_Clear();
    return 0;
}

static PyObject *
text(const unsigned char *start, const unsigned char *end)
{
    return PyUnicode_DecodeASCII((const char *)start, end - start, NULL);
}

PyDoc_STRVAR(read_request_doc,
"read_request($module, data, max_line, max_header_line, max_head, max_headers, /)\n--\n\n"
"Reads the head of a request; None where Python is to read it.\n\n"
"Returns the method, the target, its path and its query; the lines of the fields, and their values by\n"
"names in lower case; and the size of the head.");

static PyObject *
read_request(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t max_line, max_header_line, max_head, max_headers, headers = 0, size;
    const unsigned char *start, *target, *target_end, *query, *lines;
    PyObject *values, *answer = NULL;
    Reader reader;
    int hosts = 0, taken = 1;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "read_request() takes 5 arguments");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0]) || !read_limit(args[1], &max_line) ||
        !read_limit(args[2], &max_header_line) || !read_limit(args[3], &max_head) ||
        !read_limit(args[4], &max_headers))
        Py_RETURN_NONE;
    start = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    reader.at = start;
    reader.end = start + PyBytes_GET_SIZE(args[0]);

    if (pass(&reader, TOKEN) == 0 || !take(&reader, " ", 1))
        Py_RETURN_NONE;
    target = reader.at;
    if (pass(&reader, TARGET) == 0 || *target != '/')
        Py_RETURN_NONE;
    target_end = reader.at;
    if (!take(&reader, " HTTP/1.1", 9) || reader.at - start > max_line || !take(&reader, "\r\n", 2))
        Py_RETURN_NONE;
    lines = reader.at;

    if ((values = PyDict_New()) == NULL)
        return NULL;
    while (!take(&reader, "\r\n", 2)) {
        taken = ++headers <= max_headers
                    ? take_field(&reader, max_header_line, values, &hosts)
                    : 0;
        if (taken <= 0)
            break;
    }
    size = reader.at - start;
    if (taken == 1 && hosts == 1 && size <= max_head) {
        query = memchr(target, '?', (size_t)(target_end - target));
        answer = Py_BuildValue(
            "NNNNy#On", text(start, target - 1), text(target, target_end),
            text(target, query ? query : target_end),
            text(query ? query + 1 : target_end, target_end), (const char *)lines,
            reader.at - 2 - lines, values, size);
    }
    Py_DECREF(values);
    if (answer == NULL && taken >= 0 && !PyErr_Occurred())
        Py_RETURN_NONE;
    return answer;
}

/* The module */

static PyMethodDef module_methods[] = {
    {"read_request", (PyCFunction)(void (*)(void))read_request, METH_FASTCALL, read_request_doc},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *Py_UNUSED(module))
{
    fill_kinds();
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rfc6455._native.head",
    .m_doc = "The head of a request, as nearly everybody sends it.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_head(void)
{
    return PyModuleDef_Init(&module);
}
