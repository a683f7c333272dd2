/* SPDX-License-Identifier: MIT */
/* What PyTorch calls when a module has run and when a gradient has arrived. */
#include "tools/python/fast/fast.h"

PyTypeObject *nauha__module_ran_type, *nauha__layer_gradient_type, *nauha__parameter_gradient_type;

#define NOTHING_MORE(self) (void)(self)

/* Tells the observer of an exception of ours and returns None; others, such as KeyboardInterrupt,
 * are the program's. */
static PyObject *trouble(PyObject *observer) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyObject *type, *value, *traceback;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* what follows them came with 3.12 */
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
#pragma GCC diagnostic pop
    PyObject *told = PyObject_CallMethod(observer, "trouble", "O", value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return told;
}

/* The end of a hook: outcome is -1 with an exception. */
static PyObject *answer(PyObject *observer, int outcome) {
    if (outcome < 0)
        return trouble(observer);
    Py_RETURN_NONE;
}

static int unlocked(struct recording *recording, int outcome) {
    int done = nauha__unlock(recording);
    return outcome < 0 ? outcome : done;
}

/* ---- LayerGradient ---- */

struct layer_gradient {
    PyObject_HEAD PyObject *recording, *observer, *calls;
    unsigned long long serial;
    unsigned module, slot, call, tag, position, passes;
};

/* LayerGradient(recording, observer, calls, module, slot, call, tag, serial, position) */
static int layer_gradient_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct layer_gradient *self = (struct layer_gradient *)object;
    PyObject *recording, *observer, *calls;
    (void)keywords;
    if (self->recording ||
        !PyArg_ParseTuple(args, "O!OO!IIIIKI", nauha__recording_type, &recording, &observer,
                          nauha__counter_type, &calls, &self->module, &self->slot, &self->call,
                          &self->tag, &self->serial, &self->position))
        return -1;
    nauha__hold(&self->recording, recording);
    nauha__hold(&self->observer, observer);
    nauha__hold(&self->calls, calls);
    return 0;
}

/* Lock held. */
static int publish_gradient(struct layer_gradient *self, PyObject *gradient) {
    struct recording *recording = (struct recording *)self->recording;
    if (self->serial != recording->serial || !(recording->step_open || self->tag)) {
        PyObject *told = PyObject_CallMethod(self->observer, "late_gradient", NULL);
        Py_XDECREF(told);
        return told ? 0 : -1;
    }
    uint32_t call = self->call, passes = self->passes++;
    if (passes) /* another backward pass through the same graph: behind the calls there were */
        call +=
            nauha__counter_count((struct counter *)self->calls, self->serial, self->tag) * passes;
    return nauha__publish(recording, NAUHA_KIND_LAYER_GRADIENTS, self->module, self->slot, call,
                          self->tag, gradient);
}

static PyObject *layer_gradient_call(PyObject *object, PyObject *args, PyObject *keywords) {
    struct layer_gradient *self = (struct layer_gradient *)object;
    struct recording *recording = (struct recording *)self->recording;
    PyObject *gradients;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &gradients))
        return trouble(self->observer);
    PyObject *gradient = PyTuple_GetItem(gradients, (Py_ssize_t)self->position);
    if (!gradient)
        return trouble(self->observer);
    if (gradient == Py_None || !recording->active)
        Py_RETURN_NONE;
    int outcome = nauha__lock(recording);
    if (outcome == 0)
        outcome = unlocked(recording, publish_gradient(self, gradient));
    return answer(self->observer, outcome);
}

#define LAYER_GRADIENT_FIELDS(X) X(recording) X(observer) X(calls)
NAUHA_COLLECTED(layer_gradient, LAYER_GRADIENT_FIELDS, NOTHING_MORE)

static PyType_Slot layer_gradient_slots[] = {NAUHA_COLLECTED_SLOTS(layer_gradient),
                                             {Py_tp_init, (void *)layer_gradient_init},
                                             {Py_tp_call, (void *)layer_gradient_call},
                                             {0, NULL}};
static PyType_Spec layer_gradient_spec = {"nauha_fast.LayerGradient", sizeof(struct layer_gradient),
                                          0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                          layer_gradient_slots};

/* ---- ModuleRan ---- */

struct module_ran {
    PyObject_HEAD PyObject *recording, *observer, *record, *hook;
    PyObject *root, *calls; /* of the record, from the first run on */
    unsigned module;        /* its number, which it has by then */
};

/* ModuleRan(recording, observer, record, hook) */
static int module_ran_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct module_ran *self = (struct module_ran *)object;
    PyObject *recording, *observer, *record, *hook;
    (void)keywords;
    if (self->recording || !PyArg_ParseTuple(args, "O!OOO", nauha__recording_type, &recording,
                                             &observer, &record, &hook))
        return -1;
    nauha__hold(&self->recording, recording);
    nauha__hold(&self->observer, observer);
    nauha__hold(&self->record, record);
    nauha__hold(&self->hook, hook);
    self->module = NAUHA_NONE;
    return 0;
}

