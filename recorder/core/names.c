/* SPDX-License-Identifier: MIT */
/* The names of a run, each stored once and numbered: five lists of entries that only grow.
 *
 * Threads: any thread. The hash table of a list is read and changed under the mutex. An entry is
 * read by its number without the mutex: the count is stored (release) after the entries that it
 * covers, and entries and blocks never move.
 */
#include "nauha/names.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, length, value) ((value) = (unsigned)XXH3_64bits(key, length))
#include <uthash.h>

#include "nauha/internal/arithmetic.h"
#include "nauha/internal/clock.h"
#include "nauha/internal/names.h"
#include "nauha/internal/text.h"

struct entry {
    UT_hash_handle hh;
    uint32_t id;
    uint32_t ndim;
    enum nauha_scope scope;
    enum nauha_form form;
    const struct entry *whole; /* shapes of shards: the shape of the whole; else NULL */
    bool flat;                 /* shapes of shards, and the next two */
    uint32_t summand, summands;
    const char *class_name; /* modules: in the same allocation */
    int64_t key[];          /* the name with its terminating zero, or the shape; a shard's shape
                               is followed by its offset and by a struct shard_key */
};

/* Block b holds FIRST_BLOCK << b entries, so that numbers find their entry by a shift. */
#define FIRST_BLOCK_BITS 6
#define FIRST_BLOCK (1u << FIRST_BLOCK_BITS)
#define BLOCKS (32 - FIRST_BLOCK_BITS)

struct list {
    struct entry *table; /* by key; lock: names->mutex */
    struct entry **blocks[BLOCKS];
    _Atomic uint32_t count;
};

enum list_id { KINDS, MODULES, SLOTS, TAGS, SHAPES, LISTS };

/* The noun and the limits of each list. Kinds and tags have 16 bits in a trace, and the highest
 * number is reserved. */
static const struct {
    const char *noun;
    uint32_t name_max;
    bool may_be_empty;
    bool file_name;
    uint32_t count_max;
} rules[LISTS] = {
    [KINDS] = {"kind", NAUHA_NAME_MAX, false, true, UINT16_MAX},
    [MODULES] = {"module", NAUHA_MODULE_NAME_MAX, true, false, UINT32_MAX - FIRST_BLOCK},
    [SLOTS] = {"slot", NAUHA_NAME_MAX, true, false, UINT32_MAX - FIRST_BLOCK},
    [TAGS] = {"tag", NAUHA_NAME_MAX, false, false, UINT16_MAX},
    [SHAPES] = {"shape", 0, false, false, UINT32_MAX - FIRST_BLOCK},
};

struct nauha_names {
    pthread_mutex_t mutex;
    uint64_t stamp;
    struct list lists[LISTS];
};

/* ---- entries by number ---- */

static struct entry **place(const struct list *list, uint32_t id, uint32_t *block) {
    uint32_t position = id + FIRST_BLOCK;
    uint32_t top = 31 - (uint32_t)__builtin_clz(position);
    *block = top - FIRST_BLOCK_BITS;
    struct entry **entries = list->blocks[*block];
    return entries ? &entries[position - (1u << top)] : NULL;
}

static const struct entry *get(const struct nauha_names *names, enum list_id which, uint32_t id) {
    const struct list *list = &names->lists[which];
    if (id >= atomic_load_explicit(&list->count, memory_order_acquire))
        return NULL;
    uint32_t block;
    return *place(list, id, &block);
}

static uint32_t count_of(const struct nauha_names *names, enum list_id which) {
    return atomic_load_explicit(&names->lists[which].count, memory_order_acquire);
}

static const char *name_of(const struct entry *entry) {
    return entry ? (const char *)entry->key : "";
}

/* ---- adding; the mutex is held ---- */

static struct entry *find(const struct list *list, const void *key, size_t bytes) {
    struct entry *entry = NULL;
    HASH_FIND(hh, list->table, key, bytes, entry);
    return entry;
}

/* Appends entry, which the list then owns. Returns false when out of memory or of numbers; the
 * caller then still owns entry. */
static bool append(struct list *list, struct entry *entry, size_t key_bytes) {
    uint32_t count = atomic_load_explicit(&list->count, memory_order_relaxed);
    uint32_t block;
    struct entry **at = place(list, count, &block);
    if (!at) {
        list->blocks[block] = calloc((size_t)FIRST_BLOCK << block, sizeof(struct entry *));
        at = place(list, count, &block);
        if (!at)
            return false;
    }
    HASH_ADD_KEYPTR(hh, list->table, entry->key, key_bytes, entry);
    if (!entry->hh.tbl)
        return false;
    entry->id = count;
    *at = entry;
    atomic_store_explicit(&list->count, count + 1, memory_order_release);
    return true;
}

