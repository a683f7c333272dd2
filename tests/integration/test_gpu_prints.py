# SPDX-License-Identifier: MIT
"""The fingerprints that a GPU makes, by Triton's interpreter on the CPU: they are those of the C library. Skipped where there is
no Triton (NAUHA_TRITON=1 tools/dev/install-torch.sh installs it)."""
import contextlib
import ctypes
import importlib.util
import math
import os
import subprocess
import sys
import unittest
import unittest.mock

import torch

from tests.integration.program import ROOT
from tests.integration.pytorch_case import Case, nauha
from nauha import native, staging, tensors, trace  # noqa: F401, the last one declares functions

TRITON = importlib.util.find_spec("triton") is not None
if TRITON:
    os.environ["TRITON_INTERPRET"] = "1"
    from nauha import gpu_prints
    import triton
    import triton.language as tl
    PRINTS = gpu_prints.Prints("cpu")

    @triton.jit
    def values(raw, out, DTYPE: tl.constexpr):
        at = tl.arange(0, 65536)
        tl.store(out + at, gpu_prints._value(tl.load(raw + at).to(tl.uint64), DTYPE))

library = native.library
library.nauha_tensor_fingerprint.argtypes = [ctypes.POINTER(native.Tensor), ctypes.POINTER(native.Fingerprint), ctypes.c_void_p]
library.nauha_tensor_fingerprint.restype = ctypes.c_int
EXACT = "zeros", "nans", "infs", "first_nonfinite", "min", "max"


def by_c(tensor):
    """The fingerprint of a tensor's elements by the C library."""
    tensor, view, found = tensor.contiguous(), native.Tensor(), native.Fingerprint()
    tensors.fill(view, tensor)
    assert library.nauha_tensor_fingerprint(ctypes.byref(view), ctypes.byref(found), None) == 0
    return found


