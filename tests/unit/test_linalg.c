/* SPDX-License-Identifier: MIT */
/* The module of linear algebra: by matrices whose singular values are known, from several threads;
 * and what its metrics tell plots. */
#include <pthread.h>

/* Before cmocka makes a macro of `fail`. */
#include "analyzers/support/linalg.h"

#include "tests/unit/analyzer_fixture.h"

static const struct linalg *module(void) {
    void *opened = linalg_open();
    assert_non_null(opened);
    const struct linalg *linalg = dlsym(opened, LINALG_SYMBOL);
    assert_non_null(linalg);
    assert_int_equal(linalg->abi, LINALG_ABI);
    return linalg;
}

/* H1 diag(values) H2 with two Householder reflections: rows x columns, row-major. */
static double *matrix_of(size_t rows, size_t columns, const double *values, size_t count) {
    double *a = calloc(rows * columns, sizeof *a);
    double *u = malloc(rows * sizeof *u), *v = malloc(columns * sizeof *v);
    assert_true(a && u && v);
    double uu = 0, vv = 0;
    for (size_t i = 0; i < rows; i++) {
        u[i] = 1 + sin((double)i);
        uu += u[i] * u[i];
    }
    for (size_t j = 0; j < columns; j++) {
        v[j] = 1 + cos((double)j);
        vv += v[j] * v[j];
    }
    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; i < rows; i++) {
            const double left = (i == k) - 2 * u[i] * u[k] / uu;
            for (size_t j = 0; j < columns; j++)
                a[i * columns + j] += left * values[k] * ((j == k) - 2 * v[j] * v[k] / vv);
        }
    }
    free(u);
    free(v);
    return a;
}

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance * fabs(expected)))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

#define ROWS 70u
#define COLUMNS 50u

/* Spectra that are hard on an iteration: equal values, close ones, long tails, few that are not 0.
 */
static void fill_values(double *values, size_t which) {
    for (size_t i = 0; i < COLUMNS; i++) {
        const double x = (double)i;
        const double spectra[] = {3,           3 - 1e-9 * x,         pow(0.5, x), i < 4 ? 4 - x : 0,
                                  1 / (1 + x), i == 0 ? 1 + 1e-7 : 1};
        values[i] = spectra[which];
    }
}

static void test_singular_values_are_the_known_ones(void **state) {
    (void)state;
    const struct linalg *linalg = module();
    for (size_t which = 0; which < 6; which++) {
        double values[COLUMNS], got[COLUMNS], largest = 0;
        fill_values(values, which);
        double *a = matrix_of(ROWS, COLUMNS, values, COLUMNS);
        ok(linalg->largest(a, ROWS, COLUMNS, 1e-12, &largest));
        assert_near(largest, values[0], 1e-12);
        ok(linalg->singular_values(a, ROWS, COLUMNS, got));
        for (size_t i = 0; i < COLUMNS; i++)
            assert_true(fabs(got[i] - values[i]) <= 1e-14 * 4 * values[0]);
        free(a);
    }
}

static void test_extremes_of_tall_and_wide(void **state) {
    (void)state;
    const struct linalg *linalg = module();
    const size_t shapes[][2] = {{ROWS, COLUMNS}, {COLUMNS, ROWS}, {COLUMNS, COLUMNS}, {COLUMNS, 1}};
    for (size_t i = 0; i < 4; i++) {
        const size_t count = shapes[i][0] < shapes[i][1] ? shapes[i][0] : shapes[i][1];
        double values[COLUMNS], largest = 0, smallest = 0;
        for (size_t k = 0; k < COLUMNS; k++)
            values[k] = pow(0.8, (double)k);
        double *a = matrix_of(shapes[i][0], shapes[i][1], values, count);
        ok(linalg->extremes(a, shapes[i][0], shapes[i][1], 1e-12, 1e-14, &largest, &smallest));
        assert_near(largest, 1, 1e-12);
        assert_near(smallest, values[count - 1], 1e-9);
        free(a);
    }
}

/* A residual of 0 is never reached: after its last step the iteration gives way to LAPACK. */
static void test_what_does_not_converge_is_decomposed(void **state) {
    (void)state;
    const struct linalg *linalg = module();
    const size_t size = 320; /* more than the iteration takes steps */
    double values[320], largest = 0, smallest = 0;
    for (size_t i = 0; i < size; i++)
        values[i] = 2 - (double)i / (double)size;
    double *a = matrix_of(size, size, values, size);
    ok(linalg->largest(a, size, size, 0, &largest));
    assert_near(largest, values[0], 1e-14);
    free(a);
    a = matrix_of(size, size, values, size);
    ok(linalg->extremes(a, size, size, 0, 1e-14, &largest, &smallest));
    assert_near(largest, values[0], 1e-14);
    assert_near(smallest, values[size - 1], 1e-13);
    free(a);
}

