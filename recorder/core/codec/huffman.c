/* SPDX-License-Identifier: MIT */
/* Blocks of Huffman-coded bytes; see huffman.h.
 *
 * Threads: one object per thread.
 */
#include "recorder/core/codec/huffman.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VALUES 256u
#define SIGN 0x80u /* the highest bit of a byte, which is a float's sign */
/* If the bytes lie in a range narrower than NARROW, only RUN of each PART * RUN neighbours are
 * counted, unless the streams become longer than these let expect by more than one byte in UNLIKE.
 */
#define NARROW 16
#define RUN 64u
#define PART 8u
#define SAMPLED_FROM 16384u
#define UNLIKE 32u
#define LENGTH_MAX 11u /* bits of a code */
#define STREAMS 4u
#define JUMP_TABLE 6u /* bytes: the sizes of all streams but the last */
#define STREAM_MAX (NAUHA__HUFFMAN_MAX / STREAMS)
/* A stream is written eight bytes at a time. */
#define STREAM_ROOM (STREAM_MAX * LENGTH_MAX / 8 + 16)

/* Weights, from 0 to LENGTH_MAX, are coded by a state machine of 64 states (FSE, RFC 8878, section
 * 4.1), of which each weight has a share. */
#define WEIGHTS (LENGTH_MAX + 1)
#define STATES 64u
#define STATE_BITS 6u
#define STATE_BITS_LEAST 5u /* a description of shares begins with this number of bits */
#define TREE_MAX 127u       /* bytes of coded weights */
#define TREE_ROOM (2 * WEIGHTS + VALUES * STATE_BITS / 8 + 16)
/* If there are at most so many different bytes, codes are looked up for pairs of bytes, of which
 * there are the square of this number. */
#define PAIRED_MAX 64u

struct code {
    uint16_t bits;
    uint8_t length;
};

struct nauha__huffman {
    /* By two bytes, the first in the lower half. An entry holds the bits of both codes in its upper
     * bits, those of the second byte first, because streams are read backward, and the length of
     * both in its lowest bits. */
    uint64_t pairs[VALUES * VALUES];
    uint64_t singles[VALUES]; /* the same for one byte */
    uint32_t counts[STREAMS][VALUES];
    struct code codes[VALUES];
    /* The bytes that occur, the rarest first. */
    unsigned char symbols[VALUES];
    unsigned distinct, last; /* the greatest byte that occurs */
    unsigned char streams[STREAMS][STREAM_ROOM];
};

/* ---- bits ---- */

static inline void put_le64(unsigned char *at, uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(at, &value, sizeof value);
}

/* Adds bits in the order in which they are written: from the lowest bit of the first byte
 * upward. */
struct bits {
    unsigned char *at;
    uint64_t held;
    unsigned count;
};

/* There is room for eight bytes at bits->at. */
static inline void put_bits(struct bits *bits, uint64_t value, unsigned count) {
    bits->held |= value << bits->count;
    bits->count += count;
    put_le64(bits->at, bits->held);
    bits->at += bits->count / 8;
    bits->held >>= bits->count / 8 * 8;
    bits->count %= 8;
}

/* Ends the bits with a byte whose remaining bits are zero. */
static inline void end_byte(struct bits *bits) {
    if (bits->count > 0)
        put_bits(bits, 0, 8 - bits->count);
}

/* ---- the tree's description ---- */

/* Shares the states between the weights in proportion to how often they occur, at least one for
 * each weight that occurs. No weight gets all of them, because the end of decoding would not be
 * noticed. */
static void share_states(const unsigned *counts, unsigned total, unsigned *shares) {
    unsigned most = 0, sum = 0;
    for (unsigned weight = 0; weight < WEIGHTS; weight++) {
        shares[weight] = (counts[weight] * STATES + total / 2) / total;
        shares[weight] += counts[weight] > 0 && shares[weight] == 0;
        sum += shares[weight];
        if (shares[weight] > shares[most])
            most = weight;
    }
    shares[most] = shares[most] + STATES - sum;
    if (shares[most] == STATES) {
        shares[most]--;
        shares[most == 0 ? 1 : 0]++;
    }
}

