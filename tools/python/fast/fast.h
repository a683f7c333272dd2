/* SPDX-License-Identifier: MIT */
/* The types of nauha_fast.so: the part of the Python package that runs for every message. Each type
 * has the interface of the class of the same name in nauha/fast.py, which says what it is for.
 *
 * Only plain tensors are published here: instances of torch.Tensor and torch.nn.Parameter
 * themselves, with strided memory on the CPU. Everything else is handed to the Python code.
 *
 * Written against the limited API, so one build is for every Python since 3.8, and against no
 * header of PyTorch, so it is for every PyTorch: tensors are read through their Python attributes.
 *
 * Threads: with the GIL, and under the publisher's lock where a class says so.
 */
#ifndef NAUHA_FAST_H
#define NAUHA_FAST_H

#define Py_LIMITED_API 0x03080000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "nauha/recorder.h"
#include "nauha/selector.h"

/* ---- references ---- */

/* Sets a field that is NULL to refer to the object. */
static inline void nauha__hold(PyObject **field, PyObject *object) {
    Py_INCREF(object);
    *field = object;
}

/* ---- garbage collection ---- */

#define NAUHA_VISIT(field) Py_VISIT(self->field);
#define NAUHA_CLEAR(field) Py_CLEAR(self->field);

/* Defines type##_traverse, type##_clear and type##_dealloc for struct type. FIELDS(X) calls X with
 * each field that refers to an object, and `release` frees everything else that self owns. */
#define NAUHA_COLLECTED(type, FIELDS, release)                                                     \
    static int type##_traverse(PyObject *object, visitproc visit, void *arg) {                     \
        struct type *self = (struct type *)object;                                                 \
        FIELDS(NAUHA_VISIT)                                                                        \
        return 0;                                                                                  \
    }                                                                                              \
    static int type##_clear(PyObject *object) {                                                    \
        struct type *self = (struct type *)object;                                                 \
        FIELDS(NAUHA_CLEAR)                                                                        \
        return 0;                                                                                  \
    }                                                                                              \
    static void type##_dealloc(PyObject *object) {                                                 \
        PyTypeObject *of = Py_TYPE(object);                                                        \
        PyObject_GC_UnTrack(object);                                                               \
        type##_clear(object);                                                                      \
        release((struct type *)object);                                                            \
        ((freefunc)PyType_GetSlot(of, Py_tp_free))(object);                                        \
        Py_DECREF(of);                                                                             \
    }

#define NAUHA_COLLECTED_SLOTS(type)                                                                \
    {Py_tp_traverse, (void *)type##_traverse}, {Py_tp_clear, (void *)type##_clear}, {              \
        Py_tp_dealloc, (void *)type##_dealloc                                                      \
    }

/* ---- Counter ---- */

struct counter {
    PyObject_HEAD unsigned long long serial;
    uint32_t *counts; /* by tag */
    uint32_t capacity;
};

extern PyTypeObject *nauha__counter_type;

/* Sets *count to how often this has happened since the step began, and counts it once more. Returns
 * -1 with an exception if memory is short. */
int nauha__counter_next(struct counter *self, unsigned long long serial, uint32_t tag,
                        uint32_t *count);
uint32_t nauha__counter_count(const struct counter *self, unsigned long long serial, uint32_t tag);

/* ---- Reader ---- */

/* X(field, attribute): what is read of tensors and of the package's objects. */
#define NAUHA_ATTRIBUTES(X)                                                                        \
    X(layout, "layout")                                                                            \
    X(is_cpu, "is_cpu")                                                                            \
    X(is_neg, "is_neg")                                                                            \
    X(dtype, "dtype")                                                                              \
    X(shape, "shape")                                                                              \
    X(stride, "stride")                                                                            \
    X(data_ptr, "data_ptr")                                                                        \
    X(is_inference, "is_inference")                                                                \
    X(version, "_version")                                                                         \
    X(requires_grad, "requires_grad")                                                              \
    X(output_nr, "output_nr")                                                                      \
    X(grad_fn, "grad_fn")                                                                          \
    X(register_prehook, "register_prehook")                                                        \
    X(training, "training")                                                                        \
    X(acquire, "acquire")                                                                          \
    X(release, "release")

