/* SPDX-License-Identifier: MIT */
/* Reads PyTorch's tensors, and recognises those that have come before. */
#include "tools/python/fast/fast.h"

#include <stdlib.h>
#include <string.h>

/* Tensors that are remembered, and places for them. */
#define KNOWN_MAX 4096u
#define KNOWN_PLACES (2 * KNOWN_MAX)
/* The recorder looks for repeats only among tensors of this size or more. */
#define REPEATED_BYTES 1024u

PyTypeObject *nauha__counter_type, *nauha__reader_type;

/* ---- Counter ---- */

static int grow(struct counter *self, uint32_t tag) {
    uint32_t *counts = realloc(self->counts, (tag + 1u) * sizeof *counts);
    if (!counts) {
        PyErr_NoMemory();
        return -1;
    }
    memset(counts + self->capacity, 0, (tag + 1u - self->capacity) * sizeof *counts);
    self->counts = counts;
    self->capacity = tag + 1;
    return 0;
}

int nauha__counter_next(struct counter *self, unsigned long long serial, uint32_t tag,
                        uint32_t *count) {
    if (tag >= self->capacity && grow(self, tag) < 0)
        return -1;
    if (serial != self->serial) {
        self->serial = serial;
        memset(self->counts, 0, self->capacity * sizeof *self->counts);
    }
    *count = self->counts[tag]++;
    return 0;
}

uint32_t nauha__counter_count(const struct counter *self, unsigned long long serial, uint32_t tag) {
    return serial == self->serial && tag < self->capacity ? self->counts[tag] : 0;
}

static PyObject *counter_next(PyObject *self, PyObject *args) {
    unsigned long long serial;
    unsigned tag, count;
    if (!PyArg_ParseTuple(args, "KI", &serial, &tag) ||
        nauha__counter_next((struct counter *)self, serial, tag, &count) < 0)
        return NULL;
    return PyLong_FromUnsignedLong(count);
}

static PyObject *counter_count(PyObject *self, PyObject *args) {
    unsigned long long serial;
    unsigned tag;
    if (!PyArg_ParseTuple(args, "KI", &serial, &tag))
        return NULL;
    return PyLong_FromUnsignedLong(nauha__counter_count((struct counter *)self, serial, tag));
}

static void counter_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    free(((struct counter *)self)->counts);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef counter_methods[] = {{"next", counter_next, METH_VARARGS, NULL},
                                        {"count", counter_count, METH_VARARGS, NULL},
                                        {NULL, NULL, 0, NULL}};
static PyType_Slot counter_slots[] = {
    {Py_tp_dealloc, (void *)counter_dealloc}, {Py_tp_methods, counter_methods}, {0, NULL}};
static PyType_Spec counter_spec = {"nauha_fast.Counter", sizeof(struct counter), 0,
                                   Py_TPFLAGS_DEFAULT, counter_slots};

/* ---- attributes ---- */

unsigned long long nauha__number(PyObject *object, const char *attribute) {
    PyObject *value = PyObject_GetAttrString(object, attribute);
    if (!value)
        return UINT64_MAX;
    unsigned long long number = PyLong_AsUnsignedLongLong(value);
    Py_DECREF(value);
    return number;
}

/* Whether an attribute is this object. */
static bool attribute_is(PyObject *object, PyObject *attribute, const PyObject *expected) {
    PyObject *value = PyObject_GetAttr(object, attribute);
    Py_XDECREF(value);
    return value == expected;
}

/* Whether a method returns this object, which is immortal or held elsewhere. */
static bool method_gives(PyObject *object, PyObject *method, const PyObject *expected) {
    PyObject *value = PyObject_CallMethodObjArgs(object, method, NULL);
    Py_XDECREF(value);
    return value == expected;
}

