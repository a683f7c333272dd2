/* SPDX-License-Identifier: MIT */
/* The result of nauha diff as JSON for programs.
 *
 * Threads: the main thread.
 */
#include <cjson/cJSON.h>
#include <math.h>

#include "tools/commands/diff_result.h"
#include "tools/commands/json.h"

/* JSON has no NaN and no infinity. */
static void add_real(cJSON *object, const char *name, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static cJSON *side_json(const struct nauha_trace_info *info) {
    cJSON *side = cJSON_CreateObject();
    cJSON_AddStringToObject(side, "path", info->path);
    nauha__json_add_whole(side, "rank", info->rank);
    nauha__json_add_whole(side, "steps", info->steps);
    nauha__json_add_whole(side, "messages", info->messages);
    return side;
}

static cJSON *shape_json(const struct nauha_message_info *info) {
    cJSON *shape = cJSON_CreateArray();
    for (uint32_t i = 0; i < info->ndim; i++)
        cJSON_AddItemToArray(shape, nauha__json_signed(info->shape[i]));
    return shape;
}

static cJSON *index_json(const struct nauha_message_info *info, uint64_t at) {
    cJSON *index = cJSON_CreateArray();
    for (uint32_t i = info->ndim; i-- > 0;) {
        const uint64_t size = (uint64_t)info->shape[i];
        cJSON_InsertItemInArray(index, 0, nauha__json_whole(at % size));
        at /= size;
    }
    return index;
}

static void add_difference(cJSON *first, const struct nauha_pair *pair) {
    const struct nauha_difference *d = &pair->difference;
    nauha__json_add_whole(first, "elements", d->count);
    nauha__json_add_whole(first, "elements_differing", d->differing);
    nauha__json_add_whole(first, "zero_signs", d->zero_signs);
    nauha__json_add_whole(first, "nan_payloads", d->nan_payloads);
    nauha__json_add_whole(first, "not_finite", d->not_finite);
    cJSON_AddItemToObject(first, "index", index_json(pair->a, d->first));
    cJSON_AddStringToObject(first, "value_a", pair->first_a);
    cJSON_AddStringToObject(first, "value_b", pair->first_b);
    add_real(first, "max_abs", d->max_abs);
    add_real(first, "max_rel", d->max_rel);
    nauha__json_add_whole(first, "max_ulp", d->max_ulp);
    add_real(first, "relative", nauha_difference_relative(d));
    add_real(first, "cosine", nauha_difference_cosine(d));
}

static cJSON *first_json(const struct nauha_first *found) {
    static const char *const sorts[] = {
        [NAUHA_PAIR_VALUES] = "values",
        [NAUHA_PAIR_HASH] = "hash",
        [NAUHA_PAIR_DTYPE] = "dtype",
        [NAUHA_PAIR_SHAPE] = "shape",
    };
    if (!found)
        return cJSON_CreateNull();
    const struct nauha_pair *pair = &found->pair;
    cJSON *first = cJSON_CreateObject();
    cJSON_AddStringToObject(first, "differs_in", sorts[pair->sort]);
    nauha__json_add_whole(first, "step", pair->a->global_step);
    nauha__json_add_whole(first, "epoch", pair->a->epoch);
    nauha__json_add_whole(first, "train_step", pair->a->train_step);
    cJSON_AddStringToObject(first, "kind", pair->a->kind_name);
    cJSON_AddStringToObject(first, "tag", pair->a->tag_name);
    if (pair->a->module == NAUHA_NONE)
        cJSON_AddNullToObject(first, "module");
    else
        cJSON_AddStringToObject(first, "module", pair->a->module_name);
    cJSON_AddStringToObject(first, "slot", pair->a->slot_name);
    nauha__json_add_whole(first, "call", pair->a->call);
    cJSON_AddStringToObject(first, "dtype_a", nauha_dtype_name(pair->a->dtype));
    cJSON_AddStringToObject(first, "dtype_b", nauha_dtype_name(pair->b->dtype));
    cJSON_AddItemToObject(first, "shape_a", shape_json(pair->a));
    cJSON_AddItemToObject(first, "shape_b", shape_json(pair->b));
    if (pair->compared && pair->difference.differing)
        add_difference(first, pair);
    if (!isnan(pair->apart))
        add_real(first, "fingerprints_differ_by", pair->apart);
    return first;
}

static cJSON *track_json(const struct growth *growth, const struct track *track,
                         const size_t *shown, size_t count) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "kind", track->kind_name);
    if (!growth_is_kind(track)) {
        if (track->module == NAUHA_NONE)
            cJSON_AddNullToObject(object, "module");
        else
            cJSON_AddStringToObject(object, "module", track->module_name);
        cJSON_AddStringToObject(object, "slot", track->slot_name);
    }
    nauha__json_add_whole(object, "compared", track->compared);
    nauha__json_add_whole(object, "differing", track->differing);
    if (track->differing)
        nauha__json_add_whole(object, "first_step", track->first_step);
    else
        cJSON_AddNullToObject(object, "first_step");
    cJSON *points = cJSON_AddArrayToObject(object, "growth");
    for (size_t i = 0; i < count; i++) {
        cJSON *point = cJSON_CreateObject();
        const double value = track->columns[shown[i]];
        nauha__json_add_whole(point, "step", growth_step(growth, shown[i]));
        add_real(point, "relative", value == GROWTH_UNKNOWN ? NAN : value);
        cJSON_AddItemToArray(points, point);
    }
    return object;
}

