/* What instrumented code calls, without pybind11.
 *
 * atheris puts a call before each branch and in the place of each comparison, thousands for an
 * input. Its own two functions do one line of work, and pybind11 takes longer to reach it than the
 * code under test takes for the rest. These two call the same functions of atheris.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <stdbool.h>

static void (*increment_counter)(int);
static PyObject *(*trace_compare)(void *, PyObject *, PyObject *, int, bool);

/* use(path): looks the functions up in the library of atheris, which is loaded already. */
static PyObject *
use(PyObject *module, PyObject *path)
{
    const char *name = PyUnicode_AsUTF8(path);
    if (name == NULL) {
        return NULL;
    }
    void *library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL) {
        increment_counter = dlsym(library, "_ZN7atheris16IncrementCounterEi");
        trace_compare = dlsym(library, "_ZN7atheris14TraceCompareOpEPvP7_objectS2_ib");
    }
    return PyBool_FromLong(increment_counter != NULL && trace_compare != NULL);
}

/* trace_branch(counter) */
static PyObject *
trace_branch(PyObject *module, PyObject *counter)
{
    increment_counter((int)PyLong_AsLong(counter));
    Py_RETURN_NONE;
}

/* trace_cmp(left, right, operator, counter, left_is_constant): what the comparison gives. */
static PyObject *
trace_cmp(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    return trace_compare((void *)PyLong_AsLong(arguments[3]), arguments[0], arguments[1],
                         (int)PyLong_AsLong(arguments[2]), arguments[4] == Py_True);
}

static PyMethodDef methods[] = {
    {"use", use, METH_O, NULL},
    {"trace_branch", trace_branch, METH_O, NULL},
    {"trace_cmp", (PyCFunction)(void (*)(void))trace_cmp, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "trace", NULL, -1, methods};

PyMODINIT_FUNC
PyInit_trace(void)
{
    return PyModule_Create(&definition);
}
