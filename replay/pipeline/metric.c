/* SPDX-License-Identifier: MIT */
/* The functions that a pipeline offers an analyzer, and the subscriptions that it makes for it.
 *
 * Threads: one at a time.
 */
#include "replay/pipeline/metric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/nearest.h"

/* ---- topics ---- */

static void published_free(struct nauha__published *topic) {
    if (!topic)
        return;
    for (size_t i = 0; i < sizeof topic->texts / sizeof *topic->texts; i++)
        free(topic->texts[i]);
    free(topic);
}

/* A copy of the plot configuration for sinks; NULL when out of memory. */
static struct nauha__published *published_new(const char *series, enum nauha_form form,
                                              const struct nauha_plot *plot) {
    struct nauha__published *topic = calloc(1, sizeof *topic);
    if (!topic)
        return NULL;
    const char *const texts[4] = {series, plot->title ? plot->title : series,
                                  plot->xlabel ? plot->xlabel : "step",
                                  plot->ylabel ? plot->ylabel : ""};
    for (size_t i = 0; i < 4; i++) {
        topic->texts[i] = strdup(texts[i]);
        if (!topic->texts[i]) {
            published_free(topic);
            return NULL;
        }
    }
    topic->series = (struct nauha__series){.name = topic->texts[0], .form = form, .plot = *plot};
    topic->series.plot.series = topic->texts[0];
    topic->series.plot.title = topic->texts[1];
    topic->series.plot.xlabel = topic->texts[2];
    topic->series.plot.ylabel = topic->texts[3];
    return topic;
}

static bool is_rule(const struct nauha__metric *metric) {
    return metric->spec->analyzer->flags & NAUHA_ANALYZER_RULE;
}

static bool takes_tag(const char *wanted, const char *tag) {
    return strcmp(wanted, tag) == 0 || strcmp(wanted, NAUHA_ALL_TAGS) == 0;
}

/* Whether two metrics may have series of the same name. They may not if the series are written.
 * Otherwise two rules may, since only their findings count, and so may metrics of different
 * tags. */
static bool may_share(const struct nauha__metric *metric, const struct nauha__metric *other) {
    const char *tag = metric->spec->tag, *of_other = other->spec->tag;
    return !metric->all->written && ((is_rule(metric) && is_rule(other)) ||
                                     (!takes_tag(tag, of_other) && !takes_tag(of_other, tag)));
}

/* Names of series become file names: they have the characters of kinds, and are not hidden
 * files. */
static enum nauha_status check_series(const struct nauha__metric *metric, const char *series,
                                      struct nauha_error *err) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    if (!series[0] || series[0] == '.' || series[0] == '-' || strlen(series) > NAUHA_NAME_MAX ||
        series[strspn(series, allowed)])
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" cannot be the name of a series", series);
    for (size_t i = 0; i < metric->all->count; i++) {
        const struct nauha__metric *other = metric->all->list[i];
        for (size_t j = 0; j < other->topic_count; j++) {
            if (may_share(metric, other) || strcmp(other->topics[j]->series.name, series) != 0)
                continue;
            return nauha_error_set(err, NAUHA_INVALID,
                                   "metrics \"%s\" and \"%s\" both write the series \"%s\"",
                                   other->spec->text, metric->spec->text, series);
        }
    }
    return NAUHA_OK;
}

static struct nauha_plot plot_of(const struct nauha__spec *spec, const struct nauha_plot *given,
                                 const char *name) {
    struct nauha_plot plot = {.title = name, .y_low = NAN, .y_high = NAN};
    if (given)
        plot = *given;
    if (spec->has_ylims) {
        plot.y_low = spec->y_low;
        plot.y_high = spec->y_high;
    }
    if (spec->log >= 0)
        plot.log_y = spec->log == 1;
    if (!plot.series)
        plot.series = name;
    return plot;
}

