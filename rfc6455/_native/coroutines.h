/* What coroutines in C have in common.
 *
 * What lives here: how their outcomes and the exceptions thrown into them look to Python. This file
 * does not know what any of them does.
 */

#ifndef RFC6455_COROUTINES_H
#define RFC6455_COROUTINES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Turns the outcome of `am_send` into what `send` and `__next__` do: a result is a StopIteration. */
static PyObject *
as_generators_do(PySendResult outcome, PyObject *result)
{
    if (outcome == PYGEN_RETURN) {
        PyErr_SetObject(PyExc_StopIteration, result);
        Py_CLEAR(result);
    }
    return result;
}

/* Raises what `throw` was given: an exception, or its type, value and traceback. */
static PyObject *
raise_thrown(PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;

    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback))
        return NULL;
    if (PyType_Check(type))
        PyErr_SetObject(type, value);
    else
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    return NULL;
}

#endif