/* What is done with a run of the module. */
enum run { RAN_OTHERWISE, RAN_UNRECORDED, RAN_RECORDED };

/* Reads what the record has once its module is named. */
static bool is_named(struct module_ran *self) {
    if (self->module != NAUHA_NONE)
        return true;
    unsigned long long number = nauha__number(self->record, "id");
    if (number >= NAUHA_NONE)
        return false;
    Py_XDECREF(self->root);
    self->root = PyObject_GetAttrString(self->record, "root");
    Py_XDECREF(self->calls);
    self->calls = PyObject_GetAttrString(self->record, "calls");
    if (!self->root || !self->calls || !PyObject_TypeCheck(self->calls, nauha__counter_type))
        return false;
    self->module = (unsigned)number;
    return true;
}

/* Whether the model of the module is in training mode. */
static bool trains(const struct module_ran *self, PyObject *training) {
    PyObject *root = PyObject_CallObject(self->root, NULL);
    PyObject *answer = root && root != Py_None ? PyObject_GetAttr(root, training) : NULL;
    Py_XDECREF(root);
    Py_XDECREF(answer);
    return answer == Py_True;
}

/* What Observer._is_on() says, for the common cases. */
static enum run decide(struct module_ran *self) {
    const struct recording *recording = (struct recording *)self->recording;
    const struct reader *reader = (struct reader *)recording->reader;
    if (!is_named(self) || recording->transformed || nauha__in_backward(reader) != 0)
        return RAN_OTHERWISE;
    if (recording->tag)
        return recording->results_only ? RAN_UNRECORDED : RAN_RECORDED;
    if (!recording->step_open)
        return RAN_OTHERWISE;
    if (!recording->latest_on)
        return RAN_UNRECORDED;
    return trains(self, reader->training) ? RAN_RECORDED : RAN_OTHERWISE;
}

/* A hook on the node that made the output, for its gradient. */
static int hook_node(struct module_ran *self, PyObject *node, PyObject *name, uint32_t call,
                     unsigned long long position) {
    const struct recording *recording = (struct recording *)self->recording;
    PyObject *hook =
        PyObject_CallFunction((PyObject *)nauha__layer_gradient_type, "OOOIIIIKI", self->recording,
                              self->observer, self->calls, self->module, 0u, (unsigned)call,
                              recording->tag, recording->serial, (unsigned)position);
    PyObject *handle = hook ? PyObject_CallMethodObjArgs(node, name, hook, NULL) : NULL;
    Py_XDECREF(hook);
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

static int hook_output(struct module_ran *self, PyObject *output, uint32_t call) {
    const struct recording *recording = (struct recording *)self->recording;
    const struct reader *reader = (struct reader *)recording->reader;
    PyObject *needs = PyObject_GetAttr(output, reader->requires_grad);
    Py_XDECREF(needs);
    if (needs != Py_True)
        return needs ? 0 : -1;
    int wanted = nauha__wants((struct wanted *)recording->wanted, NAUHA_KIND_LAYER_GRADIENTS,
                              self->module, recording->tag);
    if (wanted <= 0)
        return wanted;
    PyObject *position = PyObject_GetAttr(output, reader->output_nr);
    PyObject *node = position ? PyObject_GetAttr(output, reader->grad_fn) : NULL;
    int outcome = -1;
    if (node == Py_None) { /* an output that no function made */
        PyObject *done = PyObject_CallMethod(self->observer, "hook_output", "OOIII", output,
                                             self->record, 0u, (unsigned)call, recording->tag);
        Py_XDECREF(done);
        outcome = done ? 0 : -1;
    } else if (node) {
        outcome =
            hook_node(self, node, reader->register_prehook, call, PyLong_AsUnsignedLong(position));
    }
    Py_XDECREF(position);
    Py_XDECREF(node);
    return outcome;
}

/* Lock held. */
static int record_run(struct module_ran *self, PyObject *output) {
    struct recording *recording = (struct recording *)self->recording;
    uint32_t call;
    if (nauha__counter_next((struct counter *)self->calls, recording->serial, recording->tag,
                            &call) < 0 ||
        nauha__publish(recording, NAUHA_KIND_ACTIVATIONS, self->module, 0, call, recording->tag,
                       output) < 0)
        return -1;
    return hook_output(self, output, call);
}

/* Called with (module, args, output). */
static PyObject *module_ran_call(PyObject *object, PyObject *args, PyObject *keywords) {
    struct module_ran *self = (struct module_ran *)object;
    struct recording *recording = (struct recording *)self->recording;
    if (!recording->active)
        Py_RETURN_NONE;
    PyObject *output = PyTuple_Size(args) == 3 ? PyTuple_GetItem(args, 2) : NULL;
    if (!output || !nauha__is_tensor((struct reader *)recording->reader, output))
        return PyObject_Call(self->hook, args, keywords);
    if (nauha__lock(recording) < 0)
        return trouble(self->observer);
    enum run run = decide(self);
    int outcome = 0;
    PyErr_Clear(); /* the hook meets it again */
    if (run == RAN_RECORDED)
        outcome = record_run(self, output);
    outcome = unlocked(recording, outcome);
    if (run == RAN_OTHERWISE && outcome == 0)
        return PyObject_Call(self->hook, args, keywords);
    return answer(self->observer, outcome);
}

#define MODULE_RAN_FIELDS(X) X(recording) X(observer) X(record) X(hook) X(root) X(calls)
NAUHA_COLLECTED(module_ran, MODULE_RAN_FIELDS, NOTHING_MORE)

static PyType_Slot module_ran_slots[] = {NAUHA_COLLECTED_SLOTS(module_ran),
                                         {Py_tp_init, (void *)module_ran_init},
                                         {Py_tp_call, (void *)module_ran_call},
                                         {0, NULL}};
static PyType_Spec module_ran_spec = {"nauha_fast.ModuleRan", sizeof(struct module_ran), 0,
                                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, module_ran_slots};

/* ---- ParameterGradient ---- */

struct parameter_gradient {
    PyObject_HEAD PyObject *recording, *observer, *calls;
    unsigned kind, module, slot, placement;
};

/* ParameterGradient(recording, observer, calls, kind, module, slot, placement) */
static int parameter_gradient_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct parameter_gradient *self = (struct parameter_gradient *)object;
    PyObject *recording, *observer, *calls;
    (void)keywords;
    if (self->recording || !PyArg_ParseTuple(args, "O!OO!IIII", nauha__recording_type, &recording,
                                             &observer, nauha__counter_type, &calls, &self->kind,
                                             &self->module, &self->slot, &self->placement))
        return -1;
    nauha__hold(&self->recording, recording);
    nauha__hold(&self->observer, observer);
    nauha__hold(&self->calls, calls);
    return 0;
}

