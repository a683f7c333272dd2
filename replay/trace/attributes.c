/* SPDX-License-Identifier: MIT */
/* The root attributes of a trace: its format, its run, and the facts that were given to the
 * recorder.
 *
 * Threads: one at a time per trace.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/text.h"
#include "replay/trace/parts.h"

/* Longest text an attribute may hold. */
#define TEXT_MAX ((size_t)16 << 20)
/* A chunk is decoded as a whole, so its size is bounded. */
#define CHUNK_BYTES_MIN 64u
#define CHUNK_BYTES_MAX ((uint64_t)64 << 20)

/* Opens a root attribute that holds one value of a class. Returns FORMAT if there is none. */
static enum nauha_status open_attribute(const struct nauha_trace *trace, const char *name,
                                        H5T_class_t wanted, hid_t *attribute, hid_t *type,
                                        struct nauha_error *err) {
    htri_t exists = H5Aexists(trace->file, name);
    if (exists == 0)
        return nauha_error_set(err, NAUHA_FORMAT, "trace \"%s\" has no attribute \"%s\"",
                               trace->path, name);
    *attribute = exists < 0 ? H5I_INVALID_HID : H5Aopen(trace->file, name, H5P_DEFAULT);
    if (*attribute < 0)
        return nauha__h5_error(err, NAUHA_FORMAT, "cannot open attribute \"%s\" of trace \"%s\"",
                               name, trace->path);
    *type = H5Aget_type(*attribute);
    hid_t space = H5Aget_space(*attribute);
    bool right = *type >= 0 && space >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
                 H5Tget_class(*type) == wanted;
    if (space >= 0)
        H5Sclose(space);
    if (right)
        return NAUHA_OK;
    if (*type >= 0)
        H5Tclose(*type);
    H5Aclose(*attribute);
    H5Eclear2(H5E_DEFAULT);
    return nauha_error_set(err, NAUHA_FORMAT, "attribute \"%s\" of trace \"%s\" is not one %s",
                           name, trace->path, wanted == H5T_STRING ? "text" : "whole number");
}

static enum nauha_status read_text(const struct nauha_trace *trace, const char *name, char **text,
                                   struct nauha_error *err) {
    hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID;
    enum nauha_status status = open_attribute(trace, name, H5T_STRING, &attribute, &type, err);
    if (status != NAUHA_OK)
        return status;
    size_t size = H5Tget_size(type);
    char *copy = NULL;
    bool read = false;
    if (H5Tis_variable_str(type) > 0) {
        char *borrowed = NULL;
        read = H5Aread(attribute, type, &borrowed) >= 0;
        if (read)
            copy = strdup(borrowed ? borrowed : "");
        if (read && borrowed)
            H5free_memory(borrowed);
    } else if (size <= TEXT_MAX && size <= nauha__trace_file_bytes(trace)) {
        copy = calloc(1, size + 1);
        read = copy && H5Aread(attribute, type, copy) >= 0;
    } else {
        status = nauha_error_set(err, NAUHA_FORMAT, "attribute \"%s\" of trace \"%s\" is too long",
                                 name, trace->path);
    }
    if (status == NAUHA_OK && !copy && read)
        status = nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", trace->path);
    else if (status == NAUHA_OK && !read)
        status = nauha__h5_error(err, NAUHA_FORMAT, "cannot read attribute \"%s\" of trace \"%s\"",
                                 name, trace->path);
    H5Tclose(type);
    H5Aclose(attribute);
    if (status != NAUHA_OK) {
        free(copy);
        return status;
    }
    *text = copy;
    return NAUHA_OK;
}

