/* SPDX-License-Identifier: MIT */
/* Checking descriptors; see descriptor.h. */
#include "replay/pipeline/descriptor.h"

#include <stddef.h>
#include <string.h>

/* The first release of ABI 1 ended with `destroy`. */
#define LEAST_SIZE offsetof(struct nauha_analyzer, lost)
#define KNOWN_FLAGS                                                                                \
    (NAUHA_ANALYZER_SYNCHRONIZED | NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_RULE |               \
     NAUHA_ANALYZER_PER_KIND | NAUHA_ANALYZER_TRAINED | NAUHA_ANALYZER_STATISTICS)
/* A larger number is not the size of a table but a sign of a damaged descriptor. */
#define PARAMETERS_MAX 64u
#define KINDS_MAX 64u

/* `abi` and `size` come first, and are all that is read of a descriptor that does not fit. */
static enum nauha_status check_version(const struct nauha_analyzer *given,
                                       struct nauha_error *err) {
    if (given->abi != NAUHA_ANALYZER_ABI)
        return nauha_error_set(err, NAUHA_VERSION,
                               "the analyzer has ABI %u and this program ABI %u: compile it with "
                               "the headers of this program",
                               given->abi, NAUHA_ANALYZER_ABI);
    if (given->size > sizeof *given)
        return nauha_error_set(err, NAUHA_VERSION,
                               "the descriptor of the analyzer has %u bytes, more than the %zu "
                               "that this program knows: use a newer nauha, or correct the size",
                               given->size, sizeof *given);
    /* All later members are pointers: any other size would end within one. */
    if (given->size < LEAST_SIZE || (given->size - LEAST_SIZE) % sizeof(void *) != 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "the descriptor of the analyzer has %u bytes, less than the %zu of "
                               "the first release: correct the size",
                               given->size, LEAST_SIZE);
    return NAUHA_OK;
}

static bool is_word(const char *text) {
    return text && *text && strlen(text) <= NAUHA_NAME_MAX && !strpbrk(text, ":,=/ \t\n");
}

static enum nauha_status check_parameters(const struct nauha_analyzer *analyzer,
                                          struct nauha_error *err) {
    const char *name = analyzer->name;
    if (analyzer->parameter_count > PARAMETERS_MAX ||
        (analyzer->parameter_count > 0 && !analyzer->parameters))
        return nauha_error_set(
            err, NAUHA_INVALID, "analyzer \"%s\" has %zu parameters and %s table", name,
            analyzer->parameter_count, analyzer->parameters ? "more than a" : "no");
    for (size_t i = 0; i < analyzer->parameter_count; i++) {
        const struct nauha_analyzer_parameter *row = &analyzer->parameters[i];
        if (!is_word(row->key) || !row->help)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "analyzer \"%s\": parameter %zu has no key or no help", name, i);
        if ((unsigned)row->type > NAUHA_PARAMETER_LIST)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "analyzer \"%s\": parameter \"%s\" has the unknown type %u",
                                   name, row->key, (unsigned)row->type);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(row->key, analyzer->parameters[j].key) == 0)
                return nauha_error_set(err, NAUHA_INVALID,
                                       "analyzer \"%s\" has the parameter \"%s\" twice", name,
                                       row->key);
        }
    }
    return NAUHA_OK;
}

static enum nauha_status check_kinds(const struct nauha_analyzer *analyzer,
                                     struct nauha_error *err) {
    size_t count = 0;
    while (analyzer->default_kinds && count <= KINDS_MAX && analyzer->default_kinds[count])
        count++;
    if (count > KINDS_MAX || analyzer->min_kinds > analyzer->max_kinds ||
        analyzer->max_kinds > KINDS_MAX || (analyzer->max_kinds == 0 && count == 0))
        return nauha_error_set(err, NAUHA_INVALID,
                               "analyzer \"%s\" takes %u to %u kinds, with %zu by default",
                               analyzer->name, analyzer->min_kinds, analyzer->max_kinds, count);
    return NAUHA_OK;
}

enum nauha_status nauha__descriptor_take(const struct nauha_analyzer *given,
                                         struct nauha_analyzer *copy, struct nauha_error *err) {
    enum nauha_status status = check_version(given, err);
    if (status != NAUHA_OK)
        return status;
    *copy = (struct nauha_analyzer){0};
    memcpy(copy, given, given->size);
    copy->size = sizeof *copy;
    copy->summary = copy->summary ? copy->summary : "";
    copy->formula = copy->formula ? copy->formula : "";
    if (!is_word(copy->name))
        return nauha_error_set(err, NAUHA_INVALID,
                               "an analyzer needs a name, without \":,=/\" and spaces");
    if (!copy->create || !copy->compute || !copy->destroy)
        return nauha_error_set(err, NAUHA_INVALID,
                               "analyzer \"%s\" has no %s: it needs create, compute and destroy",
                               copy->name,
                               !copy->create    ? "create"
                               : !copy->compute ? "compute"
                                                : "destroy");
    if (copy->flags & ~(uint32_t)KNOWN_FLAGS)
        return nauha_error_set(err, NAUHA_INVALID,
                               "analyzer \"%s\" has flags that this program does not know: 0x%x",
                               copy->name, copy->flags & ~(uint32_t)KNOWN_FLAGS);
    status = check_kinds(copy, err);
    return status == NAUHA_OK ? check_parameters(copy, err) : status;
}

enum nauha_status nauha__descriptor_check_name(const char *name, struct nauha_error *err) {
    size_t count;
    const struct nauha_analyzer *const *builtin = nauha_builtin_analyzers(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(builtin[i]->name, name) == 0)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "the analyzer \"%s\" is built in and cannot be replaced", name);
    }
    return NAUHA_OK;
}