/* The entry of a key, which is added with a copy of the key and the attributes of `model` if it is
 * new. NULL when out of memory or of numbers; *status then says which. */
static const struct entry *intern(struct nauha_names *names, enum list_id which, const void *key,
                                  size_t key_bytes, const struct entry *model,
                                  enum nauha_status *status) {
    struct list *list = &names->lists[which];
    struct entry *entry = find(list, key, key_bytes);
    if (entry)
        return entry;
    if (atomic_load_explicit(&list->count, memory_order_relaxed) >= rules[which].count_max) {
        *status = NAUHA_LIMIT;
        return NULL;
    }
    *status = NAUHA_NOMEM;
    const char *class_name = model->class_name ? model->class_name : "";
    size_t class_bytes = strlen(class_name) + 1;
    entry = malloc(sizeof *entry + key_bytes + 1 + class_bytes);
    if (!entry)
        return NULL;
    memset(entry, 0, sizeof *entry);
    entry->ndim = model->ndim;
    entry->scope = model->scope;
    entry->form = model->form;
    entry->whole = model->whole;
    entry->flat = model->flat;
    entry->summand = model->summand;
    entry->summands = model->summands;
    char *bytes = (char *)entry->key;
    memcpy(bytes, key, key_bytes);
    bytes[key_bytes] = '\0';
    memcpy(bytes + key_bytes + 1, class_name, class_bytes);
    entry->class_name = bytes + key_bytes + 1;
    if (append(list, entry, key_bytes))
        return entry;
    free(entry);
    return NULL;
}

/* ---- what a name may be ---- */

static bool in_file_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

/* noun: what the name is called in the message. */
static enum nauha_status check_text(const char *noun, const char *name, uint32_t max,
                                    struct nauha_error *err) {
    if (!name)
        return nauha_error_set(err, NAUHA_INVALID, "%s name is missing", noun);
    size_t length = strnlen(name, (size_t)max + 1);
    size_t good = 0;
    while (good < length) {
        size_t step = nauha__character(name + good);
        if (step == 0)
            break;
        good += step;
    }
    /* Quotes only what has been checked. */
    int shown = good > 80 ? 80 : (int)good;
    if (length > max)
        return nauha_error_set(err, NAUHA_INVALID, "%s name \"%.*s...\" is longer than %u bytes",
                               noun, shown, name, max);
    if (good < length)
        return nauha_error_set(err, NAUHA_INVALID,
                               "%s name \"%.*s...\" holds a control character or is not UTF-8 at "
                               "byte %zu",
                               noun, shown, name, good);
    return NAUHA_OK;
}

static enum nauha_status check_name(enum list_id which, const char *name, struct nauha_error *err) {
    enum nauha_status status = check_text(rules[which].noun, name, rules[which].name_max, err);
    if (status != NAUHA_OK)
        return status;
    if (!name[0] && !rules[which].may_be_empty)
        return nauha_error_set(err, NAUHA_INVALID, "%s name is empty", rules[which].noun);
    if (!rules[which].file_name)
        return NAUHA_OK;
    /* Kinds become file names of series, so they must not be hidden files or look like options. */
    bool good = name[0] != '.' && name[0] != '-';
    for (const char *c = name; *c; c++)
        good = good && in_file_name(*c);
    if (good)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "%s name \"%s\" is not valid: use letters, digits, \"_\", \".\" and "
                           "\"-\", and begin with none of \".\" and \"-\"",
                           rules[which].noun, name);
}

/* ---- the public side ---- */

static enum nauha_status refuse(enum list_id which, const char *name, enum nauha_status status,
                                struct nauha_error *err) {
    const char *noun = rules[which].noun;
    if (status == NAUHA_LIMIT)
        return nauha_error_set(
            err, status, "cannot register %s \"%s\": there are already %u, the largest number",
            noun, name, rules[which].count_max);
    return nauha_error_set(err, status, "no memory for %s \"%s\"", noun, name);
}

/* Adds a name with the attributes of model, or finds it. *known: its entry. */
static enum nauha_status add_name(struct nauha_names *names, enum list_id which, const char *name,
                                  const struct entry *model, const struct entry **known,
                                  struct nauha_error *err) {
    enum nauha_status status = check_name(which, name, err);
    if (status != NAUHA_OK)
        return status;
    pthread_mutex_lock(&names->mutex);
    *known = intern(names, which, name, strlen(name), model, &status);
    pthread_mutex_unlock(&names->mutex);
    return *known ? NAUHA_OK : refuse(which, name, status, err);
}

