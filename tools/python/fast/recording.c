/* SPDX-License-Identifier: MIT */
/* Publishes messages: asks whether they are wanted, and calls the recorder. */
#include "tools/python/fast/fast.h"

#include <string.h>

PyTypeObject *nauha__wanted_type, *nauha__sender_type, *nauha__recording_type;

/* ---- Wanted ---- */

int nauha__wants(struct wanted *self, uint32_t kind, uint32_t module, uint32_t tag) {
    if (!self->selector || (kind == NAUHA_KIND_INPUTS && !self->inputs))
        return 0;
    if (self->tapped && self->tapped != Py_None) {
        PyObject *answer = PyObject_CallFunction(self->tapped, "I", kind);
        int tapped = answer ? PyObject_IsTrue(answer) : -1;
        Py_XDECREF(answer);
        if (tapped != 0)
            return tapped;
    }
    return self->accepts(self->selector, self->names, kind, module, tag, self->step, self->epoch,
                         self->rank);
}

static PyObject *wanted_call(PyObject *self, PyObject *args, PyObject *keywords) {
    unsigned kind, module, tag;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "III", &kind, &module, &tag))
        return NULL;
    int wanted = nauha__wants((struct wanted *)self, kind, module, tag);
    return wanted < 0 ? NULL : PyBool_FromLong(wanted);
}

/* Wanted(address of nauha_selector_accepts, selector, names, rank, inputs) */
static int wanted_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct wanted *self = (struct wanted *)object;
    unsigned long long accepts, selector, names;
    int inputs;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "KKKIp", &accepts, &selector, &names, &self->rank, &inputs))
        return -1;
    self->accepts = (__typeof__(self->accepts))(uintptr_t)accepts;
    self->selector = (struct nauha_selector *)(uintptr_t)selector;
    self->names = (const struct nauha_names *)(uintptr_t)names;
    self->inputs = inputs != 0;
    return 0;
}