def random_bits(dtype, count, seed=1):
    """Elements of every kind: any bits at all."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(0, dtype=dtype).element_size()
    data = torch.randint(256, (count * size,), generator=generator, dtype=torch.uint8)
    return (data & 1 if dtype is torch.bool else data).view(dtype)


def ordinary(dtype, count, seed=2):
    """Elements as a training has them."""
    generator = torch.Generator().manual_seed(seed)
    if dtype is torch.bool:
        return torch.rand(count, generator=generator) < 0.3
    if not dtype.is_floating_point:
        return torch.randint(0, 100, (count,), generator=generator).to(dtype)
    return torch.randn(count, generator=generator, dtype=torch.float64).to(dtype)


@unittest.skipUnless(TRITON, "no Triton")
class Prints(unittest.TestCase):
    def compare(self, tensor, what):
        words, expected = PRINTS.make(tensor), by_c(tensor)
        self.assertEqual(words.shape, (30,))
        numbers = [n % (1 << 64) for n in words.tolist()]
        reals = words.view(torch.float64).tolist()
        stats = expected.stats
        self.assertEqual(numbers[:2], list(expected.hash), what)
        self.assertEqual(numbers[2:6], [stats.zeros, stats.nans, stats.infs, stats.first_nonfinite], what)
        for real, name in ((reals[12], "min"), (reals[13], "max")):
            wanted = getattr(stats, name)
            self.assertTrue(real == wanted and math.copysign(1, real) == math.copysign(1, wanted) or
                            math.isnan(real) and math.isnan(wanted), (what, name, real, wanted))
        self.assertEqual(numbers[14:], list(expected.samples), what)
        magnitudes = self.magnitudes(tensor)
        for word, name in enumerate(("sum", "sum_abs", "sum_squares", "deviations", "third", "fourth"), 6):
            real, wanted = reals[word], getattr(stats, name)
            same = real == wanted or math.isnan(real) and math.isnan(wanted) or \
                abs(real - wanted) <= 1e-12 * magnitudes[name]
            self.assertTrue(same, (what, name, real, wanted, magnitudes[name]))

    @staticmethod
    def magnitudes(tensor):
        """The sums of the magnitudes of what is summed."""
        x = tensor.reshape(-1).to(torch.float64)
        apart = (x - x.mean()).abs()
        sums = {"sum": x.abs(), "sum_abs": x.abs(), "sum_squares": x ** 2, "deviations": apart ** 2, "third": apart ** 3,
                "fourth": apart ** 4}
        return {name: value.sum().item() for name, value in sums.items()}

    def test_sizes_of_all_types(self):
        for dtype in tensors.DTYPES:
            item = torch.empty(0, dtype=dtype).element_size()
            for size in (0, 1, 15, 16, 17, 239, 240, 241, 4095, 4096, 4097, 9000):
                make = random_bits if size % 2 and size < 4000 else ordinary
                self.compare(make(dtype, -(-size // item)), f"{make.__name__} {dtype} {size} bytes")
        for dtype in (torch.float32, torch.bfloat16, torch.uint8):
            self.compare(ordinary(dtype, 100003 // torch.empty(0, dtype=dtype).element_size()), f"{dtype} 100003 bytes")
            self.compare(random_bits(dtype, 2000), f"{dtype}, any bits")

    def test_counts_of_elements(self):
        for count in (1, 2, 3, 8, 15, 16, 17, 31, 33):
            self.compare(ordinary(torch.float32, count), f"{count} elements")

    def test_every_value_of_small_types(self):
        """Each element by itself: in sums, NaN would hide the rest."""
        library.nauha_tensor_to_f64.argtypes = [ctypes.POINTER(native.Tensor), ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
        library.nauha_tensor_to_f64.restype = None
        for dtype, number in tensors.DTYPES.items():
            bits = 8 * torch.empty(0, dtype=dtype).element_size()
            if bits > 16:
                continue
            raw = torch.arange(2 if dtype is torch.bool else 1 << bits)
            tensor = raw.to({8: torch.uint8, 16: torch.int32}[bits]).to({8: torch.uint8, 16: torch.int16}[bits]).view(dtype)
            got, expected, view = torch.empty(1 << 16, dtype=torch.float64), torch.empty(1 << 16, dtype=torch.float64), native.Tensor()
            values[(1,)](raw.repeat((1 << 16) // len(raw)), got, DTYPE=number)
            tensors.fill(view, tensor)
            library.nauha_tensor_to_f64(ctypes.byref(view), 0, len(raw), expected.data_ptr())
            got, expected = got[:len(raw)], expected[:len(raw)]
            self.assertTrue(torch.equal(got.isnan(), expected.isnan()), dtype)
            there = ~expected.isnan()
            self.assertTrue(torch.equal(got[there].view(torch.int64), expected[there].view(torch.int64)), dtype)

    def test_special_elements(self):
        nan, inf = math.nan, math.inf
        for dtype in (torch.float32, torch.float64, torch.float16):
            for elements in ([nan], [inf], [-inf], [-0.0], [0.0, -0.0], [-0.0, 0.0], [nan] * 2000, [1, nan, 2], [inf, -inf, 1],
                           [-0.0] * 1500 + [0.0], [1.0] * 2000, [1e-40, -1e-40], [inf] * 3, [0.0] * 1999 + [nan]):
                self.compare(torch.tensor(elements, dtype=dtype), f"{dtype} {elements[:3]} {len(elements)}")
        for place, value in zip((0, 511, 1023, 1024, 4999), (nan, inf, -inf, nan, inf)):
            tensor = ordinary(torch.float32, 5000)
            tensor[place] = value
            self.compare(tensor, f"{value} at {place}")

    def test_sums_that_cancel(self):
        for dtype, mean in ((torch.float64, 1e6), (torch.float32, 1000.0), (torch.float64, -3e9)):
            self.compare((ordinary(torch.float64, 20000) + mean).to(dtype), f"{dtype} around {mean}")
        steps = torch.arange(24000, dtype=torch.float32) // 4000 * 100 + ordinary(torch.float32, 24000)
        self.compare(steps, "a mean that moves")
        self.compare(torch.cat([torch.zeros(1024), ordinary(torch.float32, 20000) + 1000]), "zeros first")
        self.compare(torch.full((10000,), 0.1), "a constant")
        self.compare(torch.tensor([2**62, -2**62, 2**53 + 1, 3] * 700), "large integers")

    def test_many_blocks_to_a_program(self):
        with unittest.mock.patch.object(gpu_prints, "PROGRAMS", 3):
            for size in (4096 * 3, 4096 * 3 + 4, 60004):
                self.compare(ordinary(torch.float32, size // 4), f"{size} bytes")
            self.compare(torch.arange(20000, dtype=torch.float32), "all different")
            tensor = ordinary(torch.float64, 9000)
            tensor[8000] = math.nan
            self.compare(tensor, "a NaN in a later block")

    def test_tensors_that_are_not_contiguous(self):
        base = ordinary(torch.float32, 6000)
        for name, tensor in (("transposed", base.view(60, 100).t()), ("a slice", base[1:4000]), ("a stride", base[::3]),
                             ("expanded", base[:7, None].expand(7, 50)), ("channels last",
                             base.view(2, 10, 20, 15).to(memory_format=torch.channels_last)), ("flipped", base.flip(0)[5:]),
                             ("no dimension", base[17]), ("nothing", base[:0]), ("3 dimensions", base.view(10, 20, 30))):
            self.compare(tensor, name)
        self.compare(random_bits(torch.uint8, 5000)[3:4500], "at any address")
        self.compare(ordinary(torch.bfloat16, 5000)[3:4500], "at any address")
        self.compare(torch.randn(300, requires_grad=True), "a parameter")
        complex_view = torch.view_as_real(torch.randn(200, dtype=torch.complex64).conj().resolve_conj())
        self.compare(complex_view[..., 1], "an imaginary part")

    def test_types_that_cannot_be_recorded(self):
        with self.assertRaisesRegex(tensors.Unrecordable, "type complex64 cannot be recorded"):
            PRINTS.make(torch.zeros(3, dtype=torch.complex64))


class LateDevice(staging.HostDevice):
    """Makes fingerprints with the kernels, at once, as a stream does before what comes behind them; its copies arrive when they
    are waited for."""

    def __init__(self):
        self.prints, self.copied = 0, []

    def can_print(self, tensor):
        return True

    def print_of(self, tensor):
        self.prints += 1
        return PRINTS.make(tensor)

    def copy(self, source, host, private=False):
        self.copied.append((tuple(source.shape), source.numel() * source.element_size(), private))
        snapshot = source if private else source.detach().clone()

        class Done:
            def synchronize(self):
                with torch.no_grad():
                    host.copy_(snapshot)

        return Done()


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = torch.nn.Linear(12, 24), torch.nn.ReLU(inplace=True), torch.nn.Linear(24, 5)

    def forward(self, x):
        return self.second(self.relu(self.first(x)))


@unittest.skipUnless(TRITON, "no Triton")
class Path(Case):
    """A training whose tensors are said to be on a GPU, against the same one on the CPU."""

    def train(self, name, device=None, **options):
        torch.manual_seed(3)
        self.path, model = self.folder / name, Net()
        options = {"staging": "always", **options} if device is not None else options
        with unittest.mock.patch.object(staging, "device_for", lambda kind, tell: device):
            exporter = self.export(model, **options)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss_function = exporter.set_loss(torch.nn.CrossEntropyLoss())
        for _ in range(3):
            optimizer.zero_grad()
            loss_function(model(torch.randn(20, 12)), torch.randint(5, (20,))).backward()
            optimizer.step()
        self.assertTrue(exporter.close())
        # The interpreter takes so long that a busy machine is noticed.
        self.assertEqual([notice for notice in self.notices if not notice.startswith("PyTorch's threads waited")], [])
        return self.path

    def listed(self, path):
        with nauha.open(path) as opened:
            for m in opened.messages():
                print_ = m.fingerprint if m.kept in ("elements", "fingerprint") else None
                yield (m.kind, m.module, m.slot, m.global_step, m.call, m.tag, m.shape, m.dtype, m.kept,
                       m.hash if m.dtype else None), print_

    @staticmethod
    def order(messages):
        """Of the messages but parameters and updates, whose order at the end of a step is another one where only some are large."""
        return [message for message, _ in messages if message[0] not in ("weights", "biases", "weight_updates", "bias_updates")]

    def same(self, one, other):
        """The messages are the same and in the same order, and sums agree. Returns how many of each kind are fingerprints."""
        ones, others, count = list(self.listed(one)), list(self.listed(other)), {}
        self.assertEqual(*(self.order(messages) for messages in (ones, others)))
        ones, others = (sorted(messages, key=lambda entry: repr(entry[0])) for messages in (ones, others))
        self.assertEqual([message for message, _ in ones], [message for message, _ in others])
        for (message, a), (_, b) in zip(ones, others):
            if message[8] == "fingerprint":
                count[message[0]] = count.get(message[0], 0) + 1
                for name in ("zeros", "nans", "infs", "min", "max"):
                    self.assertEqual(getattr(a, name), getattr(b, name), (message, name))
                self.assertEqual(list(a.samples), list(b.samples))
                self.assertAlmostEqual(a.sum, b.sum, delta=1e-12 * b.sum_abs)
                self.assertAlmostEqual(a.sum_squares, b.sum_squares, delta=1e-12 * b.sum_squares)
                self.assertAlmostEqual(a.fourth, b.fourth, delta=1e-12 * b.fourth)
        return count

    def test_fingerprints(self):
        device = LateDevice()
        count = self.same(self.train("gpu.h5", device, keep="fingerprints"), self.train("cpu.h5", keep="fingerprints"))
        self.assertEqual(count["activations"], 3 * 4)
        self.assertEqual((count["weights"], count["weight_updates"]), (3 * 2, 3 * 2))
        self.assertEqual(device.prints, sum(count.values()))
        # What crosses: words of fingerprints, and small tensors.
        self.assertEqual([entry for entry in device.copied if entry[1] > 240], [])
        self.assertEqual(sum(private for _, _, private in device.copied), device.prints)

    def test_parameters_of_chosen_steps(self):
        """Of other steps, nothing is made of them."""
        for number, options in enumerate(({"steps": "1:2"}, {"kinds": "weight_updates"}, {"kinds": "weights", "steps": "::2"})):
            device = LateDevice()
            options = {"keep": "fingerprints", **options}
            count = self.same(self.train(f"gpu{number}.h5", device, **options), self.train(f"cpu{number}.h5", **options))
            self.assertEqual(device.prints, sum(count.values()), options)
            self.assertGreater(sum(count.values()), 1)

    def test_steps_that_end_with_the_next(self):
        """A loop without an optimizer that is known, and parameters that change in between."""
        def loop(name, device=None):
            torch.manual_seed(5)
            self.path, model = self.folder / name, Net()
            options = {"staging": "always"} if device else {}
            with unittest.mock.patch.object(staging, "device_for", lambda kind, tell: device):
                exporter = self.export(model, keep="fingerprints", step="forward", **options)
            for _ in range(3):
                model(torch.randn(20, 12)).sum().backward()
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter -= 0.1 * parameter.grad
            self.assertTrue(exporter.close())
            return self.path

        device = LateDevice()
        count = self.same(loop("gpu.h5", device), loop("cpu.h5"))
        self.assertEqual(count["weights"], count["weight_updates"])
        self.assertGreaterEqual(count["weights"], 2 * 2)
        self.assertEqual([entry for entry in device.copied if entry[1] > 240], [])

    def test_parameters_that_are_kept_in_full(self):
        for number, options in enumerate(({"full": "weights"}, {"full": "bias_updates"})):
            device = LateDevice()
            options = {"keep": "fingerprints", **options}
            self.same(self.train(f"gpu{number}.h5", device, **options), self.train(f"cpu{number}.h5", **options))
            self.assertIn((24, 12), [entry[0] for entry in device.copied])

    def test_hashes(self):
        device = LateDevice()
        self.same(self.train("gpu.h5", device, keep="hashes"), self.train("cpu.h5", keep="hashes"))
        self.assertGreater(device.prints, 20)

    def test_proof(self):
        device = LateDevice()
        options = {"keep": "proof", "fingerprint_every": 2}
        path = self.train("gpu.h5", device, **options)
        count = self.same(path, self.train("cpu.h5", **options))
        self.assertEqual(count["weight_gradients"], 3 * 2)
        self.assertEqual(device.prints, sum(count.values()))

    def test_chosen_kinds(self):
        device = LateDevice()
        options = {"fingerprint": "activations steps=1:2"}
        count = self.same(self.train("gpu.h5", device, **options), self.train("cpu.h5", **options))
        self.assertEqual((count, device.prints), ({"activations": 4}, 4))

    def test_where_elements_are_needed(self):
        """What is stored is another tensor, or a flight recorder holds the elements: everything is copied, as before."""
        for number, options in enumerate(({"keep": "fingerprints", "samples": 7}, {"keep": "fingerprints", "precision": "bf16"},
                                          {"flight": 2}, {"keep": "everything"})):
            device = LateDevice()
            self.same(self.train(f"gpu{number}.h5", device, **options), self.train(f"cpu{number}.h5", **options))
            self.assertEqual(device.prints, 0, options)

    def test_a_live_metric_needs_elements(self):
        exporter = self.export(Net(), keep="fingerprints")
        wanted = exporter.publisher.wanted
        kinds = native.KINDS["activations"], native.KINDS["input_data"]
        self.assertEqual([wanted.elements(kind, native.NONE, 0, 0, 0, 0) for kind in kinds], [False, False])
        wanted.tapped = lambda kind: kind == kinds[0]
        self.assertEqual([wanted.elements(kind, native.NONE, 0, 0, 0, 0) for kind in kinds], [True, False])


@unittest.skipUnless(TRITON, "no Triton")
class Compiling(unittest.TestCase):
    """What Triton makes of the kernels for a GPU, with NVIDIA's assembler; nobody runs it here."""

    PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import triton