static void add_growth(cJSON *root, const struct growth *growth) {
    size_t shown[GROWTH_COLUMNS];
    const size_t count = growth_shown(growth, shown);
    cJSON *kinds = cJSON_AddArrayToObject(root, "kinds");
    cJSON *modules = cJSON_AddArrayToObject(root, "modules");
    for (size_t i = 0; i < growth->count; i++) {
        const struct track *track = &growth->tracks[i];
        cJSON_AddItemToArray(growth_is_kind(track) ? kinds : modules,
                             track_json(growth, track, shown, count));
    }
}

static cJSON *only_json(const struct only_side *side, const struct nauha_names *names) {
    cJSON *only = cJSON_CreateObject();
    nauha__json_add_whole(only, "steps", side->steps);
    cJSON *modules = cJSON_AddArrayToObject(only, "modules");
    for (uint32_t i = 0; i < side->module_count; i++)
        if (side->has_alone[i] && !side->has_both[i])
            cJSON_AddItemToArray(modules, cJSON_CreateString(nauha_names_module(names, i)));
    cJSON *kinds = cJSON_AddObjectToObject(only, "messages");
    for (uint32_t i = 0; i < side->kind_count; i++)
        if (side->kinds[i].messages)
            nauha__json_add_whole(kinds, nauha_names_kind(names, i), side->kinds[i].messages);
    return only;
}

struct cJSON *diff_json(struct diff_result *result) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddItemToObject(root, "a", side_json(&result->info_a));
    cJSON_AddItemToObject(root, "b", side_json(&result->info_b));
    cJSON_AddBoolToObject(root, "differ", result->differing > 0);
    nauha__json_add_whole(root, "compared", result->compared);
    nauha__json_add_whole(root, "differing", result->differing);
    nauha__json_add_whole(root, "within_tolerance", result->within);
    nauha__json_add_whole(root, "shards", result->shards);
    nauha__json_add_whole(root, "damaged", result->damaged);
    cJSON_AddItemToObject(root, "first", first_json(nauha_reading_first(result->reading)));
    cJSON_AddStringToObject(root, "meaning", nauha_reading_text(result->reading));
    add_growth(root, &result->growth);
    cJSON_AddItemToObject(root, "only_a", only_json(&result->only_a, result->a.names));
    cJSON_AddItemToObject(root, "only_b", only_json(&result->only_b, result->b.names));
    if (result->map[0])
        cJSON_AddStringToObject(root, "suggested_map", result->map);
    else
        cJSON_AddNullToObject(root, "suggested_map");
    return root;
}
