/* SPDX-License-Identifier: MIT */
/* Events of tensorboard.proto. A tag's metadata give its values to one of TensorBoard's plugins.
 * Scalars are simple values, in single precision: TensorBoard's data server leaves tensors of
 * double precision out, and other readers leave out tensors. Everything else is a tensor. */
#include "replay/sinks/tensorboard_event.h"

#include <stdlib.h>
#include <string.h>

#include "replay/sinks/tensorboard.pb-c.h"

static enum nauha_status append(struct nauha__event_file *file, const Tb__Event *event,
                                struct nauha_error *err) {
    const size_t size = tb__event__get_packed_size(event);
    uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        return nauha_error_nomem(err);
    tb__event__pack(event, bytes);
    enum nauha_status status = nauha__event_file_append(file, bytes, size, err);
    free(bytes);
    return status;
}

enum nauha_status nauha__event_begin(struct nauha__event_file *file, double wall_time,
                                     struct nauha_error *err) {
    Tb__Event version = TB__EVENT__INIT, start = TB__EVENT__INIT;
    Tb__SessionLog session = TB__SESSION_LOG__INIT;
    version.wall_time = start.wall_time = wall_time;
    version.file_version = (char[]){"brain.Event:2"};
    session.status = TB__SESSION_LOG__STATUS__START;
    start.session_log = &session;
    enum nauha_status status = append(file, &version, err);
    return status == NAUHA_OK ? append(file, &start, err) : status;
}

/* Which plugin of TensorBoard shows a tag, and the settings of that plugin. */
struct presentation {
    const char *plugin;
    Tb__Metadata__DataClass data_class;
};

static enum nauha_status append_value(struct nauha__event_file *file,
                                      const struct nauha__moment *moment,
                                      struct nauha__event_tag *tag,
                                      const struct presentation *presentation,
                                      Tb__Summary__Value *value, struct nauha_error *err) {
    Tb__Metadata__Plugin plugin = TB__METADATA__PLUGIN__INIT;
    Tb__Metadata metadata = TB__METADATA__INIT;
    Tb__Summary summary = TB__SUMMARY__INIT;
    Tb__Event event = TB__EVENT__INIT;
    plugin.name = (char *)presentation->plugin;
    metadata.plugin = &plugin;
    metadata.description = (char *)tag->description;
    metadata.data_class = presentation->data_class;
    value->tag = (char *)tag->name;
    value->metadata = tag->introduced ? NULL : &metadata;
    summary.n_value = 1;
    summary.value = &value;
    event.wall_time = moment->wall_time;
    event.step = (int64_t)moment->step;
    event.summary = &summary;
    enum nauha_status status = append(file, &event, err);
    tag->introduced |= status == NAUHA_OK;
    return status;
}

static enum nauha_status append_tensor(struct nauha__event_file *file,
                                       const struct nauha__moment *moment,
                                       struct nauha__event_tag *tag,
                                       const struct presentation *presentation, Tb__Tensor *tensor,
                                       struct nauha_error *err) {
    Tb__Summary__Value value = TB__SUMMARY__VALUE__INIT;
    value.value_case = TB__SUMMARY__VALUE__VALUE_TENSOR;
    value.tensor = tensor;
    return append_value(file, moment, tag, presentation, &value, err);
}

enum nauha_status nauha__event_scalar(struct nauha__event_file *file,
                                      const struct nauha__moment *moment,
                                      struct nauha__event_tag *tag, double scalar,
                                      struct nauha_error *err) {
    static const struct presentation scalars = {"scalars", TB__METADATA__DATA_CLASS__SCALAR};
    Tb__Summary__Value value = TB__SUMMARY__VALUE__INIT;
    value.value_case = TB__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    value.simple_value = (float)scalar;
    return append_value(file, moment, tag, &scalars, &value, err);
}

enum nauha_status nauha__event_histogram(struct nauha__event_file *file,
                                         const struct nauha__moment *moment,
                                         struct nauha__event_tag *tag, const double *elements,
                                         size_t bins, struct nauha_error *err) {
    static const struct presentation histograms = {"histograms", TB__METADATA__DATA_CLASS__TENSOR};
    Tb__Tensor__Shape__Dimension rows = TB__TENSOR__SHAPE__DIMENSION__INIT;
    Tb__Tensor__Shape__Dimension columns = TB__TENSOR__SHAPE__DIMENSION__INIT;
    Tb__Tensor__Shape shape = TB__TENSOR__SHAPE__INIT;
    Tb__Tensor tensor = TB__TENSOR__INIT;
    rows.size = (int64_t)bins;
    columns.size = 3;
    shape.n_dimension = 2;
    shape.dimension = (Tb__Tensor__Shape__Dimension *[]){&rows, &columns};
    tensor.type = TB__TENSOR__TYPE__DOUBLE;
    tensor.shape = &shape;
    tensor.n_double_values = 3 * bins;
    tensor.double_values = (double *)elements; /* only read */
    return append_tensor(file, moment, tag, &histograms, &tensor, err);
}

enum nauha_status nauha__event_text(struct nauha__event_file *file,
                                    const struct nauha__moment *moment,
                                    struct nauha__event_tag *tag, const char *markdown,
                                    struct nauha_error *err) {
    static const struct presentation text = {"text", TB__METADATA__DATA_CLASS__TENSOR};
    ProtobufCBinaryData string = {.len = strlen(markdown), .data = (uint8_t *)markdown};
    Tb__Tensor__Shape scalar = TB__TENSOR__SHAPE__INIT;
    Tb__Tensor tensor = TB__TENSOR__INIT;
    tensor.type = TB__TENSOR__TYPE__STRING;
    tensor.shape = &scalar;
    tensor.n_string_values = 1;
    tensor.string_values = &string;
    return append_tensor(file, moment, tag, &text, &tensor, err);
}
