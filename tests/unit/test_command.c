/* SPDX-License-Identifier: MIT */
/* The command table: every row is whole, and no two options of a command are alike. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "nauha/nearest.h"
#include "tools/cli/command.h"

/* Calls each for every option of a command, the common ones included. */
static void for_options(const struct command *command,
                        void (*each)(const struct command *, const struct nauha_option *, void *),
                        void *context) {
    for (size_t g = 0;; g++) {
        const struct option_group *group = command->groups[g];
        bool common = group == NULL;
        if (common)
            group = &nauha__common_options;
        size_t count;
        const struct nauha_option *rows = group->rows(&count);
        for (size_t i = 0; i < count; i++) {
            if (nauha__takes(group, &rows[i]))
                each(command, &rows[i], context);
        }
        if (common)
            return;
    }
}

static void test_commands_are_whole(void **state) {
    (void)state;
    size_t count = 0;
    for (const struct command *const *at = nauha__commands; *at; at++, count++) {
        assert_ptr_equal(nauha__command_find((*at)->name), *at);
        assert_true(strlen((*at)->summary) > 10);
        assert_true(strlen((*at)->description) > 20);
        assert_non_null((*at)->run);
        assert_true((*at)->min_arguments <= (*at)->max_arguments);
        assert_true(((*at)->max_arguments > 0) == ((*at)->arguments[0] != '\0'));
    }
    assert_true(count >= 9);
    assert_null(nauha__command_find("no-such-command"));
}

static void check_option(const struct command *command, const struct nauha_option *option,
                         void *context) {
    (void)command;
    (void)context;
    assert_true(strlen(option->name) > 0);
    assert_true(strlen(option->help) > 5);
    assert_true(option->help[strlen(option->help) - 1] != '.');
    /* A switch has no default: it is off. */
    assert_true(option->value || !option->fallback);
}

static void test_options_are_whole(void **state) {
    (void)state;
    for (const struct command *const *at = nauha__commands; *at; at++)
        for_options(*at, check_option, NULL);
}

struct twin {
    const struct nauha_option *option;
    int same_name, same_letter;
};

static void count_twins(const struct command *command, const struct nauha_option *option,
                        void *context) {
    struct twin *twin = context;
    (void)command;
    twin->same_name += strcmp(option->name, twin->option->name) == 0;
    twin->same_letter += option->letter && option->letter == twin->option->letter;
}

static void check_no_twin(const struct command *command, const struct nauha_option *option,
                          void *context) {
    (void)context;
    struct twin twin = {.option = option};
    for_options(command, count_twins, &twin);
    if (twin.same_name != 1 || twin.same_letter > 1)
        fail_msg("option --%s of %s has a twin", option->name, command->name);
}

static void test_options_are_told_apart(void **state) {
    (void)state;
    for (const struct command *const *at = nauha__commands; *at; at++)
        for_options(*at, check_no_twin, NULL);
}

/* ---- parsing, through a command of our own ---- */

static struct {
    char output[32], steps[32], argument[32];
    size_t metrics, arguments;
    bool quiet;
} seen;

static int look(const struct invocation *invocation) {
    snprintf(seen.output, sizeof seen.output, "%s", nauha__get(invocation, "output", "none"));
    snprintf(seen.steps, sizeof seen.steps, "%s", nauha__get(invocation, "steps", "none"));
    seen.metrics = 0;
    for (size_t i = 0; i < invocation->given_count; i++)
        seen.metrics += strcmp(invocation->given[i].option->name, "metric") == 0;
    seen.arguments = invocation->argument_count;
    snprintf(seen.argument, sizeof seen.argument, "%s", invocation->arguments[0]);
    seen.quiet = invocation->quiet;
    return EXIT_FINDING;
}

extern const struct option_group nauha__replay_options;

static const struct command looking = {
    .name = "look",
    .arguments = "TRACE",
    .min_arguments = 1,
    .max_arguments = 1,
    .groups = {&nauha__replay_options, &nauha__select_options},
    .run = look,
};

#define RUN(...)                                                                                   \
    run_words((char *[]){"look", __VA_ARGS__, NULL},                                               \
              sizeof((char *[]){"look", __VA_ARGS__}) / sizeof(char *))

static int run_words(char **words, size_t count) {
    return nauha__command_run(&looking, (int)count, words, NULL);
}

static void test_parsing(void **state) {
    (void)state;
    assert_int_equal(RUN("a.h5", "-o", "dir", "--steps=1:2", "--metric", "x", "-my", "-q"),
                     EXIT_FINDING);
    assert_string_equal(seen.output, "dir");
    assert_string_equal(seen.steps, "1:2");
    assert_int_equal(seen.metrics, 2);
    assert_int_equal(seen.arguments, 1);
    assert_string_equal(seen.argument, "a.h5");
    assert_true(seen.quiet);
    /* Options may stand before arguments, and the last of a kind counts. */
    assert_int_equal(RUN("--output", "b", "--output", "c", "--", "-x.h5"), EXIT_FINDING);
    assert_string_equal(seen.output, "c");
    assert_string_equal(seen.argument, "-x.h5");
    assert_false(seen.quiet);
}

static void test_wrong_usage(void **state) {
    (void)state;
    assert_int_equal(RUN("a.h5", "--nothing"), EXIT_USAGE);
    assert_int_equal(RUN("a.h5", "-z"), EXIT_USAGE);
    assert_int_equal(RUN("a.h5", "--steps"), EXIT_USAGE);
    assert_int_equal(RUN("a.h5", "b.h5"), EXIT_USAGE);
    assert_int_equal(RUN("-q"), EXIT_USAGE);
}

static const char *meant(const char *typed) {
    static const char *const names[] = {"apple", "pear", "quince"};
    static struct nauha_nearest nearest;
    nearest = (struct nauha_nearest){.typed = typed};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        nauha_nearest_try(&nearest, names[i]);
    return nauha_did_you_mean(&nearest);
}

static void test_near_misses(void **state) {
    (void)state;
    assert_string_equal(meant("aple"), " (did you mean \"apple\"?)");
    assert_string_equal(meant("qu"), " (did you mean \"quince\"?)");
    assert_string_equal(meant("paer"), " (did you mean \"pear\"?)");
    assert_string_equal(meant("strawberry"), "");
    assert_string_equal(meant(""), "");
    assert_string_equal(meant("x"), "");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_commands_are_whole),
    cmocka_unit_test(test_options_are_whole),
    cmocka_unit_test(test_options_are_told_apart),
    cmocka_unit_test(test_parsing),
    cmocka_unit_test(test_wrong_usage),
    cmocka_unit_test(test_near_misses),
};
UNIT_MAIN(tests)