static PyObject *wanted_at(PyObject *object, PyObject *args) {
    struct wanted *self = (struct wanted *)object;
    if (!PyArg_ParseTuple(args, "KI", &self->step, &self->epoch))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *wanted_end(PyObject *self, PyObject *none) {
    (void)none;
    ((struct wanted *)self)->selector = NULL;
    Py_RETURN_NONE;
}

#define WANTED_FIELDS(X) X(tapped)
#define NOTHING_MORE(self) (void)(self)
NAUHA_COLLECTED(wanted, WANTED_FIELDS, NOTHING_MORE)

static PyMemberDef wanted_members[] = {
    {"tapped", T_OBJECT, offsetof(struct wanted, tapped), 0, NULL},
    {"inputs", T_BOOL, offsetof(struct wanted, inputs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};
static PyMethodDef wanted_methods[] = {{"at", wanted_at, METH_VARARGS, NULL},
                                       {"end", wanted_end, METH_NOARGS, NULL},
                                       {NULL, NULL, 0, NULL}};
static PyType_Slot wanted_slots[] = {
    NAUHA_COLLECTED_SLOTS(wanted),     {Py_tp_init, (void *)wanted_init},
    {Py_tp_call, (void *)wanted_call}, {Py_tp_members, wanted_members},
    {Py_tp_methods, wanted_methods},   {0, NULL}};
static PyType_Spec wanted_spec = {"nauha_fast.Wanted", sizeof(struct wanted), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                                  wanted_slots};

/* ---- Sender ---- */

static int tell(struct sender *self, enum nauha_status status) {
    if (status == NAUHA_OK)
        return 0;
    PyObject *text = PyUnicode_DecodeUTF8(self->error.message,
                                          (Py_ssize_t)strlen(self->error.message), "replace");
    PyObject *told = text ? PyObject_CallFunctionObjArgs(self->tell, text, NULL) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(told);
    return told ? 0 : -1;
}

/* tensor: NULL for events. Returns -1 with an exception, if somebody cannot be told of an error. */
static int send(struct sender *self, uint32_t kind, uint32_t module, uint32_t slot, uint32_t call,
                uint32_t tag, const struct nauha_tensor *tensor) {
    enum nauha_status tagged = NAUHA_OK, status;
    if (tag != self->tag) {
        tagged = self->set_tag(self->recorder, tag, &self->error);
        self->tag = tag;
    }
    if (tell(self, tagged) < 0)
        return -1;
    Py_BEGIN_ALLOW_THREADS;
    status = self->publish(self->recorder, kind, module, slot, call, tensor, &self->error);
    Py_END_ALLOW_THREADS;
    return tell(self, status);
}

static PyObject *sender_publish(PyObject *object, PyObject *args) {
    struct sender *self = (struct sender *)object;
    unsigned kind, module, slot, call, tag, placement = 0;
    unsigned long long identity = 0;
    PyObject *tensor;
    struct nauha__seen seen;
    if (!PyArg_ParseTuple(args, "IIIIIO|KI", &kind, &module, &slot, &call, &tag, &tensor, &identity,
                          &placement))
        return NULL;
    if (placement != 0 ||
        (tensor != Py_None && !nauha__read((struct reader *)self->reader, tensor, &seen)))
        return PyObject_CallMethod(object, "publish_any", "IIIIIOKI", kind, module, slot, call, tag,
                                   tensor, identity, placement);
    seen.tensor.identity = identity;
    if (send(self, kind, module, slot, call, tag, tensor == Py_None ? NULL : &seen.tensor) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* refresh(address of parameters, list of their tensors) */
static PyObject *sender_refresh(PyObject *object, PyObject *args) {
    struct sender *self = (struct sender *)object;
    unsigned long long address;
    PyObject *tensors;
    if (!PyArg_ParseTuple(args, "KO!", &address, &PyList_Type, &tensors))
        return NULL;
    struct nauha_parameter *rows = (struct nauha_parameter *)(uintptr_t)address;
    const Py_ssize_t count = PyList_Size(tensors);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!nauha__refresh((struct reader *)self->reader, PyList_GetItem(tensors, i),
                            &rows[i].tensor))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

/* Sender(addresses of nauha_recorder_publish and nauha_recorder_set_tag, recorder, reader, tell) */
static int sender_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct sender *self = (struct sender *)object;
    unsigned long long publish, set_tag, recorder;
    PyObject *reader, *tell;
    (void)keywords;
    if (self->reader || !PyArg_ParseTuple(args, "KKKO!O", &publish, &set_tag, &recorder,
                                          nauha__reader_type, &reader, &tell))
        return -1;
    self->publish = (__typeof__(self->publish))(uintptr_t)publish;
    self->set_tag = (__typeof__(self->set_tag))(uintptr_t)set_tag;
    self->recorder = (struct nauha_recorder *)(uintptr_t)recorder;
    nauha__hold(&self->reader, reader);
    nauha__hold(&self->tell, tell);
    return 0;
}

#define SENDER_FIELDS(X) X(reader) X(tell)
NAUHA_COLLECTED(sender, SENDER_FIELDS, NOTHING_MORE)

static PyMemberDef sender_members[] = {{"tag", T_UINT, offsetof(struct sender, tag), 0, NULL},
                                       {NULL, 0, 0, 0, NULL}};
static PyMethodDef sender_methods[] = {{"publish", sender_publish, METH_VARARGS, NULL},
                                       {"refresh", sender_refresh, METH_VARARGS, NULL},
                                       {NULL, NULL, 0, NULL}};
static PyType_Slot sender_slots[] = {NAUHA_COLLECTED_SLOTS(sender),
                                     {Py_tp_init, (void *)sender_init},
                                     {Py_tp_members, sender_members},
                                     {Py_tp_methods, sender_methods},
                                     {0, NULL}};
static PyType_Spec sender_spec = {"nauha_fast.Sender", sizeof(struct sender), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                                  sender_slots};

/* ---- Recording ---- */

static int call_lock(struct recording *self, PyObject *method) {
    PyObject *done = PyObject_CallMethodObjArgs(self->lock, method, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

int nauha__lock(struct recording *self) {
    return call_lock(self, ((struct reader *)self->reader)->acquire);
}

int nauha__unlock(struct recording *self) {
    PyObject *type, *value, *traceback;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* what follows them came with 3.12 */
    PyErr_Fetch(&type, &value, &traceback);
    int unlocked = call_lock(self, ((struct reader *)self->reader)->release);
    if (type)
        PyErr_Restore(type, value, traceback);
#pragma GCC diagnostic pop
    return unlocked;
}

int nauha__publish(struct recording *self, uint32_t kind, uint32_t module, uint32_t slot,
                   uint32_t call, uint32_t tag, PyObject *tensor) {
    struct reader *reader = (struct reader *)self->reader;
    struct nauha__seen seen;
    int wanted = nauha__wants((struct wanted *)self->wanted, kind, module, tag);
    if (wanted <= 0)
        return wanted;
    if (PyObject_TypeCheck(self->out, nauha__sender_type)) {
        struct sender *sender = (struct sender *)self->out;
        if (tensor == Py_None)
            return send(sender, kind, module, slot, call, tag, NULL);
        if (nauha__read(reader, tensor, &seen))
            return nauha__identify(reader, tensor, &seen) < 0
                       ? -1
                       : send(sender, kind, module, slot, call, tag, &seen.tensor);
    }
    PyObject *done = PyObject_CallMethod((PyObject *)self, "publish_any", "IIIIIO", kind, module,
                                         slot, call, tag, tensor);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *recording_publish(PyObject *self, PyObject *args) {
    unsigned kind, module, slot, call, tag;
    PyObject *tensor;
    if (!PyArg_ParseTuple(args, "IIIIIO", &kind, &module, &slot, &call, &tag, &tensor) ||
        nauha__publish((struct recording *)self, kind, module, slot, call, tag, tensor) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Recording(lock, reader, wanted): what is called without a look at its type is set here only. */
static int recording_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct recording *self = (struct recording *)object;
    PyObject *lock, *reader, *wanted;
    (void)keywords;
    if (self->lock || !PyArg_ParseTuple(args, "OO!O!", &lock, nauha__reader_type, &reader,
                                        nauha__wanted_type, &wanted))
        return -1;
    nauha__hold(&self->lock, lock);
    nauha__hold(&self->reader, reader);
    nauha__hold(&self->wanted, wanted);
    nauha__hold(&self->out, Py_None);
    return 0;
}

#define RECORDING_FIELDS(X) X(lock) X(out) X(wanted) X(reader)
NAUHA_COLLECTED(recording, RECORDING_FIELDS, NOTHING_MORE)

#define MEMBER(name, type, flags)                                                                  \
    { #name, type, offsetof(struct recording, name), flags, NULL }
static PyMemberDef recording_members[] = {MEMBER(lock, T_OBJECT_EX, 0),
                                          MEMBER(out, T_OBJECT_EX, 0),
                                          MEMBER(wanted, T_OBJECT_EX, READONLY),
                                          MEMBER(reader, T_OBJECT_EX, READONLY),
                                          MEMBER(serial, T_ULONGLONG, 0),
                                          MEMBER(tag, T_UINT, 0),
                                          MEMBER(active, T_BOOL, 0),
                                          MEMBER(step_open, T_BOOL, 0),
                                          MEMBER(latest_on, T_BOOL, 0),
                                          MEMBER(results_only, T_BOOL, 0),
                                          MEMBER(transformed, T_BOOL, 0),
                                          {NULL, 0, 0, 0, NULL}};
static PyMethodDef recording_methods[] = {{"publish", recording_publish, METH_VARARGS, NULL},
                                          {NULL, NULL, 0, NULL}};
static PyType_Slot recording_slots[] = {NAUHA_COLLECTED_SLOTS(recording),
                                        {Py_tp_init, (void *)recording_init},
                                        {Py_tp_members, recording_members},
                                        {Py_tp_methods, recording_methods},
                                        {0, NULL}};
static PyType_Spec recording_spec = {"nauha_fast.Recording", sizeof(struct recording), 0,
                                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                                     recording_slots};

int nauha__make_recording_types(void) {
    nauha__wanted_type = (PyTypeObject *)PyType_FromSpec(&wanted_spec);
    nauha__sender_type = (PyTypeObject *)PyType_FromSpec(&sender_spec);
    nauha__recording_type = (PyTypeObject *)PyType_FromSpec(&recording_spec);
    return nauha__wanted_type && nauha__sender_type && nauha__recording_type ? 0 : -1;
}
