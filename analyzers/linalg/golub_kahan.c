/* SPDX-License-Identifier: MIT */
/* Golub-Kahan-Lanczos bidiagonalization, after Golub and Van Loan, Matrix Computations, 10.4:
 *
 *     A V_k = U_k B_k        A' U_k = V_k B_k' + beta_k v_(k+1) e_k'
 *
 * with B_k upper bidiagonal, alpha on its diagonal and beta above. For a singular triple (s, p, q)
 * of B_k, A V q = s U p, and the residual |A' U p - s V q| = beta_k |p_k| is known without a
 * product.
 */
#include "analyzers/linalg/golub_kahan.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* B_k is examined every so many steps, because that costs k^2. */
#define LOOK_EVERY 4u

struct iteration {
    const struct linalg_operator *a;
    double *u, *v;        /* the vectors, m and n doubles each */
    double *alpha, *beta; /* elements of B */
    double *w;            /* the vector that an operator is applied to */
    double *scratch;      /* GOLUB_KAHAN_STEPS for products, 7 times as many to examine B */
    size_t most;          /* steps there is room for */
    double scale;         /* the largest of alpha and beta so far */
};

static void iteration_fini(struct iteration *it) {
    free(it->u);
    free(it->v);
    free(it->alpha);
    free(it->beta);
    free(it->w);
    free(it->scratch);
}

static enum nauha_status iteration_init(struct iteration *it, const struct linalg_operator *a) {
    const size_t smaller = linalg_smaller(a->m, a->n);
    const size_t most = linalg_smaller(smaller, GOLUB_KAHAN_STEPS);
    *it = (struct iteration){.a = a, .most = most};
    it->u = linalg_doubles(most, a->m);
    it->v = linalg_doubles(most + 1, a->n);
    it->alpha = linalg_doubles(most, 1);
    it->beta = linalg_doubles(most, 1);
    it->w = linalg_doubles(a->m > a->n ? a->m : a->n, 1);
    it->scratch = linalg_doubles(most, 7);
    if (it->u && it->v && it->alpha && it->beta && it->w && it->scratch)
        return NAUHA_OK;
    iteration_fini(it);
    return NAUHA_NOMEM;
}

/* The same vector in every run: splitmix64 (G. L. Steele, D. Lea, C. H. Flood 2014), uniform in
 * (-1, 1), of length 1. */
static void random_vector(double *x, size_t n) {
    uint64_t state = 0x6e61756861u;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        x[i] = ((double)(z >> 11) + 0.5) * 0x1p-52 - 1;
    }
    cblas_dscal((int)n, 1 / cblas_dnrm2((int)n, x, 1), x, 1);
}

/* Makes x orthogonal to the first `count` vectors of length n. Doing this once leaves rounding
 * errors; twice is enough (L. Giraud, J. Langou, M. Rozloznik 2005). */
static void orthogonalize(struct iteration *it, const double *vectors, size_t count, size_t n,
                          double *x) {
    for (int pass = 0; pass < 2 && count > 0; pass++) {
        cblas_dgemv(CblasColMajor, CblasTrans, (int)n, (int)count, 1, vectors, (int)n, x, 1, 0,
                    it->scratch, 1);
        cblas_dgemv(CblasColMajor, CblasNoTrans, (int)n, (int)count, -1, vectors, (int)n,
                    it->scratch, 1, 1, x, 1);
    }
}

/* Scales x to length 1. Returns the length that it had, or 0 if x is nothing but rounding
 * errors. */
static double normalize(struct iteration *it, double *x, size_t n) {
    const double length = cblas_dnrm2((int)n, x, 1);
    if (length <= 4 * DBL_EPSILON * it->scale)
        return 0;
    it->scale = length > it->scale ? length : it->scale;
    for (size_t i = 0; i < n; i++)
        x[i] /= length;
    return length;
}

/* Step k: u_k and alpha_k, v_(k+1) and beta_k. */
static void step(struct iteration *it, size_t k) {
    const size_t m = it->a->m, n = it->a->n;
    double *u = it->u + k * m, *v = it->v + (k + 1) * n;
    memcpy(it->w, it->v + k * n, n * sizeof *it->w);
    it->a->apply(it->a->self, false, it->w, u);
    orthogonalize(it, it->u, k, m, u);
    it->alpha[k] = normalize(it, u, m);
    it->beta[k] = 0;
    if (it->alpha[k] == 0)
        return;
    memcpy(it->w, u, m * sizeof *it->w);
    it->a->apply(it->a->self, true, it->w, v);
    orthogonalize(it, it->v, k + 1, n, v);
    it->beta[k] = normalize(it, v, n);
}

/* The largest singular value of B of `count` rows, and its residual. */
static enum nauha_status look(struct iteration *it, size_t count, double *value, double *residual) {
    double *d = it->scratch, *e = d + it->most, *last = e + it->most, *work = last + it->most;
    memcpy(d, it->alpha, count * sizeof *d);
    memcpy(e, it->beta, (count - 1) * sizeof *e);
    memset(last, 0, count * sizeof *last);
    last[count - 1] = 1;
    /* A row times the left singular vectors: the row e_k gives the last component of each. */
    int n = (int)count, none = 0, one = 1, info = 0;
    double nothing = 0;
    LAPACK_dbdsqr("U", &n, &none, &one, &none, d, e, &nothing, &one, last, &one, &nothing, &one,
                  work, &info);
    if (info != 0)
        return NAUHA_SUBSCRIBER;
    *value = d[0];
    *residual = it->beta[count - 1] * fabs(last[0]);
    return NAUHA_OK;
}

enum nauha_status linalg_golub_kahan(const struct linalg_operator *a, double tolerance,
                                     double *value, bool *converged) {
    struct iteration it;
    enum nauha_status status = iteration_init(&it, a);
    *converged = false;
    *value = 0;
    if (status != NAUHA_OK)
        return status;
    random_vector(it.v, a->n);
    for (size_t k = 0; k < it.most && !*converged && status == NAUHA_OK; k++) {
        step(&it, k);
        const bool ended = it.alpha[k] == 0 || it.beta[k] == 0;
        if (!ended && (k + 1) % LOOK_EVERY != 0 && k + 1 < it.most)
            continue;
        double residual = 0;
        status = look(&it, k + 1, value, &residual);
        *converged = ended || residual <= tolerance * *value;
    }
    iteration_fini(&it);
    return status;
}