enum nauha_status nauha_names_add_kind(struct nauha_names *names, const char *name,
                                       enum nauha_scope scope, enum nauha_form form, uint32_t *id,
                                       struct nauha_error *err) {
    static const char *const scopes[] = {"network", "module"};
    static const char *const forms[] = {"event", "tensor", "scalar", "histogram"};
    if ((unsigned)scope > NAUHA_SCOPE_MODULE || (unsigned)form > NAUHA_FORM_HISTOGRAM)
        return nauha_error_set(err, NAUHA_INVALID, "a kind of scope %d and form %d is not possible",
                               (int)scope, (int)form);
    struct entry model = {.scope = scope, .form = form};
    const struct entry *known = NULL;
    enum nauha_status status = add_name(names, KINDS, name, &model, &known, err);
    if (status != NAUHA_OK)
        return status;
    if (known->scope != scope || known->form != form)
        return nauha_error_set(
            err, NAUHA_INVALID, "kind \"%s\" is registered as a %s %s and cannot also be a %s %s",
            name, scopes[known->scope], forms[known->form], scopes[scope], forms[form]);
    *id = known->id;
    return NAUHA_OK;
}

enum nauha_status nauha_names_add_module(struct nauha_names *names, const char *name,
                                         const char *class_name, uint32_t *id,
                                         struct nauha_error *err) {
    struct entry model = {.class_name = class_name ? class_name : ""};
    const struct entry *known = NULL;
    enum nauha_status status = check_text("class", model.class_name, NAUHA_CLASS_NAME_MAX, err);
    if (status == NAUHA_OK)
        status = add_name(names, MODULES, name, &model, &known, err);
    if (status != NAUHA_OK)
        return status;
    if (strcmp(known->class_name, model.class_name) != 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "module \"%s\" is registered with the class \"%s\", not \"%s\"",
                               name, known->class_name, model.class_name);
    *id = known->id;
    return NAUHA_OK;
}

static enum nauha_status add_plain(struct nauha_names *names, enum list_id which, const char *name,
                                   uint32_t *id, struct nauha_error *err) {
    struct entry model = {.id = 0};
    const struct entry *known = NULL;
    enum nauha_status status = add_name(names, which, name, &model, &known, err);
    if (status == NAUHA_OK)
        *id = known->id;
    return status;
}

enum nauha_status nauha_names_add_slot(struct nauha_names *names, const char *name, uint32_t *id,
                                       struct nauha_error *err) {
    return add_plain(names, SLOTS, name, id, err);
}

enum nauha_status nauha_names_add_tag(struct nauha_names *names, const char *name, uint32_t *id,
                                      struct nauha_error *err) {
    return add_plain(names, TAGS, name, id, err);
}

static const int64_t no_dims[1];

static enum nauha_status check_dims(const int64_t *shape, uint32_t ndim, struct nauha_error *err) {
    if (ndim > NAUHA_MAX_NDIM)
        return nauha_error_set(err, NAUHA_INVALID, "shape has %u dimensions, more than %u", ndim,
                               NAUHA_MAX_NDIM);
    for (uint32_t i = 0; i < ndim; i++)
        if (shape[i] < 0)
            return nauha_error_set(err, NAUHA_INVALID, "shape has a negative dimension: %lld",
                                   (long long)shape[i]);
    return NAUHA_OK;
}

static enum nauha_status add_shape(struct nauha_names *names, const void *key, size_t key_bytes,
                                   const struct entry *model, const struct entry **known,
                                   struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    pthread_mutex_lock(&names->mutex);
    *known = intern(names, SHAPES, key, key_bytes, model, &status);
    pthread_mutex_unlock(&names->mutex);
    if (!*known && status == NAUHA_NOMEM)
        return nauha_error_set(err, status, "no memory for a shape of %u dimensions", model->ndim);
    if (!*known)
        return nauha_error_set(err, status, "there can be no more than %u shapes",
                               rules[SHAPES].count_max);
    return NAUHA_OK;
}

enum nauha_status nauha_names_add_shape(struct nauha_names *names, const int64_t *shape,
                                        uint32_t ndim, uint32_t *id, struct nauha_error *err) {
    const struct entry model = {.ndim = ndim}, *known = NULL;
    enum nauha_status status = check_dims(shape, ndim, err);
    if (status == NAUHA_OK)
        status =
            add_shape(names, ndim ? shape : no_dims, ndim * sizeof *shape, &model, &known, err);
    if (status == NAUHA_OK)
        *id = known->id;
    return status;
}