static enum nauha_status host_register_topic(const struct nauha_host *host, const char *name,
                                             enum nauha_scope scope, enum nauha_form form,
                                             const struct nauha_plot *given, uint32_t *kind,
                                             struct nauha_error *err) {
    struct nauha__metric *metric = host->context;
    if (form != NAUHA_FORM_SCALAR && form != NAUHA_FORM_HISTOGRAM)
        return nauha_error_set(err, NAUHA_INVALID,
                               "topic \"%s\" of a metric holds neither scalars nor histograms",
                               name);
    const struct nauha_plot plot = plot_of(metric->spec, given, name);
    enum nauha_status status = check_series(metric, plot.series, err);
    if (status != NAUHA_OK)
        return status;
    if (!NAUHA_GROW(metric->topics, metric->topic_capacity, metric->topic_count + 1))
        return nauha_error_nomem(err);
    struct nauha__published *topic = published_new(plot.series, form, &plot);
    if (!topic)
        return nauha_error_nomem(err);
    if (metric->spec->log >= 0)
        topic->series.scale = metric->spec->log ? NAUHA__SCALE_LOG : NAUHA__SCALE_LINEAR;
    status = nauha_bus_register_topic(metric->bus, name, scope, form, &topic->series.plot,
                                      &topic->kind, err);
    if (status != NAUHA_OK) {
        published_free(topic);
        return status;
    }
    metric->topics[metric->topic_count++] = topic;
    *kind = topic->kind;
    return NAUHA_OK;
}

/* ---- the rest of the host ---- */

static enum nauha_status host_publish_scalar(const struct nauha_host *host, uint32_t topic,
                                             const struct nauha_message_info *stamps, double value,
                                             struct nauha_error *err) {
    const struct nauha__metric *metric = host->context;
    return nauha_bus_publish_scalar(metric->bus, topic, stamps, value, err);
}

static enum nauha_status host_publish_histogram(const struct nauha_host *host, uint32_t topic,
                                                const struct nauha_message_info *stamps,
                                                const double *edges, const uint64_t *counts,
                                                size_t bins, struct nauha_error *err) {
    const struct nauha__metric *metric = host->context;
    return nauha_bus_publish_histogram(metric->bus, topic, stamps, edges, counts, bins, err);
}

static void request_fini(struct nauha__request *request) {
    for (size_t i = 0; request->kinds && i < request->count; i++)
        free(request->kinds[i]);
    free(request->kinds);
    free(request->tag);
}

static enum nauha_status host_subscribe(const struct nauha_host *host, const char *const *kinds,
                                        size_t count, const char *tag, bool synchronized,
                                        struct nauha_error *err) {
    struct nauha__metric *metric = host->context;
    if (!metric->creating)
        return nauha_error_set(err, NAUHA_STATE, "an analyzer subscribes while it is created");
    if (!NAUHA_GROW(metric->requests, metric->request_capacity, metric->request_count + 1))
        return nauha_error_nomem(err);
    struct nauha__request request = {.kinds = calloc(count + 1, sizeof *request.kinds),
                                     .count = count,
                                     .tag = strdup(tag ? tag : metric->spec->tag),
                                     .synchronized = synchronized};
    bool copied = request.kinds && request.tag;
    for (size_t i = 0; copied && i < count; i++)
        copied = (request.kinds[i] = strdup(kinds[i])) != NULL;
    if (!copied) {
        request_fini(&request);
        return nauha_error_nomem(err);
    }
    metric->requests[metric->request_count++] = request;
    return NAUHA_OK;
}

static enum nauha_status host_finding(const struct nauha_host *host,
                                      const struct nauha_message_info *stamps, double value,
                                      double threshold, const char *measure, const char *meaning,
                                      struct nauha_error *err) {
    const struct nauha__metric *metric = host->context;
    const struct nauha__spec *spec = metric->spec;
    if (!is_rule(metric))
        return nauha_error_set(
            err, NAUHA_STATE,
            "only an analyzer with the flag NAUHA_ANALYZER_RULE can report findings");
    if ((spec->analyzer->flags & NAUHA_ANALYZER_TRAINED) &&
        nauha__findings_is_frozen(&metric->all->findings, stamps))
        return NAUHA_OK;
    return nauha__findings_add(&metric->all->findings, nauha_bus_names(metric->bus),
                               spec->analyzer->name, spec->text, stamps, value, threshold, measure,
                               meaning, err);
}

static void host_remark(const struct nauha_host *host, const char *text) {
    struct nauha__metric *metric = host->context;
    if (!metric->remark)
        metric->remark = strdup(text);
}

static const void *host_service(const struct nauha_host *host, const char *name) {
    const struct nauha__metric *metric = host->context;
    const struct nauha__services *services = &metric->all->services;
    for (size_t i = 0; i < services->count; i++) {
        if (strcmp(services->list[i].name, name) == 0)
            return services->list[i].service;
    }
    return NULL;
}