static void test_basis_holds_the_fraction_and_no_more(void **state) {
    (void)state;
    const struct linalg *linalg = module();
    const double values[] = {4, 2, 1, 0.5}; /* squares: 16, 4, 1, 0.25 of 21.25 */
    const struct {
        double fraction;
        size_t rank;
    } rows[] = {{0, 1}, {16 / 21.25 - 1e-9, 1}, {16 / 21.25 + 1e-9, 2}, {0.95, 3}, {1, 4}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        double *a = matrix_of(ROWS, COLUMNS, values, 4);
        double *basis = malloc(ROWS * COLUMNS * sizeof *basis), product[16];
        size_t rank = 99;
        ok(linalg->basis(a, ROWS, COLUMNS, rows[i].fraction, basis, &rank));
        assert_int_equal(rank, rows[i].rank);
        linalg->cross(basis, rank, basis, rank, ROWS, product);
        for (size_t j = 0; j < rank * rank; j++)
            assert_true(fabs(product[j] - (j % (rank + 1) == 0)) < 1e-13);
        free(a);
        free(basis);
    }
}

static void test_no_directions_of_zeros(void **state) {
    (void)state;
    double zeros[6] = {0}, basis[4];
    size_t rank = 99;
    ok(module()->basis(zeros, 2, 3, 0.99, basis, &rank));
    assert_int_equal(rank, 0);
}

static void test_gram_and_cross_products(void **state) {
    (void)state;
    const double a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, -1};
    double gram[4], cross[3];
    module()->gram(a, 2, 3, gram);
    const double grams[] = {14, 32, 32, 77}, crosses[] = {-3, -3, -3};
    assert_memory_equal(gram, grams, sizeof grams);
    module()->cross(a, 3, b, 1, 2, cross);
    assert_memory_equal(cross, crosses, sizeof crosses);
}

/* ---- threads ---- */

struct job {
    const struct linalg *linalg;
    double values[COLUMNS], norm;
};

static void *decompose(void *argument) {
    struct job *job = argument;
    for (int i = 0; i < 20; i++) {
        double values[COLUMNS];
        fill_values(values, 4);
        double *a = matrix_of(ROWS, COLUMNS, values, COLUMNS);
        job->linalg->largest(a, ROWS, COLUMNS, 1e-12, &job->norm);
        job->linalg->singular_values(a, ROWS, COLUMNS, job->values);
        free(a);
    }
    return NULL;
}

static void test_threads_give_the_same_bits(void **state) {
    (void)state;
    static struct job jobs[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        jobs[i].linalg = module();
        assert_int_equal(pthread_create(&threads[i], NULL, decompose, &jobs[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 1; i < 4; i++) {
        assert_memory_equal(jobs[i].values, jobs[0].values, sizeof jobs[0].values);
        assert_memory_equal(&jobs[i].norm, &jobs[0].norm, sizeof jobs[0].norm);
    }
}

/* ---- metrics ---- */

static void test_plots(void **state) {
    (void)state;
    add("spectral_norm:weights");
    add("condition_number:weights");
    add("effective_rank:weights");
    add("stable_rank:weights");
    add("alpha:weights");
    start();
    assert_plot("weights_spectral_norm", "Spectral norm of weights", "largest singular value",
                true);
    assert_plot("weights_condition_number", "Condition number of weights",
                "largest over smallest singular value", true);
    assert_plot("weights_effective_rank", "Effective rank of weights", "effective rank", false);
    assert_plot("weights_stable_rank", "Stable rank of weights", "stable rank", false);
    assert_plot("weights_alpha", "Power-law exponent of the spectrum of weights", "alpha", false);
}

static void test_several_kinds_have_a_topic_each(void **state) {
    (void)state;
    add("spectral_norm:weights,weight_updates");
    start();
    struct series *of_weights = listen("weights_spectral_norm");
    struct series *of_updates = listen("weight_updates_spectral_norm");
    const double x[] = {3, 4};
    feed_f64(U, "a", 0, 2, x);
    feed_f64(W, "a", 0, 1, x);
    finish();
    assert_value(of_updates, 0, 5);
    assert_value(of_weights, 0, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_singular_values_are_the_known_ones),
        cmocka_unit_test(test_extremes_of_tall_and_wide),
        cmocka_unit_test(test_what_does_not_converge_is_decomposed),
        cmocka_unit_test(test_basis_holds_the_fraction_and_no_more),
        cmocka_unit_test(test_no_directions_of_zeros),
        cmocka_unit_test(test_gram_and_cross_products),
        cmocka_unit_test(test_threads_give_the_same_bits),
        RUN(test_plots),
        RUN(test_several_kinds_have_a_topic_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