/* Section 4.1.1: each share takes as many bits as what is left to share asks for; behind a weight
 * without one follows how many more have none, three at a time. */
static void put_shares(struct bits *bits, const unsigned *shares) {
    unsigned left = STATES + 1, threshold = STATES, width = STATE_BITS + 1;
    put_bits(bits, STATE_BITS - STATE_BITS_LEAST, 4);
    for (unsigned weight = 0; left > 1;) {
        const unsigned spare = 2 * threshold - 1 - left, share = shares[weight++];
        const unsigned value = share + 1 >= threshold ? share + 1 + spare : share + 1;
        put_bits(bits, value, value < spare ? width - 1 : width);
        left -= share;
        if (share == 0) {
            unsigned more = 0;
            while (shares[weight + more] == 0)
                more++;
            weight += more;
            for (; more >= 3; more -= 3)
                put_bits(bits, 3, 2);
            put_bits(bits, more, 2);
        }
        for (; left < threshold; threshold /= 2)
            width--;
    }
    end_byte(bits);
}

/* By weight and following state: the state before, and the bits written in between. */
struct machine {
    struct {
        uint8_t state, bits, base;
    } before[WEIGHTS][STATES];
};

/* Inverts what section 4.1.1 says of decoding: which states have which weight, and to which states
 * each leads. */
static void make_machine(struct machine *machine, const unsigned *shares) {
    unsigned char weights[STATES];
    unsigned next[WEIGHTS], at = 0;
    for (unsigned weight = 0; weight < WEIGHTS; weight++) {
        next[weight] = shares[weight];
        for (unsigned i = 0; i < shares[weight]; i++) {
            weights[at] = (unsigned char)weight;
            at = (at + STATES / 2 + STATES / 8 + 3) % STATES;
        }
    }
    for (unsigned state = 0; state < STATES; state++) {
        const unsigned weight = weights[state], number = next[weight]++;
        const unsigned bits = STATE_BITS - (31u - (unsigned)__builtin_clz(number));
        const unsigned base = (number << bits) - STATES;
        for (unsigned after = base; after < base + (1u << bits); after++) {
            machine->before[weight][after].state = (uint8_t)state;
            machine->before[weight][after].bits = (uint8_t)bits;
            machine->before[weight][after].base = (uint8_t)base;
        }
    }
}

/* The last weights come first: a decoder begins at the highest bit, which is set to mark the end.
 * Two machines of the same kind take turns. */
static void put_weights(struct bits *bits, const struct machine *machine,
                        const unsigned char *weights, unsigned count) {
    unsigned states[2] = {0, 0};
    for (unsigned left = count; left-- > 0;) {
        unsigned *state = &states[left % 2];
        /* Decoding ends where bits are asked for that are not there: the last state but one is one
         * that asks for some, as those do that may lead to the highest. */
        const bool first = left + 2 >= count;
        const unsigned weight = weights[left], after = first ? STATES - 1 : *state;
        *state = machine->before[weight][after].state;
        if (!first)
            put_bits(bits, after - machine->before[weight][after].base,
                     machine->before[weight][after].bits);
    }
    put_bits(bits, states[1], STATE_BITS);
    put_bits(bits, states[0], STATE_BITS);
    put_bits(bits, 1, 1);
    end_byte(bits);
}

/* The weights of all bytes below the last, whose own follows from them. dst has room for TREE_ROOM
 * bytes. Returns its size; 0 where it would be too long. */
