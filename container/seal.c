/* The sealed program: CPython with the agent frozen in, and nothing else it could run.
 *
 * No site, no search path, no environment, no arguments, no file system import: the only modules
 * are the ones in the two tables that seal.py writes next to this file.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <sys/prctl.h>

#include "seal_tables.h"

/* `_ctypes`, as far as the agent needs it: to ask the kernel for no_new_privs, where
 * /proc/self/status does not say. The real module could call anything; this one can ask that. */
static const long PRCTL = 1;

static PyObject *facts_dlopen(PyObject *self, PyObject *args) {
    PyObject *name;
    int flags;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oi", &name, &flags)) return NULL;
    if (name != Py_None) return PyErr_Format(PyExc_OSError, "no library can be loaded");
    return PyLong_FromLong(0);
}

static PyObject *facts_dlsym(PyObject *self, PyObject *args) {
    long handle;
    const char *name;
    (void)self;
    if (!PyArg_ParseTuple(args, "ls", &handle, &name)) return NULL;
    if (strcmp(name, "prctl") != 0) return PyErr_Format(PyExc_OSError, "no such symbol");
    return PyLong_FromLong(PRCTL);
}

static PyObject *facts_call(PyObject *self, PyObject *args) {
    long address;
    int option;
    unsigned long a, b, c, d;
    (void)self;
    if (!PyArg_ParseTuple(args, "l(ikkkk)", &address, &option, &a, &b, &c, &d)) return NULL;
    if (address != PRCTL || option != PR_GET_NO_NEW_PRIVS)
        return PyErr_Format(PyExc_OSError, "not allowed");
    return PyLong_FromLong(prctl(option, a, b, c, d));
}

static PyMethodDef facts_methods[] = {{"dlopen", facts_dlopen, METH_VARARGS, NULL},
                                      {"dlsym", facts_dlsym, METH_VARARGS, NULL},
                                      {"call_function", facts_call, METH_VARARGS, NULL},
                                      {NULL, NULL, 0, NULL}};

static struct PyModuleDef facts_module = {PyModuleDef_HEAD_INIT, .m_name = "_ctypes", .m_size = -1,
                                          .m_methods = facts_methods};

PyObject *PyInit__ctypes(void) { return PyModule_Create(&facts_module); }

static int give_up(PyStatus status) {
    Py_ExitStatusException(status);
    return 70; /* not reached */
}

static PyStatus set(PyConfig *config, wchar_t **field, const wchar_t *value) {
    return PyConfig_SetString(config, field, value);
}

static PyStatus configure(PyConfig *config, char **argv) {
    PyStatus status;
    config->site_import = 0;
    config->write_bytecode = 0;
    config->optimization_level = 2;
    config->parse_argv = 0;
    config->install_signal_handlers = 1;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1; /* and empty */
    /* Every path said beforehand: the interpreter looks for none of them on disk. */
    wchar_t **const paths[] = {&config->program_name,     &config->executable,
                               &config->base_executable,  &config->prefix,
                               &config->base_prefix,      &config->exec_prefix,
                               &config->base_exec_prefix, &config->home,
                               &config->stdlib_dir};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        status = set(config, paths[i], i < 3 ? L"/sandbox" : L"/nonexistent");
        if (PyStatus_Exception(status)) return status;
    }
    return PyConfig_SetBytesArgv(config, 1, argv);
}

int main(int argc, char **argv) {
    (void)argc;
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    before.configure_locale = 0;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status)) return give_up(status);

    PyImport_FrozenModules = sealed_modules;
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config, argv);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) return give_up(status);

    int found = PyImport_ImportFrozenModule("__main__");
    if (found == 0) PyErr_SetString(PyExc_SystemError, "no program was sealed in");
    int code = found == 1 ? 0 : 1;
    if (code != 0) PyErr_Print(); /* SystemExit ends the process here, with its code */
    if (Py_FinalizeEx() < 0 && code == 0) code = 1;
    return code;
}
