/* SPDX-License-Identifier: MIT */
/* Translating the names of one trace to those of another; see names.h.
 *
 * Threads: one at a time.
 */
#include "replay/diff/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

/* Number of modules without a partner that are examined for a suggestion. */
#define LOOKED_AT 1000u
/* Not looked up yet. */
#define OPEN (NAUHA_NONE - 1)

/* "OLD=NEW": a path and everything below it, or the parts of names on both sides of a star. */
struct map {
    bool star;
    char *old, *old_tail; /* tails: the parts behind the star */
    char *new, *new_tail;
};

struct numbers {
    uint32_t *of_a; /* by b's number */
    size_t count;
};

struct nauha__renames {
    const struct nauha_names *a, *b;
    struct map *maps;
    size_t map_count;
    struct numbers kinds, tags, slots, modules;
};

/* ---- maps ---- */

static enum nauha_status parse_map(const char *text, struct map *map, struct nauha_error *err) {
    const char *equals = strchr(text, '=');
    if (!equals || strchr(equals + 1, '='))
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a map of names: expected OLD=NEW",
                               text);
    map->old = strndup(text, (size_t)(equals - text));
    map->new = strdup(equals + 1);
    if (!map->old || !map->new)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for a map of names");
    char *star_old = strchr(map->old, '*'), *star_new = strchr(map->new, '*');
    if (!star_old != !star_new || (star_old && strchr(star_old + 1, '*')) ||
        (star_new && strchr(star_new + 1, '*')))
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a map of names: expected one * on each side, or none",
                               text);
    map->star = star_old != NULL;
    if (star_old) {
        *star_old = *star_new = '\0';
        map->old_tail = star_old + 1;
        map->new_tail = star_new + 1;
    }
    return NAUHA_OK;
}

/* Size of a name with what a map adds to it. */
#define NAME_BYTES (2 * (size_t)NAUHA_MODULE_NAME_MAX + 2)

/* Joins three parts to a name; false: longer than the name of any module can be. */
static bool join(char *out, const char *first, const char *second, size_t second_length,
                 const char *third) {
    const size_t head = strlen(first), tail = strlen(third);
    if (head + second_length + tail >= NAME_BYTES)
        return false;
    memcpy(out, first, head);
    memcpy(out + head, second, second_length);
    memcpy(out + head + second_length, third, tail + 1);
    return true;
}

/* Replaces one pair of star parts by the other; false: does not fit. */
static bool apply_star(const char *name, const char *from, const char *from_tail, const char *to,
                       const char *to_tail, char *out) {
    const size_t length = strlen(name), head = strlen(from), tail = strlen(from_tail);
    if (length < head + tail || strncmp(name, from, head) != 0 ||
        strcmp(name + length - tail, from_tail) != 0)
        return false;
    return join(out, to, name + head, length - head - tail, to_tail);
}

/* Replaces a path at the beginning by another one; false: the name is not below this path. */
static bool apply_path(const char *name, const char *from, const char *to, char *out) {
    const size_t length = strlen(from);
    if (strncmp(name, from, length) != 0 || (length && name[length] && name[length] != '.'))
        return false;
    const char *rest = name + length + (length && name[length] == '.');
    return join(out, to, ".", to[0] && rest[0], rest);
}

/* Whether a map is not for this name: one that has all names below the root, or many by a star, is
 * meant for the model, and not for the groups of optimizers (optimizer0.group0). */
static bool leaves_out(const char *from, const char *name) {
    unsigned optimizer, group;
    int end = 0;
    return sscanf(name, "optimizer%u.group%u%n", &optimizer, &group, &end) == 2 && !name[end] &&
           strncmp(from, "optimizer", strlen("optimizer")) != 0;
}

static bool apply(const struct map *map, const char *name, char *out) {
    if (leaves_out(map->old, name))
        return false;
    return map->star ? apply_star(name, map->old, map->old_tail, map->new, map->new_tail, out)
                     : apply_path(name, map->old, map->new, out);
}

static bool apply_back(const struct map *map, const char *name, char *out) {
    if (leaves_out(map->new, name))
        return false;
    return map->star ? apply_star(name, map->new, map->new_tail, map->old, map->old_tail, out)
                     : apply_path(name, map->new, map->old, out);
}

/* The name that b has for a module of a. */
static const char *name_in_b(const struct nauha__renames *renames, const char *name, char *room) {
    for (size_t i = 0; i < renames->map_count; i++)
        if (apply(&renames->maps[i], name, room))
            return room;
    return name;
}