static size_t put_tree(const struct nauha__huffman *huffman, unsigned longest, unsigned char *dst) {
    unsigned char weights[VALUES];
    unsigned counts[WEIGHTS] = {0}, shares[WEIGHTS];
    struct machine machine;
    struct bits bits = {.at = dst + 1};
    for (unsigned value = 0; value < huffman->last; value++) {
        const unsigned length = huffman->codes[value].length;
        weights[value] = (unsigned char)(length ? longest + 1 - length : 0);
        counts[weights[value]]++;
    }
    if (huffman->last == 1) { /* a single weight is stored as it is: the machines need two */
        dst[0] = TREE_MAX + 1;
        dst[1] = (unsigned char)(weights[0] << 4);
        return 2;
    }
    share_states(counts, huffman->last, shares);
    put_shares(&bits, shares);
    make_machine(&machine, shares);
    put_weights(&bits, &machine, weights, huffman->last);
    size_t size = (size_t)(bits.at - dst);
    dst[0] = (unsigned char)(size - 1);
    return size <= 1 + TREE_MAX ? size : 0;
}

/* ---- the codes ---- */

static void count_run(struct nauha__huffman *huffman, const unsigned char *src, size_t size) {
    uint32_t(*counts)[VALUES] = huffman->counts;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, src + i, sizeof word);
        counts[0][word & 255]++;
        counts[1][word >> 8 & 255]++;
        counts[2][word >> 16 & 255]++;
        counts[3][word >> 24 & 255]++;
        counts[0][word >> 32 & 255]++;
        counts[1][word >> 40 & 255]++;
        counts[2][word >> 48 & 255]++;
        counts[3][word >> 56]++;
    }
    for (; i < size; i++)
        counts[0][src[i]]++;
}

static void sum_counts(struct nauha__huffman *huffman) {
    uint32_t(*counts)[VALUES] = huffman->counts;
    for (unsigned value = 0; value < VALUES; value++)
        counts[0][value] += counts[1][value] + counts[2][value] + counts[3][value];
}

/* The lowest and the highest byte without their signs, and which signs occur. */
struct range {
    unsigned char lowest, highest;
    bool minus, plus;
};

static struct range range_of(const unsigned char *src, size_t size) {
    unsigned char lowest = SIGN - 1, highest = 0, any = 0, all = SIGN;
    for (size_t i = 0; i < size; i++) {
        const unsigned char value = src[i] % SIGN;
        lowest = value < lowest ? value : lowest;
        highest = value > highest ? value : highest;
        any |= src[i];
        all &= src[i];
    }
    return (struct range){lowest, highest, (any & SIGN) != 0, (all & SIGN) == 0};
}

/* If all bytes without their signs lie in a narrow range, as those of exponents do, only a part of
 * them is counted, and every other byte in the range counts as if it had occurred once. The
 * position of the counted run within PART runs varies, because the rows of a tensor may be as long
 * as PART runs. Returns how many bytes were counted. */
static size_t count_part(struct nauha__huffman *huffman, const unsigned char *src, size_t size,
                         struct range range) {
    uint32_t *counts = huffman->counts[0];
    size_t counted = 0;
    for (uint32_t r = 0; (r + 1) * (RUN * PART) <= size; r++, counted += RUN) {
        const uint32_t which = r * 0x9E3779B1u >> 16;
        count_run(huffman, src + (r * PART + which % PART) * RUN, RUN);
    }
    sum_counts(huffman);
    for (unsigned value = range.lowest; value <= range.highest; value++) {
        counts[value] += range.plus && counts[value] == 0;
        counts[value + SIGN] += range.minus && counts[value + SIGN] == 0;
    }
    return counted;
}

/* Counts the bytes; returns how many were counted. */
static size_t count_values(struct nauha__huffman *huffman, const unsigned char *src, size_t size,
                           bool all) {
    memset(huffman->counts, 0, sizeof huffman->counts);
    if (!all) {
        const struct range range = range_of(src, size);
        if (range.highest - range.lowest < NARROW)
            return count_part(huffman, src, size, range);
    }
    count_run(huffman, src, size);
    sum_counts(huffman);
    return size;
}