/* ---- shards ---- */

/* The end of a shard's key. Its size makes the keys of shards unlike those of shapes. */
#pragma pack(push, 1)
struct shard_key {
    uint32_t whole, summand, summands;
    uint8_t flat, end; /* `end` makes its size odd, and is 0 */
};
#pragma pack(pop)

static enum nauha_status check_placement(const int64_t *shape, uint32_t ndim,
                                         const struct nauha_placement *placement,
                                         struct nauha_error *err) {
    size_t count = 0;
    const struct nauha_tensor whole = {
        .dtype = NAUHA_DTYPE_U8, .ndim = placement->ndim, .shape = placement->shape};
    enum nauha_status status = check_dims(shape, ndim, err);
    if (status == NAUHA_OK)
        status = nauha_tensor_count(&whole, &count, err);
    if (status != NAUHA_OK)
        return status;
    if (count > INT64_MAX)
        return nauha_error_set(err, NAUHA_INVALID, "the whole tensor has too many elements");
    if (placement->summand > 0 && placement->summand >= placement->summands)
        return nauha_error_set(err, NAUHA_INVALID, "there is no summand %u of %u",
                               placement->summand, placement->summands);
    const uint32_t expected = placement->flat ? 1 : placement->ndim;
    if (ndim != expected)
        return nauha_error_set(err, NAUHA_INVALID, "a shard of %u dimensions should have %u", ndim,
                               expected);
    const int64_t elements = (int64_t)count, *within = placement->shape;
    if (placement->flat)
        within = &elements;
    for (uint32_t i = 0; i < ndim; i++)
        if (placement->offset[i] < 0 || placement->offset[i] > within[i] ||
            shape[i] > within[i] - placement->offset[i])
            return nauha_error_set(err, NAUHA_INVALID,
                                   "a shard of length %lld at %lld does not lie in the whole of "
                                   "length %lld",
                                   (long long)shape[i], (long long)placement->offset[i],
                                   (long long)within[i]);
    return NAUHA_OK;
}

enum nauha_status nauha_names_add_placement(struct nauha_names *names, const int64_t *shape,
                                            uint32_t ndim, const struct nauha_placement *placement,
                                            uint32_t *id, struct nauha_error *err) {
    uint32_t whole = 0;
    const struct entry *known = NULL;
    enum nauha_status status = check_placement(shape, ndim, placement, err);
    /* The whole is added first, so that the number of a shard is never 0. */
    if (status == NAUHA_OK)
        status = nauha_names_add_shape(names, placement->shape, placement->ndim, &whole, err);
    if (status != NAUHA_OK)
        return status;
    const struct entry model = {.ndim = ndim,
                                .whole = get(names, SHAPES, whole),
                                .flat = placement->flat,
                                .summand = placement->summand,
                                .summands = placement->summands > 1 ? placement->summands : 0};
    const struct shard_key end = {whole, model.summand, model.summands, model.flat, 0};
    char key[2 * NAUHA_MAX_NDIM * sizeof *shape + sizeof end];
    const size_t bytes = ndim * sizeof *shape;
    if (bytes > 0) {
        memcpy(key, shape, bytes);
        memcpy(key + bytes, placement->offset, bytes);
    }
    memcpy(key + 2 * bytes, &end, sizeof end);
    status = add_shape(names, key, 2 * bytes + sizeof end, &model, &known, err);
    if (status == NAUHA_OK)
        *id = known->id;
    return status;
}

bool nauha_names_placement(const struct nauha_names *names, uint32_t id,
                           struct nauha_placement *placement) {
    const struct entry *entry = get(names, SHAPES, id);
    if (!entry || !entry->whole)
        return false;
    if (placement)
        *placement = (struct nauha_placement){.ndim = entry->whole->ndim,
                                              .shape = entry->whole->key,
                                              .offset = entry->key + entry->ndim,
                                              .flat = entry->flat,
                                              .summand = entry->summand,
                                              .summands = entry->summands};
    return true;
}

uint32_t nauha__names_whole(const struct nauha_names *names, uint32_t id) {
    const struct entry *entry = get(names, SHAPES, id);
    return entry && entry->whole ? entry->whole->id : NAUHA_NONE;
}

/* ---- finding ---- */

static uint32_t find_name(const struct nauha_names *names, enum list_id which, const char *name) {
    /* Finding an entry changes nothing but the mutex. */
    pthread_mutex_t *mutex = (pthread_mutex_t *)&names->mutex;
    pthread_mutex_lock(mutex);
    const struct entry *entry = find(&names->lists[which], name, strlen(name));
    pthread_mutex_unlock(mutex);
    return entry ? entry->id : NAUHA_NONE;
}