static const struct nauha_host host_template = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_host),
    .register_topic = host_register_topic,
    .publish_scalar = host_publish_scalar,
    .publish_histogram = host_publish_histogram,
    .bundle_count = nauha_bundle_count,
    .bundle_message = nauha_bundle_message,
    .info = nauha_message_info,
    .tensor = nauha_message_tensor,
    .stats = nauha_message_stats,
    .sum_powers = nauha_stats_sum_powers,
    .to_f64 = nauha_tensor_to_f64,
    .fail = nauha_error_set,
    .for_each_piece = nauha_message_for_each_piece,
    .sum_powers_of = nauha_message_sum_powers,
    .subscribe = host_subscribe,
    .finding = host_finding,
    .stats_of = nauha_message_stats_of,
    .service = host_service,
    .remark = host_remark,
    .hash = nauha_message_hash,
};

/* ---- the metric as a subscriber ---- */

enum nauha_status nauha__metric_compute(struct nauha__metric *metric, struct nauha_bundle *bundle,
                                        struct nauha_error *err) {
    return metric->spec->analyzer->compute(metric->self, bundle, err);
}

static bool lacks_elements(struct nauha_bundle *bundle) {
    for (size_t i = 0; i < nauha_bundle_count(bundle); i++)
        if (nauha_message_info(nauha_bundle_message(bundle, i))->kept != NAUHA_KEPT_ELEMENTS)
            return true;
    return false;
}

/* A trace may have the elements of some steps only, so a metric goes on with the next bundle. */
static void leave_out(struct nauha__metric *metric, uint64_t step, const struct nauha_error *err) {
    if (metric->left_out.count++ == 0) {
        metric->left_out.first_step = step;
        metric->left_out.reason = strdup(err->message);
    }
    metric->left_out.last_step = step;
}

char *nauha__metric_left_out(const struct nauha__metric *metric) {
    const uint64_t count = metric->left_out.count;
    char *text = NULL;
    if (count == 0 || metric->failure ||
        asprintf(&text,
                 "left out %" PRIu64 " of %" PRIu64 " bundles, from step %" PRIu64 " to %" PRIu64
                 ", because the trace does not have the elements",
                 count, metric->bundles, metric->left_out.first_step,
                 metric->left_out.last_step) < 0)
        return NULL;
    return text;
}

static enum nauha_status metric_compute(void *self, struct nauha_bundle *bundle,
                                        struct nauha_error *err) {
    struct nauha__metric *metric = self;
    metric->bundles++;
    if (metric->request_count > 0) {
        const char *tag = nauha_message_info(nauha_bundle_message(bundle, 0))->tag_name;
        for (size_t i = 0; i < metric->request_count; i++)
            metric->requests[i].bundles += takes_tag(metric->requests[i].tag, tag);
    }
    const enum nauha_status status = metric->compute(metric, bundle, err);
    if (status != NAUHA_UNAVAILABLE || !lacks_elements(bundle))
        return status;
    leave_out(metric, nauha_message_info(nauha_bundle_message(bundle, 0))->global_step, err);
    return NAUHA_OK;
}

static enum nauha_status metric_step_finished(void *self, uint64_t global_step,
                                              struct nauha_error *err) {
    struct nauha__metric *metric = self;
    return metric->spec->analyzer->step_finished(metric->self, global_step, err);
}

static enum nauha_status metric_lost(void *self, const char *kind, uint64_t messages,
                                     uint64_t bytes, struct nauha_error *err) {
    struct nauha__metric *metric = self;
    return metric->spec->analyzer->lost(metric->self, kind, messages, bytes, err);
}

static enum nauha_status metric_finish(void *self, struct nauha_error *err) {
    struct nauha__metric *metric = self;
    if (metric->left_out.count > 0 && metric->left_out.count == metric->bundles)
        return nauha_error_set(err, NAUHA_UNAVAILABLE, "%s",
                               metric->left_out.reason ? metric->left_out.reason
                                                       : "the trace does not have the elements");
    return metric->spec->analyzer->finish ? metric->spec->analyzer->finish(metric->self, err)
                                          : NAUHA_OK;
}

void nauha__metric_tell_failure(const struct nauha__metric *metric,
                                void (*line)(void *context, const char *text), void *context) {
    char *text = NULL;
    if (asprintf(&text, "%s \"%s\" %s", is_rule(metric) ? "rule" : "metric", metric->spec->text,
                 metric->failure) < 0)
        return;
    line(context, text);
    free(text);
}