/* The bytes that occur, the rarest first; false: there is only one. */
static bool sort_symbols(struct nauha__huffman *huffman) {
    const uint32_t *counts = huffman->counts[0];
    huffman->distinct = 0;
    for (unsigned value = 0; value < VALUES; value++) {
        if (counts[value] == 0)
            continue;
        unsigned at = huffman->distinct++;
        for (; at > 0 && counts[huffman->symbols[at - 1]] > counts[value]; at--)
            huffman->symbols[at] = huffman->symbols[at - 1];
        huffman->symbols[at] = (unsigned char)value;
        huffman->last = value;
    }
    return huffman->distinct > 1;
}

/* Huffman's lengths, by merging the two lightest trees: leaves are in order, and so are the trees
 * as they are made. */
static void huffman_lengths(const struct nauha__huffman *huffman, unsigned char *lengths) {
    uint32_t weights[2 * VALUES];
    uint16_t parents[2 * VALUES];
    unsigned char depths[2 * VALUES];
    const unsigned leaves = huffman->distinct, root = 2 * leaves - 2;
    for (unsigned i = 0; i < leaves; i++)
        weights[i] = huffman->counts[0][huffman->symbols[i]];
    for (unsigned made = leaves, leaf = 0, tree = leaves; made <= root; made++) {
        weights[made] = 0;
        for (unsigned child = 0; child < 2; child++) {
            const bool is_leaf = leaf < leaves && (tree == made || weights[leaf] <= weights[tree]);
            const unsigned taken = is_leaf ? leaf++ : tree++;
            weights[made] += weights[taken];
            parents[taken] = (uint16_t)made;
        }
    }
    depths[root] = 0;
    for (unsigned i = root; i-- > 0;)
        depths[i] = (unsigned char)(depths[parents[i]] + 1);
    memcpy(lengths, depths, leaves);
}

/* Lengths of at most LENGTH_MAX whose codes fill the tree, as a decoder asks for: those that are
 * too long are cut, the rarest of the others pay for it, and what is then left over goes to the
 * most frequent of the longest. False: there are too few of those. */
static bool limit_lengths(unsigned char *lengths, unsigned count) {
    int over = -(1 << LENGTH_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (lengths[i] > LENGTH_MAX)
            lengths[i] = LENGTH_MAX;
        over += 1 << (LENGTH_MAX - lengths[i]);
    }
    for (unsigned length = LENGTH_MAX - 1; over > 0; length--)
        for (unsigned i = 0; i < count && over > 0; i++)
            for (; lengths[i] >= length && lengths[i] < LENGTH_MAX && over > 0; lengths[i]++)
                over -= 1 << (LENGTH_MAX - lengths[i] - 1);
    for (unsigned i = count; over < 0 && i-- > 0;)
        if (lengths[i] == LENGTH_MAX) {
            lengths[i]--;
            over++;
        }
    return over == 0;
}

/* Codes of the lengths: from 0 upward through all bytes of the greatest length, then of the next.
 * Returns the greatest. */
static unsigned assign_codes(struct nauha__huffman *huffman, const unsigned char *lengths) {
    unsigned of_length[LENGTH_MAX + 2] = {0}, next[LENGTH_MAX + 2] = {0}, longest = 0;
    memset(huffman->codes, 0, sizeof huffman->codes);
    for (unsigned i = 0; i < huffman->distinct; i++) {
        huffman->codes[huffman->symbols[i]].length = lengths[i];
        of_length[lengths[i]]++;
        if (lengths[i] > longest)
            longest = lengths[i];
    }
    for (unsigned length = LENGTH_MAX; length > 0; length--)
        next[length] = (next[length + 1] + of_length[length + 1]) / 2;
    for (unsigned value = 0; value <= huffman->last; value++)
        huffman->codes[value].bits = (uint16_t)next[huffman->codes[value].length]++;
    return longest;
}