uint32_t nauha_names_find_kind(const struct nauha_names *names, const char *name) {
    return find_name(names, KINDS, name);
}
uint32_t nauha_names_find_module(const struct nauha_names *names, const char *name) {
    return find_name(names, MODULES, name);
}
uint32_t nauha_names_find_tag(const struct nauha_names *names, const char *name) {
    return find_name(names, TAGS, name);
}

uint32_t nauha_names_kinds(const struct nauha_names *names) {
    return count_of(names, KINDS);
}
uint32_t nauha_names_modules(const struct nauha_names *names) {
    return count_of(names, MODULES);
}
uint32_t nauha_names_slots(const struct nauha_names *names) {
    return count_of(names, SLOTS);
}
uint32_t nauha_names_tags(const struct nauha_names *names) {
    return count_of(names, TAGS);
}
uint32_t nauha_names_shapes(const struct nauha_names *names) {
    return count_of(names, SHAPES);
}

const char *nauha_names_kind(const struct nauha_names *names, uint32_t id) {
    return name_of(get(names, KINDS, id));
}
enum nauha_scope nauha_names_kind_scope(const struct nauha_names *names, uint32_t id) {
    const struct entry *entry = get(names, KINDS, id);
    return entry ? entry->scope : NAUHA_SCOPE_NETWORK;
}
enum nauha_form nauha_names_kind_form(const struct nauha_names *names, uint32_t id) {
    const struct entry *entry = get(names, KINDS, id);
    return entry ? entry->form : NAUHA_FORM_EVENT;
}
const char *nauha_names_module(const struct nauha_names *names, uint32_t id) {
    return name_of(get(names, MODULES, id));
}
const char *nauha_names_module_class(const struct nauha_names *names, uint32_t id) {
    const struct entry *entry = get(names, MODULES, id);
    return entry ? entry->class_name : "";
}
const char *nauha_names_slot(const struct nauha_names *names, uint32_t id) {
    return name_of(get(names, SLOTS, id));
}
const char *nauha_names_tag(const struct nauha_names *names, uint32_t id) {
    return name_of(get(names, TAGS, id));
}
const int64_t *nauha_names_shape(const struct nauha_names *names, uint32_t id, uint32_t *ndim) {
    const struct entry *entry = get(names, SHAPES, id);
    *ndim = entry ? entry->ndim : 0;
    return entry ? entry->key : no_dims;
}

uint64_t nauha__names_stamp(const struct nauha_names *names) {
    return names->stamp;
}

/* ---- life ---- */

static bool add_builtins(struct nauha_names *names) {
    static const struct {
        const char *name;
        enum nauha_scope scope;
        enum nauha_form form;
    } kinds[] = {
#define KIND_ROW(id, name, scope, form) {name, NAUHA_SCOPE_##scope, NAUHA_FORM_##form},
        NAUHA_KINDS(KIND_ROW)
#undef KIND_ROW
    };
    uint32_t id;
    for (size_t i = 0; i < NAUHA_KIND_BUILTIN_COUNT; i++)
        if (nauha_names_add_kind(names, kinds[i].name, kinds[i].scope, kinds[i].form, &id, NULL) !=
            NAUHA_OK)
            return false;
    return nauha_names_add_tag(names, "default", &id, NULL) == NAUHA_OK &&
           nauha_names_add_slot(names, "", &id, NULL) == NAUHA_OK;
}

struct nauha_names *nauha_names_new(void) {
    struct nauha_names *names = calloc(1, sizeof *names);
    if (!names)
        return NULL;
    if (pthread_mutex_init(&names->mutex, NULL) != 0) {
        free(names);
        return NULL;
    }
    if (!add_builtins(names)) {
        nauha_names_free(names);
        return NULL;
    }
    /* Two objects at one address are made at different times, and making one takes longer than
     * the clock's nanosecond. */
    names->stamp = nauha__now_ns();
    return names;
}

void nauha_names_free(struct nauha_names *names) {
    if (!names)
        return;
    for (size_t i = 0; i < LISTS; i++) {
        struct list *list = &names->lists[i];
        uint32_t count = atomic_load_explicit(&list->count, memory_order_relaxed);
        HASH_CLEAR(hh, list->table);
        for (uint32_t id = 0; id < count; id++) {
            uint32_t block;
            free(*place(list, id, &block));
        }
        for (size_t block = 0; block < BLOCKS; block++)
            free(list->blocks[block]);
    }
    pthread_mutex_destroy(&names->mutex);
    free(names);
}