/* Between a line and a function that is asked. */
struct question {
    nauha_failure_fn fn;
    void *context;
    bool goes_on;
};

static void ask(void *context, const char *text) {
    struct question *question = context;
    question->goes_on = question->fn(question->context, text);
}

static bool metric_failed(void *self, const char *where, const struct nauha_error *reason) {
    struct nauha__metric *metric = self;
    const struct nauha__metrics *all = metric->all;
    struct nauha_error text = NAUHA_ERROR_INIT; /* as it makes texts out of files harmless */
    nauha_error_set(&text, reason->code, "failed at %s: %s", where, reason->message);
    metric->failure = strdup(text.message);
    struct question question = {all->on_failure, all->on_failure_context, metric->failure != NULL};
    if (metric->failure && question.fn)
        nauha__metric_tell_failure(metric, ask, &question);
    return question.goes_on;
}

static void metric_free(struct nauha__metric *metric) {
    nauha_subscriber_free(metric->subscriber);
    if (metric->self && metric->spec->analyzer->destroy)
        metric->spec->analyzer->destroy(metric->self);
    for (size_t i = 0; i < metric->topic_count; i++)
        published_free(metric->topics[i]);
    free(metric->topics);
    for (size_t i = 0; i < metric->request_count; i++)
        request_fini(&metric->requests[i]);
    free(metric->requests);
    free(metric->remark);
    free(metric->failure);
    free(metric->left_out.reason);
    nauha__spec_free(metric->spec);
    free(metric);
}

enum nauha_status nauha__metrics_add(struct nauha__metrics *metrics, struct nauha_bus *bus,
                                     struct nauha__spec *spec, struct nauha_error *err) {
    struct nauha__metric *metric = NAUHA_GROW(metrics->list, metrics->capacity, metrics->count + 1)
                                       ? calloc(1, sizeof *metric)
                                       : NULL;
    if (!metric) {
        nauha__spec_free(spec);
        return nauha_error_nomem(err);
    }
    metric->host = host_template;
    metric->host.context = metric;
    metric->bus = bus;
    metric->all = metrics;
    metric->spec = spec;
    metric->number = (uint32_t)metrics->count;
    metric->compute = nauha__metric_compute;
    metric->ops = (struct nauha_subscriber_ops){
        .compute = metric_compute,
        .step_finished = spec->analyzer->step_finished ? metric_step_finished : NULL,
        .lost = spec->analyzer->lost ? metric_lost : NULL,
        .finish = metric_finish,
        .failed = metric_failed,
    };
    metric->subscriber = nauha_subscriber_new(spec->text, &metric->ops, metric);
    if (!metric->subscriber) {
        metric_free(metric);
        return nauha_error_nomem(err);
    }
    metrics->list[metrics->count++] = metric;
    return NAUHA_OK;
}

void nauha__metrics_fini(struct nauha__metrics *metrics) {
    for (size_t i = 0; i < metrics->count; i++)
        metric_free(metrics->list[i]);
    free(metrics->list);
    nauha__findings_fini(&metrics->findings);
    *metrics = (struct nauha__metrics){0};
}

enum nauha_status nauha__metric_create(struct nauha__metric *metric, struct nauha_error *err) {
    const struct nauha__spec *spec = metric->spec;
    const struct nauha_analyzer_config config = {
        .kinds = spec->kinds, .kind_count = spec->kind_count, .values = spec->values};
    struct nauha_error own = NAUHA_ERROR_INIT;
    metric->creating = true;
    enum nauha_status status = spec->analyzer->create(&metric->host, &config, &metric->self, &own);
    metric->creating = false;
    if (status == NAUHA_OK)
        return NAUHA_OK;
    metric->self = NULL; /* an analyzer that could not be created is not destroyed */
    status = status == NAUHA_END ? NAUHA_SUBSCRIBER : status;
    nauha_error_set(err, status, "%s", own.message[0] ? own.message : nauha_status_text(status));
    return nauha_error_wrap(err, status, "metric \"%s\"", spec->text);
}

static bool publishes(const struct nauha__metric *metric, uint32_t kind) {
    for (size_t i = 0; i < metric->topic_count; i++) {
        if (metric->topics[i]->kind == kind)
            return true;
    }
    return false;
}

