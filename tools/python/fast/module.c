/* SPDX-License-Identifier: MIT */
/* The module nauha_fast, which nauha/fast.py loads.
 *
 * Threads: its types are made when it is loaded, and are constant from then on.
 */
#include "tools/python/fast/fast.h"

/* The sizes of the structures that are handed to the recorder, for a comparison with the library.
 */
static int add_sizes(PyObject *module) {
    PyObject *sizes = Py_BuildValue(
        "{s:n,s:n,s:n}", "struct nauha_tensor", (Py_ssize_t)sizeof(struct nauha_tensor),
        "struct nauha_parameter", (Py_ssize_t)sizeof(struct nauha_parameter), "struct nauha_error",
        (Py_ssize_t)sizeof(struct nauha_error));
    if (!sizes || PyModule_AddObject(module, "sizes", sizes) < 0) {
        Py_XDECREF(sizes);
        return -1;
    }
    return 0;
}

static int add_type(PyObject *module, const char *name, PyTypeObject *type) {
    Py_INCREF(type);
    if (PyModule_AddObject(module, name, (PyObject *)type) < 0) {
        Py_DECREF(type);
        return -1;
    }
    return 0;
}

static int add_types(PyObject *module) {
    if (nauha__make_reader_types() < 0 || nauha__make_recording_types() < 0 ||
        nauha__make_hook_types() < 0)
        return -1;
    const struct {
        const char *name;
        PyTypeObject *type;
    } types[] = {{"Counter", nauha__counter_type},
                 {"Reader", nauha__reader_type},
                 {"Wanted", nauha__wanted_type},
                 {"Sender", nauha__sender_type},
                 {"Recording", nauha__recording_type},
                 {"ModuleRan", nauha__module_ran_type},
                 {"LayerGradient", nauha__layer_gradient_type},
                 {"ParameterGradient", nauha__parameter_gradient_type}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (add_type(module, types[i].name, types[i].type) < 0)
            return -1;
    }
    return 0;
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "nauha_fast",
                                        "The part of nauha that runs for every message; see "
                                        "nauha/fast.py.",
                                        -1,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit_nauha_fast(void);

__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit_nauha_fast(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && (add_sizes(module) < 0 || add_types(module) < 0)) {
        Py_DECREF(module);
        module = NULL;
    }
    return module;
}