static uint32_t find_module(const struct nauha__renames *renames, const char *name_of_b) {
    char before[NAME_BYTES], after[NAME_BYTES];
    for (size_t i = 0; i <= renames->map_count; i++) {
        const char *candidate = name_of_b;
        if (i < renames->map_count) {
            if (!apply_back(&renames->maps[i], name_of_b, before))
                continue;
            candidate = before;
        }
        const uint32_t found = nauha_names_find_module(renames->a, candidate);
        if (found != NAUHA_NONE && strcmp(name_in_b(renames, candidate, after), name_of_b) == 0)
            return found;
    }
    return NAUHA_NONE;
}

/* Checks that each map fits a module of a, and that maps give no two modules the same name. A
 * module whose own name is given to another one by a map has no partner. */
static enum nauha_status check_maps(struct nauha__renames *renames, const char *const *texts,
                                    struct nauha_error *err) {
    char room[NAME_BYTES];
    const uint32_t count = nauha_names_modules(renames->a);
    for (size_t i = 0; i < renames->map_count; i++) {
        bool fits = false;
        for (uint32_t m = 0; m < count && !fits; m++)
            fits = apply(&renames->maps[i], nauha_names_module(renames->a, m), room);
        if (!fits)
            return nauha_error_set(err, NAUHA_UNKNOWN,
                                   "map \"%s\" fits no module of the first trace", texts[i]);
    }
    for (uint32_t m = 0; renames->map_count > 0 && m < count; m++) {
        const char *name = nauha_names_module(renames->a, m);
        const char *mapped = name_in_b(renames, name, room);
        /* Looked up by its new name, a module must be the first one that gets this name. */
        const uint32_t back = mapped == name ? m : find_module(renames, mapped);
        if (back != NAUHA_NONE && back != m)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "modules \"%s\" and \"%s\" would both be \"%s\"", name,
                                   nauha_names_module(renames->a, back), mapped);
    }
    return NAUHA_OK;
}

/* ---- making and freeing ---- */

enum nauha_status nauha__renames_new(const struct nauha_names *a, const struct nauha_names *b,
                                     const char *const *maps, size_t count,
                                     struct nauha__renames **out, struct nauha_error *err) {
    struct nauha__renames *renames = calloc(1, sizeof *renames);
    if (renames)
        renames->maps = calloc(count + 1, sizeof *renames->maps);
    if (!renames || !renames->maps) {
        free(renames);
        return nauha_error_nomem(err);
    }
    renames->a = a;
    renames->b = b;
    enum nauha_status status = NAUHA_OK;
    for (; renames->map_count < count && status == NAUHA_OK; renames->map_count++)
        status = parse_map(maps[renames->map_count], &renames->maps[renames->map_count], err);
    if (status == NAUHA_OK)
        status = check_maps(renames, maps, err);
    if (status != NAUHA_OK) {
        nauha__renames_free(renames);
        return status;
    }
    *out = renames;
    return NAUHA_OK;
}

void nauha__renames_free(struct nauha__renames *renames) {
    if (!renames)
        return;
    for (size_t i = 0; i < renames->map_count; i++) {
        free(renames->maps[i].old);
        free(renames->maps[i].new);
    }
    free(renames->maps);
    free(renames->kinds.of_a);
    free(renames->tags.of_a);
    free(renames->slots.of_a);
    free(renames->modules.of_a);
    free(renames);
}

/* ---- numbers ---- */

static uint32_t find_kind(const struct nauha__renames *renames, uint32_t of_b) {
    return nauha_names_find_kind(renames->a, nauha_names_kind(renames->b, of_b));
}

static uint32_t find_tag(const struct nauha__renames *renames, uint32_t of_b) {
    return nauha_names_find_tag(renames->a, nauha_names_tag(renames->b, of_b));
}

static uint32_t find_slot(const struct nauha__renames *renames, uint32_t of_b) {
    const char *name = nauha_names_slot(renames->b, of_b);
    for (uint32_t i = 0; i < nauha_names_slots(renames->a); i++)
        if (strcmp(nauha_names_slot(renames->a, i), name) == 0)
            return i;
    return NAUHA_NONE;
}

static uint32_t find_mapped_module(const struct nauha__renames *renames, uint32_t of_b) {
    return find_module(renames, nauha_names_module(renames->b, of_b));
}

/* Looks an entry up once. */
static uint32_t look_up(const struct nauha__renames *renames, struct numbers *numbers,
                        uint32_t of_b,
                        uint32_t (*find)(const struct nauha__renames *renames, uint32_t of_b)) {
    const size_t before = numbers->count;
    if (!NAUHA_GROW(numbers->of_a, numbers->count, (size_t)of_b + 1))
        return find(renames, of_b);
    for (size_t i = before; i < numbers->count; i++)
        numbers->of_a[i] = OPEN;
    if (numbers->of_a[of_b] == OPEN)
        numbers->of_a[of_b] = find(renames, of_b);
    return numbers->of_a[of_b];
}

uint32_t nauha__renames_kind(struct nauha__renames *renames, uint32_t kind_of_b) {
    return look_up(renames, &renames->kinds, kind_of_b, find_kind);
}