static uint64_t entry_of(uint64_t bits, unsigned length) {
    return bits << (64 - length) | length;
}

static void make_singles(struct nauha__huffman *huffman) {
    for (unsigned i = 0; i < huffman->distinct; i++) {
        const struct code code = huffman->codes[huffman->symbols[i]];
        huffman->singles[huffman->symbols[i]] = entry_of(code.bits, code.length);
    }
}

static void make_pairs(struct nauha__huffman *huffman) {
    for (unsigned j = 0; j < huffman->distinct; j++) {
        const unsigned second = huffman->symbols[j];
        const struct code later = huffman->codes[second];
        for (unsigned i = 0; i < huffman->distinct; i++) {
            const unsigned first = huffman->symbols[i];
            const struct code code = huffman->codes[first];
            huffman->pairs[second << 8 | first] = entry_of(
                (uint64_t)code.bits << later.length | later.bits, code.length + later.length);
        }
    }
}

/* ---- the streams ---- */

/* Bits that have not been written yet: the highest bits of `held`, the latest on top. Their number
 * is the lowest byte of `count`. The other bits of `count`, and those of `held` below, have no
 * meaning. */
struct stream {
    uint64_t held, count;
    unsigned char *at;
};

static inline void add(struct stream *stream, uint64_t entry) {
    stream->held = stream->held >> (entry & 63) | entry;
    stream->count += entry;
}

/* Writes the whole bytes of between 1 and 56 bits. */
static inline void write_whole(struct stream *stream) {
    const unsigned count = stream->count & 63;
    put_le64(stream->at, stream->held >> (64 - count));
    stream->at += count / 8;
    stream->count = count % 8;
}

static inline unsigned pair_at(const unsigned char *src) {
    return src[0] | (unsigned)src[1] << 8;
}

static inline void add_four(const struct nauha__huffman *huffman, struct stream *stream,
                            const unsigned char *src, bool paired) {
    if (paired) {
        add(stream, huffman->pairs[pair_at(src + 2)]);
        add(stream, huffman->pairs[pair_at(src)]);
    } else {
        add(stream, huffman->singles[src[3]]);
        add(stream, huffman->singles[src[2]]);
        add(stream, huffman->singles[src[1]]);
        add(stream, huffman->singles[src[0]]);
    }
    write_whole(stream);
}

/* Each stream is coded from its end, four bytes of each stream in turn, which gives the processor
 * four independent chains of operations. All streams but the last have the same length. */
static inline void encode_streams(struct nauha__huffman *huffman, const unsigned char *src,
                                  size_t size, bool paired, size_t *sizes) {
    const size_t each = (size + STREAMS - 1) / STREAMS, last = size - (STREAMS - 1) * each;
    const size_t turns = last / 4;
    struct stream streams[STREAMS];
    for (unsigned k = 0; k < STREAMS; k++) {
        streams[k] = (struct stream){.at = huffman->streams[k]};
        for (size_t i = k + 1 < STREAMS ? each : last; i-- > 4 * turns;) {
            add(&streams[k], huffman->singles[src[k * each + i]]);
            write_whole(&streams[k]);
        }
    }
    for (size_t i = 4 * turns; i > 0; i -= 4) {
#pragma GCC unroll 4
        for (unsigned k = 0; k < STREAMS; k++)
            add_four(huffman, &streams[k], src + k * each + i - 4, paired);
    }
    for (unsigned k = 0; k < STREAMS; k++) {
        add(&streams[k], entry_of(1, 1));
        const unsigned count = streams[k].count & 63;
        put_le64(streams[k].at, streams[k].held >> (64 - count));
        sizes[k] = (size_t)(streams[k].at - huffman->streams[k]) + (count + 7) / 8;
    }
}

/* ---- the block ---- */

struct nauha__huffman *nauha__huffman_new(void) {
    return malloc(sizeof(struct nauha__huffman));
}

