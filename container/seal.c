/* The sealed program: CPython with the agent frozen in, and nothing else it could run.
 *
 * No site, no search path, no environment, no arguments, no file system import: the only modules
 * are the ones in the two tables that seal.py writes next to this file.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "seal_tables.h"

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

    int code = 1;
    PyObject *module = PyImport_ImportModule(SEALED_ENTRY);
    PyObject *result = module ? PyObject_CallMethod(module, "main", NULL) : NULL;
    if (result == NULL)
        PyErr_Print(); /* SystemExit ends the process here, with its code */
    else
        code = PyLong_Check(result) ? (int)PyLong_AsLong(result) : 0;
    if (Py_FinalizeEx() < 0 && code == 0) code = 1;
    return code;
}