uint32_t nauha__renames_tag(struct nauha__renames *renames, uint32_t tag_of_b) {
    return look_up(renames, &renames->tags, tag_of_b, find_tag);
}

uint32_t nauha__renames_slot(struct nauha__renames *renames, uint32_t slot_of_b) {
    return look_up(renames, &renames->slots, slot_of_b, find_slot);
}

uint32_t nauha__renames_module(struct nauha__renames *renames, uint32_t module_of_b) {
    return module_of_b == NAUHA_NONE
               ? NAUHA_NONE
               : look_up(renames, &renames->modules, module_of_b, find_mapped_module);
}

/* ---- suggestions ---- */

struct lonely {
    uint32_t a[LOOKED_AT], b[LOOKED_AT];
    size_t a_count, b_count;
};

static void find_lonely(struct nauha__renames *renames, struct lonely *lonely) {
    const uint32_t of_a = nauha_names_modules(renames->a);
    const uint32_t of_b = nauha_names_modules(renames->b);
    bool *has_partner = calloc(of_a + 1, sizeof *has_partner);
    lonely->a_count = lonely->b_count = 0;
    for (uint32_t i = 0; has_partner && i < of_b; i++) {
        const uint32_t partner = nauha__renames_module(renames, i);
        if (partner != NAUHA_NONE)
            has_partner[partner] = true;
        else if (lonely->b_count < LOOKED_AT)
            lonely->b[lonely->b_count++] = i;
    }
    for (uint32_t i = 0; has_partner && i < of_a; i++)
        if (!has_partner[i] && lonely->a_count < LOOKED_AT)
            lonely->a[lonely->a_count++] = i;
    free(has_partner);
}

/* The lengths of the two names without the path that they have in common at their ends, and without
 * the point before it. */
static void split_common(const char *a, const char *b, size_t *head_a, size_t *head_b) {
    size_t i = strlen(a), j = strlen(b);
    *head_a = i;
    *head_b = j;
    while (i > 0 && j > 0 && a[i - 1] == b[j - 1]) {
        i--;
        j--;
        const bool edge_a = i == 0 || a[i - 1] == '.', edge_b = j == 0 || b[j - 1] == '.';
        if (edge_a && edge_b) {
            *head_a = i ? i - 1 : 0;
            *head_b = j ? j - 1 : 0;
        }
    }
}

/* The number of modules of a without a partner that a map would give one of the same class in b. */
static size_t count_joined(const struct nauha__renames *renames, const struct lonely *lonely,
                           const struct map *map) {
    size_t joined = 0;
    char room[NAME_BYTES];
    for (size_t i = 0; i < lonely->a_count; i++) {
        if (!apply(map, nauha_names_module(renames->a, lonely->a[i]), room))
            continue;
        const uint32_t found = nauha_names_find_module(renames->b, room);
        bool joins = false;
        for (size_t j = 0; found != NAUHA_NONE && !joins && j < lonely->b_count; j++)
            joins = lonely->b[j] == found;
        joined += joins && strcmp(nauha_names_module_class(renames->a, lonely->a[i]),
                                  nauha_names_module_class(renames->b, found)) == 0;
    }
    return joined;
}

bool nauha__renames_suggest(struct nauha__renames *renames, char *text, size_t bytes,
                            size_t *modules) {
    struct lonely *lonely = malloc(sizeof *lonely);
    if (!lonely)
        return false;
    find_lonely(renames, lonely);
    *modules = 0;
    /* A few partners are enough: a map is for many modules. */
    for (size_t i = 0; i < lonely->a_count && i < 8; i++) {
        const char *a = nauha_names_module(renames->a, lonely->a[i]);
        for (size_t j = 0; j < lonely->b_count; j++) {
            const char *b = nauha_names_module(renames->b, lonely->b[j]);
            size_t head_a, head_b;
            if (strcmp(nauha_names_module_class(renames->a, lonely->a[i]),
                       nauha_names_module_class(renames->b, lonely->b[j])) != 0)
                continue;
            split_common(a, b, &head_a, &head_b);
            char old[NAME_BYTES], new[NAME_BYTES];
            snprintf(old, sizeof old, "%.*s", (int)head_a, a);
            snprintf(new, sizeof new, "%.*s", (int)head_b, b);
            const struct map map = {.old = old, .new = new};
            const size_t joined = count_joined(renames, lonely, &map);
            if (joined > *modules) {
                *modules = joined;
                snprintf(text, bytes, "%s=%s", old, new);
            }
        }
    }
    /* A single layer that has another name in another model does not suggest a renaming. */
    const size_t fewer = lonely->a_count < lonely->b_count ? lonely->a_count : lonely->b_count;
    const bool many = *modules > 0 && 2 * *modules >= fewer;
    free(lonely);
    return many;
}