void nauha__huffman_free(struct nauha__huffman *huffman) {
    free(huffman);
}

/* Section 3.1.1.3.1.1: compressed literals in four streams, sizes of 14 or 18 bits. Returns its
 * size. */
static size_t put_header(unsigned char *dst, size_t size, size_t coded) {
    enum { COMPRESSED = 2, SIZES_14 = 2 << 2, SIZES_18 = 3 << 2 };
    const bool small = size < 1u << 14;
    const uint64_t header = (uint64_t)size << 4 | (uint64_t)coded << (small ? 18 : 22) |
                            (small ? COMPRESSED | SIZES_14 : COMPRESSED | SIZES_18);
    const size_t bytes = small ? 4 : 5;
    for (size_t i = 0; i < bytes; i++)
        dst[i] = (unsigned char)(header >> 8 * i);
    return bytes;
}

/* The number of bytes that the streams take if all bytes are distributed like those that were
 * counted. */
static size_t expected_bytes(const struct nauha__huffman *huffman, size_t size, size_t counted) {
    size_t bits = 0;
    for (unsigned i = 0; i < huffman->distinct; i++) {
        const unsigned value = huffman->symbols[i];
        bits += (size_t)huffman->counts[0][value] * huffman->codes[value].length;
    }
    return bits / 8 * size / counted;
}

/* What the bytes are coded to: the description of a tree, and streams. */
struct coded {
    unsigned char tree[TREE_ROOM];
    size_t tree_bytes, sizes[STREAMS], streams_bytes;
};

/* Returns false if there is no code. */
static bool encode(struct nauha__huffman *huffman, const unsigned char *src, size_t size, bool all,
                   struct coded *coded) {
    unsigned char lengths[VALUES];
    const size_t counted = count_values(huffman, src, size, all);
    if (!sort_symbols(huffman))
        return false;
    huffman_lengths(huffman, lengths);
    if (!limit_lengths(lengths, huffman->distinct))
        return false;
    coded->tree_bytes = put_tree(huffman, assign_codes(huffman, lengths), coded->tree);
    if (coded->tree_bytes == 0)
        return false;
    make_singles(huffman);
    if (huffman->distinct <= PAIRED_MAX) {
        make_pairs(huffman);
        encode_streams(huffman, src, size, true, coded->sizes);
    } else {
        encode_streams(huffman, src, size, false, coded->sizes);
    }
    coded->streams_bytes = 0;
    for (unsigned k = 0; k < STREAMS; k++)
        coded->streams_bytes += coded->sizes[k];
    const size_t expected = expected_bytes(huffman, size, counted);
    if (counted < size && coded->streams_bytes > expected + expected / UNLIKE)
        return encode(huffman, src, size, true, coded);
    return true;
}

size_t nauha__huffman_encode(struct nauha__huffman *huffman, const unsigned char *src, size_t size,
                             unsigned char *dst) {
    enum { HEADER_MAX = 5, NO_SEQUENCES = 1 };
    struct coded coded;
    if (!encode(huffman, src, size, size < SAMPLED_FROM, &coded))
        return 0;
    const size_t body = coded.tree_bytes + JUMP_TABLE + coded.streams_bytes;
    if (HEADER_MAX + body + NO_SEQUENCES >= size)
        return 0;
    unsigned char *at = dst + put_header(dst, size, body);
    memcpy(at, coded.tree, coded.tree_bytes);
    at += coded.tree_bytes;
    for (unsigned k = 0; k + 1 < STREAMS; k++) {
        *at++ = (unsigned char)coded.sizes[k];
        *at++ = (unsigned char)(coded.sizes[k] >> 8);
    }
    for (unsigned k = 0; k < STREAMS; k++) {
        memcpy(at, huffman->streams[k], coded.sizes[k]);
        at += coded.sizes[k];
    }
    *at++ = 0; /* no sequences */
    return (size_t)(at - dst);
}