/* The numbers of a tuple; returns how many, -1 for a failure. Takes a reference to the tuple. */
static Py_ssize_t take_numbers(PyObject *tuple, int64_t numbers[NAUHA_MAX_NDIM]) {
    Py_ssize_t count = tuple && PyTuple_Check(tuple) ? PyTuple_Size(tuple) : -1;
    if (count > (Py_ssize_t)NAUHA_MAX_NDIM)
        count = -1;
    for (Py_ssize_t i = 0; i < count; i++)
        numbers[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    Py_XDECREF(tuple);
    return count;
}

static bool read_address(const struct reader *reader, PyObject *tensor, const void **address) {
    PyObject *value = PyObject_CallMethodObjArgs(tensor, reader->data_ptr, NULL);
    if (!value)
        return false;
    *address = PyLong_AsVoidPtr(value);
    Py_DECREF(value);
    return true;
}

static bool read_type(const struct reader *reader, PyObject *tensor, enum nauha_dtype *dtype) {
    PyObject *type = PyObject_GetAttr(tensor, reader->dtype);
    PyObject *number = type ? PyDict_GetItem(reader->dtypes, type) : NULL; /* borrowed */
    if (number)
        *dtype = (enum nauha_dtype)PyLong_AsLong(number);
    Py_XDECREF(type);
    return number != NULL;
}

/* ---- tensors ---- */

bool nauha__is_tensor(const struct reader *reader, PyObject *object) {
    const PyObject *type = (const PyObject *)Py_TYPE(object);
    return type == reader->tensor_type || type == reader->parameter_type;
}

/* As Tensor.is_contiguous() says, which does not look at the strides of dimensions of size 1. */
static bool is_contiguous(const struct nauha__seen *seen) {
    int64_t expected = 1;
    for (uint32_t i = seen->tensor.ndim; i-- > 0;) {
        if (seen->shape[i] == 0)
            return true;
        if (seen->shape[i] != 1 && seen->strides[i] != expected)
            return false;
        expected *= seen->shape[i];
    }
    return true;
}

static bool is_empty(const struct nauha__seen *seen) {
    for (uint32_t i = 0; i < seen->tensor.ndim; i++) {
        if (seen->shape[i] == 0)
            return true;
    }
    return false;
}

/* Type, shape and strides. */
static bool read_form(const struct reader *reader, PyObject *tensor, struct nauha__seen *seen) {
    if (!read_type(reader, tensor, &seen->tensor.dtype))
        return false;
    Py_ssize_t ndim = take_numbers(PyObject_GetAttr(tensor, reader->shape), seen->shape);
    PyObject *strides = PyObject_CallMethodObjArgs(tensor, reader->stride, NULL);
    if (take_numbers(strides, seen->strides) != ndim || ndim < 0)
        return false;
    seen->tensor.ndim = (uint32_t)ndim;
    seen->tensor.shape = seen->shape;
    seen->tensor.strides = is_empty(seen) || is_contiguous(seen) ? NULL : seen->strides;
    return true;
}

static size_t count_bytes(const struct nauha__seen *seen) {
    static const uint8_t sizes[] = {
#define SIZE(name, text, bytes) bytes,
        NAUHA_DTYPES(SIZE)
#undef SIZE
    };
    size_t bytes = sizes[seen->tensor.dtype];
    for (uint32_t i = 0; i < seen->tensor.ndim; i++)
        bytes *= (size_t)seen->shape[i];
    return bytes;
}

static bool read_plain(struct reader *reader, PyObject *tensor, struct nauha__seen *seen) {
    return attribute_is(tensor, reader->layout, reader->strided) &&
           attribute_is(tensor, reader->is_cpu, Py_True) &&
           method_gives(tensor, reader->is_neg, Py_False) && read_form(reader, tensor, seen) &&
           read_address(reader, tensor, &seen->tensor.data);
}

bool nauha__read(struct reader *reader, PyObject *tensor, struct nauha__seen *seen) {
    if (!nauha__is_tensor(reader, tensor))
        return false;
    seen->tensor = (struct nauha_tensor){0};
    if (read_plain(reader, tensor, seen) && !PyErr_Occurred()) {
        seen->bytes = count_bytes(seen);
        return true;
    }
    PyErr_Clear();
    return false;
}

static bool same_form(const struct nauha_tensor *row, const struct nauha__seen *seen) {
    const size_t bytes = seen->tensor.ndim * sizeof *seen->shape;
    return row->dtype == seen->tensor.dtype && row->ndim == seen->tensor.ndim &&
           memcmp(row->shape, seen->shape, bytes) == 0 && !row->strides == !seen->tensor.strides &&
           (!row->strides || memcmp(row->strides, seen->strides, bytes) == 0);
}

bool nauha__refresh(struct reader *reader, PyObject *tensor, struct nauha_tensor *row) {
    struct nauha__seen seen = {.bytes = 0};
    bool same = nauha__is_tensor(reader, tensor) && read_address(reader, tensor, &seen.tensor.data);
    /* Memory that was plain is so as long as it is the same. */
    if (same && seen.tensor.data == row->data)
        same = read_form(reader, tensor, &seen);
    else if (same)
        same = read_plain(reader, tensor, &seen);
    same = same && !PyErr_Occurred() && same_form(row, &seen);
    PyErr_Clear();
    if (same)
        row->data = seen.tensor.data;
    return same;
}

int nauha__in_backward(const struct reader *reader) {
    PyObject *answer = PyObject_CallObject(reader->in_backward, NULL);
    if (!answer)
        return -1;
    /* A truth, or the number of the backward pass, -1 for none. */
    int inside = PyBool_Check(answer) ? answer == Py_True : PyLong_AsLong(answer) != -1;
    Py_DECREF(answer);
    return inside;
}

/* ---- identities ---- */

/* The place of an address, or where it would be (Fibonacci hashing, linear probing). */
static struct nauha__known *place_of(struct reader *reader, const void *address) {
    size_t place = (size_t)(((uint64_t)(uintptr_t)address * 11400714819323198485u) >> 32);
    for (;; place++) {
        struct nauha__known *known = &reader->known[place % KNOWN_PLACES];
        if (!known->address || known->address == address)
            return known;
    }
}

static void forget(struct reader *reader) {
    for (size_t i = 0; reader->known && i < KNOWN_PLACES; i++)
        Py_CLEAR(reader->known[i].weak);
    if (reader->known)
        memset(reader->known, 0, KNOWN_PLACES * sizeof *reader->known);
    reader->known_count = 0;
}

/* Whether a known tensor still exists and has the same elements as this one, at the same address.
 * -1: an exception. */
static int is_same(const struct reader *reader, const struct nauha__known *known,
                   PyObject *tensor) {
    PyObject *other = PyObject_CallObject(known->weak, NULL);
    int same = other ? other == tensor : -1;
    if (same == 0 && other != Py_None) {
        PyObject *answer =
            PyObject_CallFunctionObjArgs(reader->is_view_of_all, tensor, other, NULL);
        same = answer ? PyObject_IsTrue(answer) : -1;
        Py_XDECREF(answer);
    }
    Py_XDECREF(other);
    return same;
}

static int note(struct reader *reader, PyObject *tensor, const void *address, long version,
                uint64_t *number) {
    PyObject *weak = PyWeakref_NewRef(tensor, NULL);
    if (!weak)
        return -1;
    if (reader->known_count >= KNOWN_MAX)
        forget(reader);
    struct nauha__known *known = place_of(reader, address);
    PyObject *former = known->weak;
    reader->known_count += !known->address;
    *number = ++reader->numbers;
    *known = (struct nauha__known){address, weak, version, *number};
    Py_XDECREF(former);
    return 0;
}

/* The number of a tensor that has elements. */
static int identity(struct reader *reader, PyObject *tensor, const void *address,
                    uint64_t *number) {
    *number = 0;
    if (!method_gives(tensor, reader->is_inference, Py_False))
        return PyErr_Occurred() ? -1 : 0;
    PyObject *value = PyObject_GetAttr(tensor, reader->version);
    if (!value)
        return -1;
    long version = PyLong_AsLong(value);
    Py_DECREF(value);
    if (!reader->known && !(reader->known = calloc(KNOWN_PLACES, sizeof *reader->known))) {
        PyErr_NoMemory();
        return -1;
    }
    const struct nauha__known *known = place_of(reader, address);
    if (known->address && known->version == version) {
        const uint64_t before = known->number;
        int same = is_same(reader, known, tensor);
        if (same != 0) {
            *number = before;
            return same < 0 ? -1 : 0;
        }
    }
    return note(reader, tensor, address, version, number);
}

int nauha__identify(struct reader *reader, PyObject *tensor, struct nauha__seen *seen) {
    if (seen->bytes < REPEATED_BYTES || seen->tensor.strides)
        return 0;
    return identity(reader, tensor, seen->tensor.data, &seen->tensor.identity);
}

static PyObject *reader_of(PyObject *self, PyObject *tensor) {
    struct reader *reader = (struct reader *)self;
    const void *address;
    uint64_t number = 0;
    if (attribute_is(tensor, reader->layout, reader->strided) &&
        method_gives(tensor, reader->is_neg, Py_False)) {
        if (!read_address(reader, tensor, &address) ||
            (address && identity(reader, tensor, address, &number) < 0))
            return NULL;
    }
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(number);
}

/* ---- the type ---- */

#define READER_FIELDS(X)                                                                           \
    X(tensor_type)                                                                                 \
    X(parameter_type) X(strided) X(dtypes) X(is_view_of_all) X(in_backward)

static void release_reader(struct reader *self) {
    forget(self);
    free(self->known);
#define RELEASE(field, attribute) Py_CLEAR(self->field);
    NAUHA_ATTRIBUTES(RELEASE)
#undef RELEASE
}

NAUHA_COLLECTED(reader, READER_FIELDS, release_reader)

static int reader_init(PyObject *object, PyObject *args, PyObject *keywords) {
    struct reader *self = (struct reader *)object, given;
    (void)keywords;
    if (self->tensor_type ||
        !PyArg_ParseTuple(args, "OOOO!OO", &given.tensor_type, &given.parameter_type,
                          &given.strided, &PyDict_Type, &given.dtypes, &given.is_view_of_all,
                          &given.in_backward))
        return -1;
#define TAKE(field)                                                                                \
    self->field = given.field;                                                                     \
    Py_INCREF(self->field);
    READER_FIELDS(TAKE)
#undef TAKE
    bool complete = true;
#define INTERN(field, attribute)                                                                   \
    self->field = PyUnicode_InternFromString(attribute);                                           \
    complete = complete && self->field;
    NAUHA_ATTRIBUTES(INTERN)
#undef INTERN
    return complete ? 0 : -1;
}

static PyMethodDef reader_methods[] = {{"of", reader_of, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static PyType_Slot reader_slots[] = {NAUHA_COLLECTED_SLOTS(reader),
                                     {Py_tp_init, (void *)reader_init},
                                     {Py_tp_methods, reader_methods},
                                     {0, NULL}};
static PyType_Spec reader_spec = {"nauha_fast.Reader", sizeof(struct reader), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, reader_slots};

int nauha__make_reader_types(void) {
    nauha__counter_type = (PyTypeObject *)PyType_FromSpec(&counter_spec);
    nauha__reader_type = (PyTypeObject *)PyType_FromSpec(&reader_spec);
    return nauha__counter_type && nauha__reader_type ? 0 : -1;
}