/* Lock held. */
static int publish_parameter(struct parameter_gradient *self, PyObject *gradient) {
    struct recording *recording = (struct recording *)self->recording;
    uint32_t call;
    if (recording->tag ? recording->results_only : !(recording->step_open && recording->latest_on))
        return 0;
    if (nauha__counter_next((struct counter *)self->calls, recording->serial, recording->tag,
                            &call) < 0)
        return -1;
    if (self->placement != 0) {
        PyObject *done = PyObject_CallMethod((PyObject *)recording, "publish_shard", "IIIIIOI",
                                             self->kind, self->module, self->slot, call,
                                             recording->tag, gradient, self->placement);
        Py_XDECREF(done);
        return done ? 0 : -1;
    }
    return nauha__publish(recording, self->kind, self->module, self->slot, call, recording->tag,
                          gradient);
}

static PyObject *parameter_gradient_arrived(PyObject *object, PyObject *gradient) {
    struct parameter_gradient *self = (struct parameter_gradient *)object;
    struct recording *recording = (struct recording *)self->recording;
    if (!recording->active)
        Py_RETURN_NONE;
    int outcome = nauha__lock(recording);
    if (outcome == 0)
        outcome = unlocked(recording, publish_parameter(self, gradient));
    return answer(self->observer, outcome);
}

#define PARAMETER_GRADIENT_FIELDS(X) X(recording) X(observer) X(calls)
NAUHA_COLLECTED(parameter_gradient, PARAMETER_GRADIENT_FIELDS, NOTHING_MORE)

static PyMethodDef parameter_gradient_methods[] = {
    {"arrived", parameter_gradient_arrived, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static PyType_Slot parameter_gradient_slots[] = {NAUHA_COLLECTED_SLOTS(parameter_gradient),
                                                 {Py_tp_init, (void *)parameter_gradient_init},
                                                 {Py_tp_methods, parameter_gradient_methods},
                                                 {0, NULL}};
static PyType_Spec parameter_gradient_spec = {
    "nauha_fast.ParameterGradient", sizeof(struct parameter_gradient), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, parameter_gradient_slots};

int nauha__make_hook_types(void) {
    nauha__layer_gradient_type = (PyTypeObject *)PyType_FromSpec(&layer_gradient_spec);
    nauha__module_ran_type = (PyTypeObject *)PyType_FromSpec(&module_ran_spec);
    nauha__parameter_gradient_type = (PyTypeObject *)PyType_FromSpec(&parameter_gradient_spec);
    return nauha__layer_gradient_type && nauha__module_ran_type && nauha__parameter_gradient_type
               ? 0
               : -1;
}