struct nauha__known {
    const void *address; /* NULL: free */
    PyObject *weak;      /* reference to the tensor */
    long version;
    uint64_t number;
};

struct reader {
    PyObject_HEAD PyObject *tensor_type, *parameter_type, *strided, *dtypes, *is_view_of_all,
        *in_backward;
#define NAUHA_ATTRIBUTE_FIELD(field, attribute) PyObject *field;
    NAUHA_ATTRIBUTES(NAUHA_ATTRIBUTE_FIELD)
#undef NAUHA_ATTRIBUTE_FIELD
    struct nauha__known *known; /* a hash table by address */
    size_t known_count;
    uint64_t numbers; /* given so far */
};

/* A plain tensor, as the recorder takes it; its memory is borrowed while the tensor is unchanged.
 */
struct nauha__seen {
    struct nauha_tensor tensor;
    size_t bytes;
    int64_t shape[NAUHA_MAX_NDIM];
    int64_t strides[NAUHA_MAX_NDIM];
};

extern PyTypeObject *nauha__reader_type;

/* Whether the object is of one of the classes of plain tensors. */
bool nauha__is_tensor(const struct reader *reader, PyObject *object);
/* Whether this is a plain tensor; sets *seen without its identity. Never leaves an exception. */
bool nauha__read(struct reader *reader, PyObject *tensor, struct nauha__seen *seen);
/* Whether a plain tensor has the form that the row has, and sets the address in the row. Never
 * leaves an exception. */
bool nauha__refresh(struct reader *reader, PyObject *tensor, struct nauha_tensor *row);
/* Sets the identity in *seen, where the recorder has a use for it. Publisher's lock held. Returns
 * -1 with an exception. */
int nauha__identify(struct reader *reader, PyObject *tensor, struct nauha__seen *seen);
/* 1: this thread is inside a backward pass. -1: an exception. */
int nauha__in_backward(const struct reader *reader);

/* ---- Wanted, Sender, Recording ---- */

struct wanted {
    PyObject_HEAD __typeof__(nauha_selector_accepts) *accepts;
    struct nauha_selector *selector; /* borrowed; NULL: nothing is wanted any more */
    const struct nauha_names *names; /* borrowed */
    PyObject *tapped;                /* a function of a kind, or None */
    unsigned long long step;         /* that is open */
    unsigned epoch, rank;
    char inputs;
};

struct sender {
    PyObject_HEAD __typeof__(nauha_recorder_publish) *publish;
    __typeof__(nauha_recorder_set_tag) *set_tag;
    struct nauha_recorder *recorder; /* borrowed */
    PyObject *reader, *tell;
    unsigned tag; /* that the recorder has */
    struct nauha_error error;
};

struct recording {
    PyObject_HEAD PyObject *lock, *out, *wanted, *reader;
    unsigned long long serial;
    unsigned tag;
    char active, step_open, latest_on, results_only, transformed;
};

extern PyTypeObject *nauha__wanted_type, *nauha__sender_type, *nauha__recording_type;

/* Whether messages of this kind, module and tag are wanted; -1 with an exception. Lock held. */
int nauha__wants(struct wanted *self, uint32_t kind, uint32_t module, uint32_t tag);
/* Publishes a message if it is wanted. Lock held. Returns -1 with an exception. */
int nauha__publish(struct recording *self, uint32_t kind, uint32_t module, uint32_t slot,
                   uint32_t call, uint32_t tag, PyObject *tensor);
/* The publisher's lock. They return -1 with an exception. */
int nauha__lock(struct recording *self);
int nauha__unlock(struct recording *self);

/* ---- hooks ---- */

extern PyTypeObject *nauha__module_ran_type, *nauha__layer_gradient_type,
    *nauha__parameter_gradient_type;

/* ---- the module ---- */

/* Each makes its types, once. They return -1 with an exception. */
int nauha__make_reader_types(void);
int nauha__make_recording_types(void);
int nauha__make_hook_types(void);

/* An attribute that is a number; UINT64_MAX with an exception. */
unsigned long long nauha__number(PyObject *object, const char *attribute);

#endif
