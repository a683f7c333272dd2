/* SPDX-License-Identifier: MIT */
/* The layout of a trace, for writer and reader; docs/format.md describes it. */
#ifndef NAUHA_INTERNAL_LAYOUT_H
#define NAUHA_INTERNAL_LAYOUT_H

#include "nauha/names.h"
#include "nauha/version.h"

#define NAUHA__FORMAT_NAME "nauha-trace"

/* Attributes of the root group: format (string, NAUHA__FORMAT_NAME), format_major, format_minor,
 * rank, world_size (u32), created_ns (i64, since 1970-01-01 UTC), codec (string), hash (string, see
 * nauha_hash_name; since 1.5), facts (string, a JSON object of strings), chunk_bytes (u64,
 * NAUHA__CHUNK_BYTES). */

/* The bytes of a chunk of a stream before compression. */
#define NAUHA__CHUNK_BYTES (256u * 1024u)
/* Messages of at least this many bytes are stored in big streams, smaller ones in streams of their
 * own: whoever reads a big message then decodes no small ones, and a chunk of small messages holds
 * those of many steps. */
#define NAUHA__BIG_BYTES (16u * 1024u)

/* Streams hold the elements of messages. They are the datasets /streams/0000, /streams/0001 and so
 * on: one-dimensional, of unsigned little-endian integers of item_size bytes. All are created
 * before SWMR writing begins; on first use a row in /streams_used assigns a stream to a kind. */
#define NAUHA__STREAM_GROUP "/streams"

/* While a writer has the file open, it holds a write lock (F_OFD_SETLK) on this byte, which is far
 * beyond the data, so that locks on the data do not interfere. */
#define NAUHA__LOCK_BYTE ((int64_t)1 << 62)

/* Tables are one-dimensional, chunked datasets of packed compound rows, without filters. The last
 * field of a row is `checksum`: XXH32 with seed 0 of the bytes before it. Texts are UTF-8, padded
 * with zeros. Tables refer to rows of other tables by their numbers. */

#define NAUHA__NO_STREAM UINT16_MAX

enum nauha__row_flags {
    NAUHA__ROW_DATA = 1u << 0,    /* has a tensor; if it has 0 bytes, its stream is NO_STREAM */
    NAUHA__ROW_DERIVED = 1u << 1, /* the elements are those at offset minus those at base */
    /* The elements are not stored: offset and base are the two words of their hash. Only together
       with DATA. */
    NAUHA__ROW_HASH = 1u << 2,
    /* The elements are not stored: `stream` has their fingerprint, NAUHA__FINGERPRINT_WORDS items
     * of 8 bytes from `offset` on. Only together with DATA, and never for 0 bytes. */
    NAUHA__ROW_FINGERPRINT = 1u << 3
};

#pragma pack(push, 1)

/* /index: one row per message, in the order of publication. */
struct nauha__index_row {
    uint64_t seq;
    uint64_t time_ns;
    uint64_t global_step;
    uint64_t offset; /* position of the first element in the stream, in elements */
    uint64_t base;   /* DERIVED: the same for the subtrahend, in the same stream */
    uint32_t train_step;
    uint32_t epoch;
    uint32_t module; /* UINT32_MAX: none */
    uint32_t slot;
    uint32_t call;
    uint32_t shape;
    uint16_t kind;
    uint16_t tag;
    uint16_t stream;
    uint8_t dtype;
    uint8_t flags;
    uint32_t checksum;
};

/* The fingerprint of a tensor, in a stream. count, mean and abs_max of its statistics follow from
 * the others. */
struct nauha__fingerprint_words {
    uint64_t hash[2];
    uint64_t zeros, nans, infs, first_nonfinite;
    double sum, sum_abs, sum_squares, deviations, third, fourth, min, max;
    uint64_t samples[16];
};
#define NAUHA__FINGERPRINT_WORDS (sizeof(struct nauha__fingerprint_words) / 8)

/* /chunks: one row per chunk written, in any order. */
struct nauha__chunk_row {
    uint64_t number;      /* position in the stream: first element / elements per chunk */
    uint64_t hash;        /* XXH3 with 64 bits and seed 0 of the stored bytes */
    uint32_t stored;      /* stored bytes */
    uint32_t filter_mask; /* as HDF5 keeps it */
    uint16_t stream;
    uint16_t reserved;
    uint32_t checksum;
};

/* /streams_used */
struct nauha__stream_row {
    uint16_t stream;
    uint16_t kind;     /* UINT16_MAX: several kinds share the stream */
    uint8_t item_size; /* in bytes */
    uint8_t big;       /* 1: for messages of NAUHA__BIG_BYTES or more */
    uint16_t slices;   /* per chunk, see nauha__slice_position; 0 and 1: it is not sliced */
    uint32_t checksum;
};

/* /kinds */
struct nauha__kind_row {
    char name[NAUHA_NAME_MAX + 1];
    uint8_t scope;
    uint8_t form;
    uint16_t reserved;
    uint32_t checksum;
};

/* /modules */
struct nauha__module_row {
    char name[NAUHA_MODULE_NAME_MAX + 1];
    char class_name[NAUHA_CLASS_NAME_MAX + 1];
    uint32_t checksum;
};