static enum nauha_status check_kind(const struct nauha__metric *metric, const char *name,
                                    struct nauha_error *err) {
    const struct nauha_names *names = nauha_bus_names(metric->bus);
    const uint32_t kind = nauha_names_find_kind(names, name);
    if (kind != NAUHA_NONE && nauha_bus_has_topic(metric->bus, kind))
        return NAUHA_OK;
    struct nauha__list list = NAUHA__LIST_INIT;
    struct nauha_nearest nearest = {.typed = name};
    for (uint32_t known = 0; known < nauha_names_kinds(names); known++) {
        if (publishes(metric, known)) /* its name contains that of the unknown kind */
            continue;
        nauha__list_add(&list, "%s", nauha_names_kind(names, known));
        nauha_nearest_try(&nearest, nauha_names_kind(names, known));
    }
    return nauha_error_set(err, NAUHA_UNKNOWN,
                           "metric \"%s\": there is no kind \"%s\"%s; kinds: %s",
                           metric->spec->text, name, nauha_did_you_mean(&nearest), list.text);
}

enum nauha_status nauha__metric_check(const struct nauha__metric *metric, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < metric->spec->kind_count && status == NAUHA_OK; i++)
        status = check_kind(metric, metric->spec->kinds[i], err);
    for (size_t i = 0; i < metric->request_count; i++) {
        const struct nauha__request *request = &metric->requests[i];
        for (size_t j = 0; j < request->count && status == NAUHA_OK; j++)
            status = check_kind(metric, request->kinds[j], err);
    }
    return status;
}

static enum nauha_status subscribe(struct nauha__metric *metric, const char *const *kinds,
                                   size_t count, const char *tag, bool synchronized,
                                   struct nauha_error *err) {
    struct nauha_subscription *subscription = nauha_subscription_new(kinds, count);
    if (!subscription)
        return nauha_error_nomem(err);
    nauha_subscription_set_synchronized(subscription, synchronized);
    enum nauha_status status = nauha_subscription_set_tag(subscription, tag, err);
    if (status == NAUHA_OK)
        status = nauha_subscription_set_subsample(subscription, metric->spec->subsample, err);
    if (status == NAUHA_OK)
        status = nauha_subscription_set_every(subscription, metric->spec->every, err);
    if (status != NAUHA_OK)
        nauha_subscription_free(subscription);
    else
        status = nauha_bus_subscribe(metric->bus, subscription, metric->subscriber, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "metric \"%s\"", metric->spec->text);
    return NAUHA_OK;
}

enum nauha_status nauha__metric_subscribe(struct nauha__metric *metric, struct nauha_error *err) {
    const struct nauha__spec *spec = metric->spec;
    enum nauha_status status = subscribe(metric, spec->kinds, spec->kind_count, spec->tag,
                                         spec->analyzer->flags & NAUHA_ANALYZER_SYNCHRONIZED, err);
    for (size_t i = 0; i < metric->request_count && status == NAUHA_OK; i++) {
        const struct nauha__request *request = &metric->requests[i];
        status = subscribe(metric, (const char *const *)request->kinds, request->count,
                           request->tag, request->synchronized, err);
    }
    return status;
}

const char *nauha__metric_missing_tag(const struct nauha__metric *metric) {
    for (size_t i = 0; i < metric->request_count; i++) {
        const struct nauha__request *request = &metric->requests[i];
        if (request->bundles == 0 && strcmp(request->tag, metric->spec->tag) != 0)
            return request->tag;
    }
    return metric->bundles == 0 ? metric->spec->tag : NULL;
}

bool nauha__metric_feeds_on(const struct nauha__metric *metric, const struct nauha__metric *other) {
    const struct nauha_names *names = nauha_bus_names(metric->bus);
    for (size_t j = 0; j < other->topic_count; j++) {
        const char *topic = nauha_names_kind(names, other->topics[j]->kind);
        for (size_t i = 0; i < metric->spec->kind_count; i++) {
            if (strcmp(metric->spec->kinds[i], topic) == 0)
                return true;
        }
        for (size_t i = 0; i < metric->request_count; i++) {
            for (size_t k = 0; k < metric->requests[i].count; k++) {
                if (strcmp(metric->requests[i].kinds[k], topic) == 0)
                    return true;
            }
        }
    }
    return false;
}
