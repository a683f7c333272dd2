# SPDX-License-Identifier: MIT
"""Fingerprints of tensors on a GPU, computed where they lie by two kernels of Triton: 240 bytes instead of the tensor cross
the bus.

The first kernel reads the elements once, in blocks of 4 KB, a block of one warp at a time: a few thousand programs take
every so-many-th block each. The second joins their results. Both give the hash, the counts, the extremes and the samples of
recorder/core/fingerprint.c to the same bits; sums are added in another order, in float64. The number of programs follows
from the tensor's size alone.

Triton's interpreter (TRITON_INTERPRET=1, before the import) runs them without a GPU.

Threads: any.
"""
import torch
import triton
import triton.language as tl

from nauha import native, tensors

WORDS = 30  # of a fingerprint, see struct nauha__fingerprint_words
PROGRAMS = 2048  # at most
_FIELDS = 16  # of 8 bytes, in the results of a program
_MASK = (1 << 64) - 1
_ROWS, _LANES = tl.constexpr(64), tl.constexpr(8)  # of a block, in words of 64 bits
_GOLDEN = tl.constexpr(0x9e3779b97f4a7c15)

_F32, _F64, _F16, _BF16, _U8, _I8, _I16, _I32, _I64, _BOOL, _E4M3FN, _E5M2, _E4M3FNUZ, _E5M2FNUZ = map(tl.constexpr, range(14))


def _mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & _MASK
    z = (z ^ z >> 27) * 0x94d049bb133111eb & _MASK
    return z ^ z >> 31


def _keys():
    """The numbers that the hash is made with (docs/format.md), as i64."""
    numbers = [_mix(i * _GOLDEN.value & _MASK) for i in range(1, 539)]
    return torch.tensor([n - (1 << 64) if n >> 63 else n for n in numbers])


@triton.jit
def _mixed(z):
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb
    return z ^ (z >> 31)


@triton.jit
def _widened(magnitude, MANTISSA: tl.constexpr, BIAS: tl.constexpr):
    """As nauha__widen_finite: the magnitude of a small float as the bits of a float32."""
    normal = (magnitude << (23 - MANTISSA)) + ((127 - BIAS) << 23)
    UNIT: tl.constexpr = 2.0 ** (1 - BIAS - MANTISSA)
    subnormal = (magnitude.to(tl.int32).to(tl.float32) * UNIT).to(tl.uint32, bitcast=True)
    return tl.where((magnitude >> MANTISSA) != 0, normal, subnormal)


@triton.jit
def _value(bits, DTYPE: tl.constexpr):
    """Elements as float64. bits: u64 that hold the bits of one element each."""
    if DTYPE == _F64:
        value = bits.to(tl.float64, bitcast=True)
    elif DTYPE == _F32:
        value = bits.to(tl.uint32).to(tl.float32, bitcast=True).to(tl.float64)
    elif DTYPE == _F16:
        value = bits.to(tl.uint16).to(tl.float16, bitcast=True).to(tl.float32).to(tl.float64)
    elif DTYPE == _BF16:
        value = (bits.to(tl.uint32) << 16).to(tl.float32, bitcast=True).to(tl.float64)
    elif DTYPE == _E5M2:  # the upper byte of a float16
        value = (bits.to(tl.uint16) << 8).to(tl.float16, bitcast=True).to(tl.float32).to(tl.float64)
    elif DTYPE == _U8:
        value = bits.to(tl.uint8).to(tl.float64)
    elif DTYPE == _I8:
        value = bits.to(tl.uint8).to(tl.int8, bitcast=True).to(tl.float64)
    elif DTYPE == _I16:
        value = bits.to(tl.uint16).to(tl.int16, bitcast=True).to(tl.float64)
    elif DTYPE == _I32:
        value = bits.to(tl.uint32).to(tl.int32, bitcast=True).to(tl.float64)
    elif DTYPE == _I64:
        value = bits.to(tl.int64, bitcast=True).to(tl.float64)
    elif DTYPE == _BOOL:
        value = (bits != 0).to(tl.float64)
    else:
        magnitude = bits.to(tl.uint32) & 0x7f
        sign = (bits.to(tl.uint32) & 0x80) << 24
        if DTYPE == _E4M3FN:
            wide = tl.where(magnitude == 0x7f, 0x7fc00000, _widened(magnitude, 3, 7))
        elif DTYPE == _E4M3FNUZ:
            wide = tl.where((magnitude == 0) & (sign != 0), 0x7fc00000, _widened(magnitude, 3, 8))
        else:
            wide = tl.where((magnitude == 0) & (sign != 0), 0x7fc00000, _widened(magnitude, 2, 16))
        value = (wide.to(tl.uint32) | sign).to(tl.float32, bitcast=True).to(tl.float64)
    return value