/* value: 8 bytes, of the given memory type. */
static enum nauha_status read_integer(const struct nauha_trace *trace, const char *name,
                                      hid_t memory_type, void *value, struct nauha_error *err) {
    hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID;
    enum nauha_status status = open_attribute(trace, name, H5T_INTEGER, &attribute, &type, err);
    if (status != NAUHA_OK)
        return status;
    if (H5Aread(attribute, memory_type, value) < 0)
        status = nauha__h5_error(err, NAUHA_FORMAT, "cannot read attribute \"%s\" of trace \"%s\"",
                                 name, trace->path);
    H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

static enum nauha_status read_u32(const struct nauha_trace *trace, const char *name,
                                  uint32_t *value, struct nauha_error *err) {
    uint64_t wide = 0;
    enum nauha_status status = read_integer(trace, name, H5T_NATIVE_UINT64, &wide, err);
    if (status == NAUHA_OK && wide > UINT32_MAX)
        return nauha_error_set(err, NAUHA_FORMAT,
                               "attribute \"%s\" of trace \"%s\" is out of range: %" PRIu64, name,
                               trace->path, wide);
    if (status == NAUHA_OK)
        *value = (uint32_t)wide;
    return status;
}

static enum nauha_status check_format(struct nauha_trace *trace, struct nauha_error *err) {
    htri_t exists = H5Aexists(trace->file, "format");
    if (exists == 0)
        return nauha_error_set(
            err, NAUHA_FORMAT,
            "\"%s\" is an HDF5 file but not a nauha trace: it has no attribute \"format\"",
            trace->path);
    char *format = NULL;
    enum nauha_status status = read_text(trace, "format", &format, err);
    if (status == NAUHA_OK && strcmp(nauha__defuse(format, ""), NAUHA__FORMAT_NAME) != 0)
        status = nauha_error_set(err, NAUHA_FORMAT,
                                 "\"%s\" has format \"%.80s\", but this program reads \"%s\"",
                                 trace->path, format, NAUHA__FORMAT_NAME);
    free(format);
    if (status == NAUHA_OK)
        status = read_u32(trace, "format_major", &trace->format_major, err);
    if (status == NAUHA_OK)
        status = read_u32(trace, "format_minor", &trace->format_minor, err);
    if (status == NAUHA_OK && trace->format_major != NAUHA_FORMAT_MAJOR)
        status = nauha_error_set(
            err, NAUHA_VERSION,
            "trace \"%s\" has format version %" PRIu32 ".%" PRIu32
            ", but this program reads %u.x%s",
            trace->path, trace->format_major, trace->format_minor, NAUHA_FORMAT_MAJOR,
            trace->format_major > NAUHA_FORMAT_MAJOR ? ": use a newer nauha" : "");
    return status;
}

/* Traces before 1.5 do not say which hash they have. */
static enum nauha_status read_hash(struct nauha_trace *trace, struct nauha_error *err) {
    char *name = NULL;
    trace->hash = NAUHA_HASH_XXH3;
    if (H5Aexists(trace->file, "hash") == 0 && trace->format_minor < 5)
        return NAUHA_OK;
    enum nauha_status status = read_text(trace, "hash", &name, err);
    if (status == NAUHA_OK)
        trace->hash = NAUHA_HASH_OTHER;
    for (unsigned i = 0; status == NAUHA_OK && i < NAUHA_HASH_OTHER; i++)
        if (strcmp(name, nauha_hash_name((enum nauha_hash)i)) == 0)
            trace->hash = (enum nauha_hash)i;
    free(name);
    return status;
}

static enum nauha_status take_facts(struct nauha_trace *trace, const char *text,
                                    struct nauha_error *err) {
    cJSON *json = cJSON_Parse(text);
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return nauha_error_set(err, NAUHA_FORMAT,
                               "attribute \"facts\" of trace \"%s\" is not a JSON object",
                               trace->path);
    }
    enum nauha_status status = NAUHA_OK;
    size_t count = 0;
    for (const cJSON *item = json->child; item; item = item->next)
        count++;
    trace->facts = calloc(count ? count : 1, sizeof *trace->facts);
    if (!trace->facts)
        status = nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", trace->path);
    for (const cJSON *item = json->child; item && status == NAUHA_OK; item = item->next) {
        struct nauha__trace_fact *fact = &trace->facts[trace->fact_count];
        if (!cJSON_IsString(item)) {
            status =
                nauha_error_set(err, NAUHA_FORMAT, "fact \"%.80s\" of trace \"%s\" is not a text",
                                item->string, trace->path);
            break;
        }
        trace->fact_count++;
        fact->key = strdup(item->string);
        fact->value = strdup(item->valuestring);
        if (!fact->key || !fact->value)
            status =
                nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", trace->path);
    }
    cJSON_Delete(json);
    return status;
}

enum nauha_status nauha__trace_read_attributes(struct nauha_trace *trace, struct nauha_error *err) {
    enum nauha_status status = check_format(trace, err);
    if (status == NAUHA_OK)
        status = read_u32(trace, "rank", &trace->rank, err);
    if (status == NAUHA_OK)
        status = read_u32(trace, "world_size", &trace->world_size, err);
    if (status == NAUHA_OK)
        status = read_integer(trace, "created_ns", H5T_NATIVE_INT64, &trace->created_ns, err);
    if (status == NAUHA_OK)
        status = read_integer(trace, "chunk_bytes", H5T_NATIVE_UINT64, &trace->chunk_bytes, err);
    if (status == NAUHA_OK && (trace->chunk_bytes < CHUNK_BYTES_MIN ||
                               trace->chunk_bytes > CHUNK_BYTES_MAX || trace->chunk_bytes % 8 != 0))
        status = nauha_error_set(err, NAUHA_FORMAT,
                                 "trace \"%s\" has chunks of %" PRIu64
                                 " bytes: expected a multiple of 8 from %u to %" PRIu64,
                                 trace->path, trace->chunk_bytes, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    if (status == NAUHA_OK)
        status = read_text(trace, "codec", &trace->codec, err);
    if (status == NAUHA_OK)
        nauha__defuse(trace->codec, "");
    if (status == NAUHA_OK)
        status = read_hash(trace, err);
    char *facts = NULL;
    if (status == NAUHA_OK)
        status = read_text(trace, "facts", &facts, err);
    if (status == NAUHA_OK)
        status = take_facts(trace, facts, err);
    free(facts);
    return status;
}