/* /slots and /tags */
struct nauha__text_row {
    char name[NAUHA_NAME_MAX + 1];
    uint32_t checksum;
};

/* /shapes */
struct nauha__shape_row {
    uint32_t ndim;
    uint32_t reserved; /* NAUHA__SHAPE_PLACED: a shard's, which has a row in /placements */
    int64_t dims[NAUHA_MAX_NDIM];
    uint32_t checksum;
};
#define NAUHA__SHAPE_PLACED 1u

/* /elements: where the elements lie of a message whose row has only their hash or fingerprint. They
 * were written later than the row, in the order of seq. */
struct nauha__elements_row {
    uint64_t seq;    /* of the message */
    uint64_t offset; /* position of the first element in the stream, in elements */
    uint16_t stream;
    uint16_t reserved;
    uint32_t checksum;
};

/* /dumps: why elements of held steps were written. */
#define NAUHA__REASON_MAX 199u /* bytes */
struct nauha__dump_row {
    uint64_t step;       /* in which this was asked for */
    uint64_t first_step; /* that was held; more than `step`: none was */
    uint64_t last_step;  /* that was to follow in full */
    char reason[NAUHA__REASON_MAX + 1];
    uint32_t reserved;
    uint32_t checksum;
};

enum nauha__placement_flags {
    NAUHA__PLACEMENT_FLAT = 1u << 0,
    NAUHA__PLACEMENT_ALL = (1u << 1) - 1
};

/* /placements: one row per shape of a shard, in the order of /shapes. */
struct nauha__placement_row {
    uint32_t shape;
    uint32_t whole; /* the shape of the whole; less than `shape` */
    uint32_t flags;
    uint32_t summand, summands; /* 0: the whole is not a sum */
    uint32_t reserved;
    int64_t offset[NAUHA_MAX_NDIM];
    uint32_t checksum;
};

/* /aliases */
struct nauha__alias_row {
    uint32_t module, slot;
    uint32_t alias_module, alias_slot;
    uint32_t checksum;
};

/* /losses: rows are appended when the counts change; the last row of a kind and reason is valid. */
struct nauha__loss_row {
    uint16_t kind;
    uint16_t reserved;
    uint32_t reserved2;
    char reason[64];
    uint64_t messages;
    uint64_t bytes;
    uint32_t checksum;
};

/* /end: one row, written when the trace is created and overwritten when the writer closes it, which
 * needs no space on a full disk. */
struct nauha__end_row {
    uint32_t closed;   /* 0: the writer is running, or was killed */
    uint32_t reserved; /* MiB, rounded up, that were written past the page cache */
    uint64_t messages; /* the seq that the next message would have */
    uint64_t time_ns;  /* from opening to closing the recorder */
    uint64_t messages_lost, bytes_lost;
    char failure[512]; /* why the writer stopped storing; "" if it did not */
    uint32_t checksum;
};

#pragma pack(pop)

/* The fields of tables, from which HDF5 types are built and against which they are checked. */
enum nauha__field_type {
    NAUHA__FIELD_U8,
    NAUHA__FIELD_U16,
    NAUHA__FIELD_U32,
    NAUHA__FIELD_U64,
    NAUHA__FIELD_TEXT, /* length bytes */
    NAUHA__FIELD_DIMS  /* an array of NAUHA_MAX_NDIM i64 */
};

struct nauha__field {
    const char *name;
    size_t offset;
    enum nauha__field_type type;
    size_t length;
};

enum nauha__table_id {
    NAUHA__TABLE_INDEX,
    NAUHA__TABLE_CHUNKS,
    NAUHA__TABLE_STREAMS_USED,
    NAUHA__TABLE_KINDS,
    NAUHA__TABLE_MODULES,
    NAUHA__TABLE_SLOTS,
    NAUHA__TABLE_TAGS,
    NAUHA__TABLE_SHAPES,
    NAUHA__TABLE_PLACEMENTS,
    NAUHA__TABLE_ALIASES,
    NAUHA__TABLE_LOSSES,
    NAUHA__TABLE_ELEMENTS,
    NAUHA__TABLE_DUMPS,
    NAUHA__TABLE_END,
    NAUHA__TABLE_COUNT
};

struct nauha__table {
    const char *path;  /* "/index" */
    size_t row_size;   /* in bytes, with the checksum */
    size_t chunk_rows; /* rows per HDF5 chunk */
    const struct nauha__field *fields;
    size_t field_count;
};

/* The description of a table; never NULL. */
const struct nauha__table *nauha__table(enum nauha__table_id id);

/* Streams of parameters may be sliced: each chunk is divided into slices of equal size, and a
 * message occupies the same slice of successive chunks. A chunk then holds the values of some
 * elements at successive steps. Returns the position in the stream of element n of a message that
 * begins at `offset`. A chunk has `each` elements and a slice `slice` elements; the two are equal
 * if the stream is not sliced. */
static inline uint64_t nauha__slice_position(uint64_t offset, uint64_t n, uint64_t each,
                                             uint64_t slice) {
    uint64_t within = offset % slice + n;
    return offset - offset % slice + within / slice * each + within % slice;
}

/* Sets, and checks, the checksum at the end of a row. */
void nauha__row_seal(const struct nauha__table *table, void *row);
bool nauha__row_intact(const struct nauha__table *table, const void *row);

#endif