from triton.compiler import ASTSource
from triton.backends.compiler import GPUTarget
from nauha import gpu_prints
numbers = {"size": "i64", "count": "i64", "programs": "i64"}
def build(kernel, pointers, constants, warps):
    signature = {**pointers, **numbers, **dict.fromkeys(constants, "constexpr")}
    built = triton.compile(ASTSource(fn=kernel, signature=signature, constexprs=constants), target=GPUTarget("cuda", 90, 32),
                           options={"num_warps": warps, "enable_fp_fusion": False})
    text = built.asm["ptx"]
    assert len(built.asm["cubin"]) > 10000 and "fma.rn.f64" not in text, kernel
    assert len(text) < 1000000, f"{kernel}: {len(text)} bytes take long to compile"
bytes_and_keys = {"data": "*u8", "keys": "*i64", "results": "*i64"}
for dtype, per_word in ((0, 2), (12, 8)):
    build(gpu_prints._add_blocks, bytes_and_keys, {"DTYPE": dtype, "PER_WORD": per_word}, 1)
build(gpu_prints._join, {**bytes_and_keys, "words": "*i64"}, {"PER_WORD": 8, "PROGRAMS_MOST": 2048}, 4)
print("built")
"""

    def test_they_compile(self):
        environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
        done = subprocess.run([sys.executable, "-c", self.PROGRAM, ROOT / "tools/python"], env=environment, capture_output=True,
                              text=True, timeout=600)
        self.assertEqual(done.stdout, "built\n", done.stderr[-3000:])


class WithoutTriton(unittest.TestCase):
    """The device falls back to copies, and says so once."""

    def test_it_is_told_once(self):
        told = []
        device = staging.CudaDevice(told.append)
        tensor = unittest.mock.Mock(is_cuda=True, device=torch.device("cuda", 0))
        with unittest.mock.patch.dict(sys.modules, {"nauha.gpu_prints": None}), \
                unittest.mock.patch.object(torch.cuda, "device", lambda device: contextlib.nullcontext()):
            self.assertIsNone(device.print_of(tensor))
            self.assertIsNone(device.print_of(tensor))
        self.assertEqual(len(told), 1)
        self.assertRegex(told[0], "^tensors on the GPU are copied to the host for their fingerprints, as Triton cannot make these")

    def test_tensors_on_the_cpu_are_left_to_the_recorder(self):
        self.assertIsNone(staging.CudaDevice(None).print_of(torch.zeros(1000)))
        self.assertIsNone(staging.HostDevice().print_of(torch.zeros(1000)))


if __name__ == "__main__":
    unittest.main()