@triton.jit
def _words(words, tail, block, size):
    """The words of a block, zeros behind the last one: 64 rows of 8. tail: the last word of the tensor if it is not complete."""
    row = tl.arange(0, _ROWS)[:, None]
    at = block * (_ROWS * _LANES) + row * _LANES + tl.arange(0, _LANES)[None, :]
    word = tl.load(words + at, mask=at < size // 8, other=0).to(tl.uint64, bitcast=True)
    return tl.where(at == size // 8, tail, word), at


@triton.jit
def _elements(word, at, k, PER_WORD: tl.constexpr, DTYPE: tl.constexpr, count):
    """Element k of each word, as float64, its position, and whether it exists."""
    BITS: tl.constexpr = 64 // PER_WORD
    bits = word
    if PER_WORD > 1:
        bits = (word >> (k * BITS)) & ((1 << BITS) - 1)
    position = at * PER_WORD + k
    return _value(bits, DTYPE), position, position < count


# Numbers such as 1 would be compiled in otherwise, which takes longer than all fingerprints of a step.
@triton.jit(do_not_specialize=["size", "count", "programs"])
def _add_blocks(data, keys, results, size: tl.int64, count: tl.int64, programs: tl.int64, DTYPE: tl.constexpr, PER_WORD: tl.constexpr):
    """The hash and the statistics of every programs-th block."""
    words = data.to(tl.pointer_type(tl.int64))
    program = tl.program_id(0).to(tl.int64)
    blocks = (size + 4095) // 4096
    row = tl.arange(0, _ROWS)[:, None]
    lane = tl.arange(0, _LANES)
    key_at = keys + row * _LANES + lane[None, :]
    first_key = tl.load(key_at).to(tl.uint64, bitcast=True)
    second_key = tl.load(key_at + _LANES).to(tl.uint64, bitcast=True)
    first_factor = tl.load(keys + 520 + lane).to(tl.uint64, bitcast=True) | 1
    second_factor = tl.load(keys + 528 + lane).to(tl.uint64, bitcast=True) | 1

    begun = (size // 8) * 8
    byte = begun + tl.arange(0, 8)
    tail_bytes = tl.load(data + byte, mask=byte < size, other=0).to(tl.uint64)
    tail = tl.sum(tail_bytes << (tl.arange(0, 8) * 8).to(tl.uint64), 0)

    # Differences are taken from the mean of the program's first block: their powers then hardly cancel.
    word, at = _words(words, tail, program, size)
    sum_0 = tl.full((), 0.0, tl.float64)
    for k in range(PER_WORD):
        x, position, exists = _elements(word, at, k, PER_WORD, DTYPE, count)
        sum_0 += tl.sum(tl.where(exists, x, 0.0))
    in_block = tl.minimum(tl.maximum(count - program * (512 * PER_WORD), 1), 512 * PER_WORD)
    shift = sum_0 / in_block.to(tl.float64)

    first_total = tl.full((), 0, tl.uint64)
    second_total = tl.full((), 0, tl.uint64)
    zeros = tl.full((), 0, tl.int64)
    nans = tl.full((), 0, tl.int64)
    infs = tl.full((), 0, tl.int64)
    first = tl.full((), 0x7fffffffffffffff, tl.int64)
    total = tl.full((), 0.0, tl.float64)
    total_abs = tl.full((), 0.0, tl.float64)
    total_squares = tl.full((), 0.0, tl.float64)
    power_1 = tl.full((), 0.0, tl.float64)
    power_2 = tl.full((), 0.0, tl.float64)
    power_3 = tl.full((), 0.0, tl.float64)
    power_4 = tl.full((), 0.0, tl.float64)
    low = tl.full((), float("inf"), tl.float64)
    high = tl.full((), float("-inf"), tl.float64)
    seen = tl.full((), 0, tl.int64)
    block = program
    while block < blocks:
        word, at = _words(words, tail, block, size)
        used = (at - lane[None, :]) * 8 < size  # rows behind the last one do not count
        low_half = word & 0xffffffff
        high_half = word >> 32
        product = ((low_half + (first_key & 0xffffffff)) & 0xffffffff) * ((high_half + (first_key >> 32)) & 0xffffffff)
        lanes = tl.sum(tl.where(used, product, 0).to(tl.uint64), 0)
        number = (block + 1).to(tl.uint64) * _GOLDEN
        first_total += _mixed(tl.sum((lanes ^ (lanes >> 32)) * first_factor, 0) + number)
        product = ((low_half + (second_key & 0xffffffff)) & 0xffffffff) * ((high_half + (second_key >> 32)) & 0xffffffff)
        lanes = tl.sum(tl.where(used, product, 0).to(tl.uint64), 0)
        second_total += _mixed(tl.sum((lanes ^ (lanes >> 32)) * second_factor, 0) + number)

        for k in range(PER_WORD):
            x, position, exists = _elements(word, at, k, PER_WORD, DTYPE, count)
            is_nan = exists & (x != x)
            is_inf = exists & (tl.abs(x) == float("inf"))
            zeros += tl.sum((exists & (x == 0)).to(tl.int64))
            nans += tl.sum(is_nan.to(tl.int64))
            infs += tl.sum(is_inf.to(tl.int64))
            first = tl.minimum(first, tl.min(tl.where(is_nan | is_inf, position, 0x7fffffffffffffff)))
            number_there = exists & (x == x)
            low = tl.minimum(low, tl.min(tl.where(number_there, x, float("inf"))))
            high = tl.maximum(high, tl.max(tl.where(number_there, x, float("-inf"))))
            apart = tl.where(exists, x - shift, 0.0)
            x = tl.where(exists, x, 0.0)
            square = apart * apart
            total += tl.sum(x)
            total_abs += tl.sum(tl.abs(x))
            total_squares += tl.sum(x * x)
            power_1 += tl.sum(apart)
            power_2 += tl.sum(square)
            power_3 += tl.sum(square * apart)
            power_4 += tl.sum(square * square)
        seen += tl.minimum(count - block * (512 * PER_WORD), 512 * PER_WORD)
        block += programs

    out = results + program
    tl.store(out, first_total.to(tl.int64, bitcast=True))
    tl.store(out + programs, second_total.to(tl.int64, bitcast=True))
    tl.store(out + 2 * programs, zeros)
    tl.store(out + 3 * programs, nans)
    tl.store(out + 4 * programs, infs)
    tl.store(out + 5 * programs, first)
    tl.store(out + 6 * programs, total.to(tl.int64, bitcast=True))
    tl.store(out + 7 * programs, total_abs.to(tl.int64, bitcast=True))
    tl.store(out + 8 * programs, total_squares.to(tl.int64, bitcast=True))
    tl.store(out + 9 * programs, shift.to(tl.int64, bitcast=True))
    tl.store(out + 10 * programs, power_1.to(tl.int64, bitcast=True))
    tl.store(out + 11 * programs, power_2.to(tl.int64, bitcast=True))
    tl.store(out + 12 * programs, power_3.to(tl.int64, bitcast=True))
    tl.store(out + 13 * programs, power_4.to(tl.int64, bitcast=True))
    tl.store(out + 14 * programs, low.to(tl.int64, bitcast=True))
    tl.store(out + 15 * programs, high.to(tl.int64, bitcast=True))
    tl.store(out + 16 * programs, seen)


@triton.jit
def _whole(results, field, programs, at, exists):
    return tl.load(results + field * programs + at, mask=exists, other=0)


@triton.jit
def _real(results, field, programs, at, exists):
    return _whole(results, field, programs, at, exists).to(tl.float64, bitcast=True)


@triton.jit
def _put_real(words, word, value):
    tl.store(words + word, value.to(tl.int64, bitcast=True))


@triton.jit(do_not_specialize=["size", "count", "programs"])
def _join(data, keys, results, words, size: tl.int64, count: tl.int64, programs: tl.int64, PER_WORD: tl.constexpr, PROGRAMS_MOST: tl.constexpr):
    """Joins the results of the programs into the words of a fingerprint."""
    at = tl.arange(0, PROGRAMS_MOST)
    exists = at < programs

    first_total = tl.sum(_whole(results, 0, programs, at, exists).to(tl.uint64, bitcast=True), 0)
    second_total = tl.sum(_whole(results, 1, programs, at, exists).to(tl.uint64, bitcast=True), 0)
    first_key = tl.load(keys + 536).to(tl.uint64, bitcast=True)
    second_key = tl.load(keys + 537).to(tl.uint64, bitcast=True)
    tl.store(words, _mixed(first_total + first_key + size.to(tl.uint64)).to(tl.int64, bitcast=True))
    tl.store(words + 1, _mixed(second_total + second_key + size.to(tl.uint64)).to(tl.int64, bitcast=True))

    nans = tl.sum(_whole(results, 3, programs, at, exists), 0)
    tl.store(words + 2, tl.sum(_whole(results, 2, programs, at, exists), 0))
    tl.store(words + 3, nans)
    tl.store(words + 4, tl.sum(_whole(results, 4, programs, at, exists), 0))
    first = tl.min(tl.where(exists, _whole(results, 5, programs, at, exists), 0x7fffffffffffffff), 0)
    tl.store(words + 5, tl.where(first == 0x7fffffffffffffff, -1, first))

    _put_real(words, 6, tl.sum(_real(results, 6, programs, at, exists), 0))
    _put_real(words, 7, tl.sum(_real(results, 7, programs, at, exists), 0))
    _put_real(words, 8, tl.sum(_real(results, 8, programs, at, exists), 0))

    # Of each program, and then of all: from differences from a shift to those from the mean (Pébay 2008).
    n = tl.where(exists, _whole(results, 16, programs, at, exists), 0).to(tl.float64)
    divisor = tl.maximum(n, 1.0)
    power_1 = _real(results, 10, programs, at, exists)
    power_2 = _real(results, 11, programs, at, exists)
    power_3 = _real(results, 12, programs, at, exists)
    power_4 = _real(results, 13, programs, at, exists)
    rest = power_1 / divisor
    square = rest * rest
    second = power_2 - power_1 * rest
    second = tl.where(second < 0, 0.0, second)
    third = power_3 - 3 * rest * power_2 + 2 * square * power_1
    fourth = power_4 - 4 * rest * power_3 + 6 * square * power_2 - 3 * square * rest * power_1
    shift = _real(results, 9, programs, at, exists)
    origin = tl.load(results + 9 * programs).to(tl.float64, bitcast=True)
    offset = tl.where(exists, shift - origin + rest, 0.0)
    mean = tl.sum(n * offset, 0) / tl.maximum(count.to(tl.float64), 1.0)
    apart = tl.where(exists, offset - mean, 0.0)
    square = apart * apart
    _put_real(words, 9, tl.sum(second + n * square, 0))
    _put_real(words, 10, tl.sum(third + 3 * apart * second + n * square * apart, 0))
    _put_real(words, 11, tl.sum(fourth + 4 * apart * third + 6 * square * second + n * square * square, 0))

    low = tl.min(tl.where(exists, _real(results, 14, programs, at, exists), float("inf")), 0)
    high = tl.max(tl.where(exists, _real(results, 15, programs, at, exists), float("-inf")), 0)
    _put_real(words, 12, tl.where(nans == count, float("nan"), low + 0.0))
    _put_real(words, 13, tl.where(nans == count, float("nan"), high + 0.0))

    sample = tl.arange(0, 16).to(tl.int64)
    last = count - 1
    position = tl.where(count > 16, last // 15 * sample + last % 15 * sample // 15, sample)
    if PER_WORD == 8:
        elements = data
    elif PER_WORD == 4:
        elements = data.to(tl.pointer_type(tl.uint16))
    elif PER_WORD == 2:
        elements = data.to(tl.pointer_type(tl.uint32))
    else:
        elements = data.to(tl.pointer_type(tl.uint64))
    taken = tl.load(elements + position, mask=position < count, other=0).to(tl.uint64)
    tl.store(words + 14 + sample, taken.to(tl.int64, bitcast=True))


class Prints:
    """Makes fingerprints of the tensors of one device."""

    def __init__(self, device):
        self._device = torch.device(device)
        self._keys = _keys().to(self._device)

    def make(self, tensor):
        """Launches the kernels on the current stream, and returns the tensor of int64 on the device that will hold the words of the
        fingerprint. Raises tensors.Unrecordable."""
        if tensor.dtype not in tensors.DTYPES:
            raise tensors.Unrecordable(f"tensors of type {str(tensor.dtype).replace('torch.', '')} cannot be recorded")
        with torch.no_grad():
            tensor = tensor.detach()
            tensor = tensor if tensor.is_contiguous() and tensor.data_ptr() % 8 == 0 else _aligned(tensor)
            count, item = tensor.numel(), tensor.element_size()
            size = count * item
            programs = min(max(-(-size // 4096), 1), PROGRAMS)
            results = torch.empty((_FIELDS + 1) * programs, dtype=torch.int64, device=self._device)
            words = torch.empty(WORDS, dtype=torch.int64, device=self._device)
            data = tensor.view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
            _add_blocks[(programs,)](data, self._keys, results, size, count, programs, DTYPE=tensors.DTYPES[tensor.dtype],
                                     PER_WORD=8 // item, num_warps=1, enable_fp_fusion=False)
            _join[(1,)](data, self._keys, results, words, size, count, programs, PER_WORD=8 // item,
                        PROGRAMS_MOST=triton.next_power_of_2(programs), num_warps=4, enable_fp_fusion=False)
        return words


def _aligned(tensor):
    """A contiguous copy of its own memory, on the device."""
    return tensor.clone(memory_format=torch.contiguous_format)
