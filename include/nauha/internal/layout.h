/* SPDX-License-Identifier: MIT */
/* The layout of a trace, shared by writer and reader; docs/format.md is its prose. */
#ifndef NAUHA_INTERNAL_LAYOUT_H
#define NAUHA_INTERNAL_LAYOUT_H

#include "nauha/names.h"
#include "nauha/version.h"

#define NAUHA__FORMAT_NAME "nauha-trace"

/* Root attributes: format (string), format_major, format_minor, rank, world_size (u32),
 * created_ns (i64, since 1970), codec (string), facts (string, a JSON object of strings),
 * chunk_bytes (u64). */

/* Every chunk of every stream holds this many bytes before compression. */
#define NAUHA__CHUNK_BYTES (256u * 1024u)
/* Messages of at least this many bytes go to big streams. What a reader of a small one decodes in
 * vain is its chunk's other small ones: so a chunk of them holds those of many steps. */
#define NAUHA__BIG_BYTES (16u * 1024u)

/* Streams are datasets /streams/0000, /streams/0001, ...: one-dimensional, of unsigned
 * little-endian integers of item_size bytes, all created before SWMR begins and given to a kind
 * on first use, by a row in /streams_used. */
#define NAUHA__STREAM_GROUP "/streams"

/* While a writer has the file open it holds a lock on this byte (an open file description's, for
 * writing), which lies far behind any data, so that locks on the data are not in its way. */
#define NAUHA__LOCK_BYTE ((int64_t)1 << 62)

/* Tables are one-dimensional, chunked, unfiltered datasets of packed compound rows, whose last
 * field is `checksum`: XXH32, seed 0, of the bytes of the row before it. Text fields are UTF-8,
 * zero-padded. Row numbers are the numbers that other tables refer to. */

#define NAUHA__NO_STREAM UINT16_MAX

enum nauha__row_flags {
    NAUHA__ROW_DATA = 1u << 0,    /* has a tensor (its stream is NO_STREAM where it has 0 bytes) */
    NAUHA__ROW_DERIVED = 1u << 1, /* the elements at offset minus those at base */
    /* no elements: offset and base are the lower and upper half of their hash; with DATA alone */
    NAUHA__ROW_HASH = 1u << 2
};

#pragma pack(push, 1)

/* /index: one row per message published, in order of publication. */
struct nauha__index_row {
    uint64_t seq;
    uint64_t time_ns;
    uint64_t global_step;
    uint64_t offset; /* first element in the stream */
    uint64_t base;   /* DERIVED: first element of the subtrahend, in the same stream */
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

/* /chunks: one row per chunk written, in any order. */
struct nauha__chunk_row {
    uint64_t number;      /* position in the stream: first element / elements per chunk */
    uint64_t hash;        /* XXH3, 64 bits, seed 0, of the stored bytes */
    uint32_t stored;      /* stored bytes */
    uint32_t filter_mask; /* as HDF5 keeps it */
    uint16_t stream;
    uint16_t reserved;
    uint32_t checksum;
};

/* /streams_used */
struct nauha__stream_row {
    uint16_t stream;
    uint16_t kind; /* UINT16_MAX: shared by several */
    uint8_t item_size;
    uint8_t big;
    uint16_t slices; /* of a chunk, see nauha__slice_position; 0 and 1: it is not sliced */
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
    uint32_t reserved;
    int64_t dims[NAUHA_MAX_NDIM];
    uint32_t checksum;
};

/* /aliases */
struct nauha__alias_row {
    uint32_t module, slot;
    uint32_t alias_module, alias_slot;
    uint32_t checksum;
};

/* /losses: written when the counts change; the last row of a kind and reason counts. */
struct nauha__loss_row {
    uint16_t kind;
    uint16_t reserved;
    uint32_t reserved2;
    char reason[64];
    uint64_t messages;
    uint64_t bytes;
    uint32_t checksum;
};

/* /end: one row, written when the trace is made and overwritten in place when the writer closes,
 * which needs no room on a full disk. */
struct nauha__end_row {
    uint32_t closed; /* 0: its writer is at work, or was cut off */
    uint32_t reserved;
    uint64_t messages; /* the next seq */
    uint64_t time_ns;
    uint64_t messages_lost, bytes_lost;
    char failure[512]; /* "" for a complete recording */
    uint32_t checksum;
};

#pragma pack(pop)

/* One field of a table, for building HDF5 types and checking them. */
enum nauha__field_type {
    NAUHA__FIELD_U8,
    NAUHA__FIELD_U16,
    NAUHA__FIELD_U32,
    NAUHA__FIELD_U64,
    NAUHA__FIELD_TEXT, /* length bytes */
    NAUHA__FIELD_DIMS  /* array of NAUHA_MAX_NDIM i64 */
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
    NAUHA__TABLE_ALIASES,
    NAUHA__TABLE_LOSSES,
    NAUHA__TABLE_END,
    NAUHA__TABLE_COUNT
};

struct nauha__table {
    const char *path;  /* "/index" */
    size_t row_size;   /* checksum included, as its last 4 bytes */
    size_t chunk_rows; /* rows per HDF5 chunk */
    const struct nauha__field *fields;
    size_t field_count;
};

/* The description of a table; never NULL for an id in the enum. */
const struct nauha__table *nauha__table(enum nauha__table_id id);

/* Streams of parameters may be sliced: their chunks are divided into slices of the same size, and a
 * message, instead of going on behind itself, runs through one slice of successive chunks. So a
 * chunk holds the values of some elements at successive steps. Position in the stream of element n
 * of a message that begins at `offset`; `each` elements make a chunk, `slice` a slice (`each` where
 * the stream is not sliced). */
static inline uint64_t nauha__slice_position(uint64_t offset, uint64_t n, uint64_t each,
                                             uint64_t slice) {
    uint64_t within = offset % slice + n;
    return offset - offset % slice + within / slice * each + within % slice;
}

/* Fills in, or checks, the checksum at the end of a row. */
void nauha__row_seal(const struct nauha__table *table, void *row);
bool nauha__row_intact(const struct nauha__table *table, const void *row);

#endif
