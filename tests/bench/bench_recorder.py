#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What recording every message of every step costs, beside the ways people record today.

Each variant trains the same net for a few steps in a process of its own; variants take turns, round by round,
and medians are compared with the bare training's. What needs a package that is not installed is left out. The
training's thread: CPU time of the thread that trains, beyond the bare training's. Of CPU time, "CPU" is what the whole
process takes beyond the bare training, "threads" what the recorder's own threads take. "by bare" ends when the files
are closed, "on disk" when they are on the disk, which the page cache delays. "bare busy" is the bare training
while another process copies memory all the time: where processors share caches or a core, a training is slower by what
runs beside it, whatever that is. Usage:
    bench_recorder.py [--models alexnetmini,resnet,transformer] [--rounds N] [--steps N]
        [--variants zstd,lz4,...] [--dir DIR] [--device cuda] [--threads N]
"""
import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))

BUILD = pathlib.Path(__file__).resolve().parents[2] / "build/release"
# Packages too old for the environment that the others live in; see tools/dev/install-smdebug.sh.
SMDEBUG = pathlib.Path(__file__).resolve().parents[2] / "build/smdebug"
PARAMETERS = "weights,biases,weight_updates,bias_updates,weight_gradients,bias_gradients,network_output,input_labels,loss"
WEIGHTS = "weights,biases,weight_updates,bias_updates"
# Temporal coding, in runs as long as they can be.
TIME = {"codec": "zstd,temporal", "flush": "60"}
OURS = {"paused": {}, "zstd": {"codec": "zstd"}, "zstd passive": {"codec": "zstd"}, "lz4": {"codec": "lz4"}, "none": {"codec": "none"}, "auto": {"codec": "auto"},
        **{f"{codec} slow": {"codec": codec} for codec in ("zstd", "none", "auto")},
        "parameters": {"kinds": PARAMETERS}, "parameters time": {"kinds": PARAMETERS, **TIME},
        "weights": {"kinds": WEIGHTS}, "weights time": {"kinds": WEIGHTS, **TIME}, "every tenth step": {"steps": slice(0, None, 10)},
        "fingerprints": {"keep": "fingerprints"}, "hashes": {"keep": "hashes"}, "proof": {"keep": "proof"},
        "proof tenth": {"keep": "proof", "proof_every": 10}, "flight": {"flight": 3, "buffer": "768M"}}
OTHERS = {"torch.save": "torch", "h5py": "h5py", "h5py gzip": "h5py", "h5py bitshuffle": "hdf5plugin", "tensorboard": "tensorboard",
          "smdebug": "smdebug"}
# The environment of a variant beside that of all others. The training's threads sleep while they wait: what the
# recorder's do then, see docs/performance.md.
PASSIVE = {"OMP_WAIT_POLICY": "passive"}
# A disk that takes no more than these megabytes a second.
SLOW_DISK = {"LD_PRELOAD": str(BUILD / "tests/tools/slow_disk.so"), "NAUHA_SLOW_DISK": "300"}
ENVIRONMENTS = {"bare passive": PASSIVE, "zstd passive": PASSIVE, **{f"{codec} slow": SLOW_DISK for codec in ("zstd", "none", "auto")}}
# Whether glibc returns a step's memory to the system, and takes it back in the next, depends on what happens to lie at
# the heap's end: up to 4 ms a step of AlexNetMini, another in every process. Here it keeps it, for all variants.
COMMON = {"PYTHONWARNINGS": "ignore", "MALLOC_TRIM_THRESHOLD_": str(2 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
STEPS = {"alexnetmini": 300, "resnet": 16, "transformer": 8}
# So much slower that a seventh of the steps tells as much.
SLOW = ("h5py gzip", "h5py bitshuffle", "tensorboard", "smdebug")


# ---- nets ----

def alexnetmini():
    """As `nauha train --model alexnetmini` has it."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(True), nn.Conv2d(4, 8, 3), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Dropout(0.25), nn.Linear(8 * 144, 16), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(16, 10))
    return net, torch.randn(128, 1, 28, 28)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = (nn.Conv2d(i, outputs, 3, s, 1, bias=False) for i, s in ((inputs, stride), (outputs, 1)))
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.relu = nn.ReLU()
        self.short = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        h = self.relu(self.norms[0](self.first(x)))
        return self.relu(self.norms[1](self.second(h)) + self.short(x))


def resnet(width=32):
    layers, channels = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()], width
    for stage in range(4):
        for block in range(2):
            outputs = width << stage
            layers.append(Block(channels, outputs, 2 if stage and not block else 1))
            channels = outputs
    # So many samples that a step publishes some 115 MB.
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)), torch.randn(10, 3, 32, 32)


class Last(nn.Module):
    def forward(self, x):
        return x[:, -1]


def transformer():
    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), Last(), nn.Linear(256, 10)), \
        torch.randn(16, 64, 256)


NETS = {"alexnetmini": alexnetmini, "resnet": resnet, "transformer": transformer}


# ---- how others record: hooks that clone, and a file a step ----

class Collected:
    """Every message of a step, in a dict."""

    def __init__(self, net, write):
        self.net, self.write, self.step, self.tensors = net, write, 0, {}
        for name, module in net.named_modules():
            module.register_forward_hook(lambda m, i, output, name=name: self.ran(name, output))
        for name, parameter in net.named_parameters():
            parameter.register_hook(lambda g, name=name: self.keep(f"gradients/{name}", g))

    def keep(self, name, tensor):
        self.tensors[name] = tensor.detach().to("cpu", copy=True)

    def ran(self, name, output):
        output = output[0] if isinstance(output, tuple) else output
        self.keep(f"activations/{name or 'root'}", output)
        if output.grad_fn is not None:
            output.grad_fn.register_prehook(lambda g, n=output.output_nr: self.keep(f"layer_gradients/{name or 'root'}", g[n]))

    def before(self):
        for name, parameter in self.net.named_parameters():
            self.keep(f"weights/{name}", parameter)

    def after(self):
        for name, parameter in self.net.named_parameters():
            self.keep(f"updates/{name}", parameter.detach().cpu() - self.tensors[f"weights/{name}"])
        self.write(self.step, self.tensors)
        self.step += 1
        self.tensors = {}


def writer_of(kind, folder):
    """(write(step, tensors), close())"""
    if kind == "torch.save":
        return lambda step, tensors: torch.save(tensors, folder / f"{step}.pt"), lambda: None
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter
        events = SummaryWriter(folder)

        def histograms(step, tensors):
            for name, tensor in tensors.items():
                events.add_histogram(name, tensor, step)

        return histograms, events.close
    import h5py
    file = h5py.File(folder / "other.h5", "w")
    options = {}
    if kind == "h5py gzip":
        options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    elif kind == "h5py bitshuffle":
        import hdf5plugin
        options = dict(hdf5plugin.Bitshuffle(cname="lz4"))

    def write(step, tensors):
        for name, tensor in tensors.items():
            file.create_dataset(f"{step}/{name}", data=tensor.numpy(), **(options if tensor.dim() else {}))

    return write, file.close


def debug(net, loss_function, folder):
    """Amazon's hook on the net, which saves every tensor of every step; returns what closes it."""
    os.environ["SMDEBUG_LOG_LEVEL"] = "off"  # it logs to standard output
    sys.path.insert(0, str(SMDEBUG))
    import smdebug.pytorch
    hook = smdebug.pytorch.Hook(out_dir=str(folder / "smdebug"), save_all=True,
                                save_config=smdebug.pytorch.SaveConfig(save_interval=1))
    hook.register_module(net)
    hook.register_loss(loss_function)
    return hook.close


# ---- one variant, in a process of its own ----

COPY = "a, b = bytearray(64 << 20), bytearray(64 << 20)\nwhile True: a[:] = b"


@contextlib.contextmanager
def company(variant):
    """What runs beside a variant."""
    if variant != "bare busy":
        yield
        return
    with subprocess.Popen([sys.executable, "-c", COPY]) as process:
        try:
            yield
        finally:
            process.kill()


def recorder_seconds():
    """CPU time of the recorder's threads so far."""
    nanoseconds = 0
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended; a kernel that does not tell
            if (task / "comm").read_text().startswith("nauha-"):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds * 1e-9


def put_on_disk(folder):
    """Waits until what was written is not in the page cache alone."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fdatasync(file.fileno())


def run(model, variant, steps, folder, device):
    torch.manual_seed(0)
    net, x = NETS[model]()
    y = torch.randint(10, (len(x),)).to(device)
    net, x = net.to(device), x.to(device)
    ended = torch.cuda.synchronize if device != "cpu" else lambda: None
    optimizer, loss_function = torch.optim.Adam(net.parameters()), nn.CrossEntropyLoss()
    exporter = collected = None
    close = lambda: None  # noqa: E731
    if variant in OURS:
        import nauha
        exporter = nauha.Exporter(folder / "run.h5", **OURS[variant])
        exporter.set_model(net)
        exporter.add_modules(net)
        exporter.set_loss(loss_function)
        exporter.pause(variant == "paused")
    elif variant == "smdebug":
        close = debug(net, loss_function, folder)
    elif not variant.startswith("bare"):
        write, close = writer_of(variant, folder)
        collected = Collected(net, write)
    times = []
    for step in range(steps + 2):
        if step == 2:  # warm by now
            used, began, thread = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), time.thread_time()
        started = time.perf_counter()
        if collected:
            collected.before()
        optimizer.zero_grad()
        loss_function(net(x), y).backward()
        optimizer.step()
        if collected:
            collected.after()
        ended()
        times.append(time.perf_counter() - started)
    thread = (time.thread_time() - thread) / steps
    stats, recorder = exporter.stats() if exporter else {}, 0
    if exporter:
        exporter.flush()
        recorder = recorder_seconds()
        exporter.close()
    close()
    now, closed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    put_on_disk(folder)
    return {"step": (closed - began) / steps, "on disk": (time.perf_counter() - began) / steps,
            "median": statistics.median(times[2:]), "thread": thread,
            "cpu": (now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime) / steps,
            "recorder": recorder / (steps + 2), "memory": now.ru_maxrss / 1024, "messages": stats.get("messages", 0) / (steps + 2),
            "published": stats.get("bytes_published", 0) / (steps + 2),
            "stored": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / (steps + 2)}


def measure(model, variant, steps, parent, device, threads):
    environment = {**os.environ, **COMMON, **ENVIRONMENTS.get(variant, {})}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    steps = steps // 7 or 1 if variant in SLOW else steps
    with tempfile.TemporaryDirectory(dir=parent) as folder, company(variant):
        done = subprocess.run([sys.executable, __file__, "--one", model, variant, str(steps), folder, device],
                              stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout)


def installed(package):
    if package == "smdebug":
        return SMDEBUG.is_dir()
    return importlib.util.find_spec(package) is not None


def table(model, steps, rounds, parent, chosen, device, threads):
    variants = ["bare", "bare passive", "bare busy", *OURS, *(name for name, package in OTHERS.items() if installed(package))]
    variants = [name for name in variants if not name.endswith("slow") or pathlib.Path(SLOW_DISK["LD_PRELOAD"]).exists()]
    variants = [name for name in variants if not chosen or name in chosen.split(",") or name in ("bare", "none")]
    results = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            results[variant].append(measure(model, variant, steps, parent, device, threads))
    median = {v: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for v, rows in results.items()}
    bare, all_of_it = median["bare"], median["none"]
    print(f"{model}: {bare['step'] * 1e3:.1f} ms a step bare, {all_of_it['published'] / 1e6:.1f} MB and "
          f"{all_of_it['messages']:.0f} messages a step, closing included")
    print(f"  {'':<16} {'by bare':>8} {'on disk':>8} {'CPU by bare':>12} {'thread us/message':>18} "
          f"{'thread ms/MB':>13} {'CPU s/GB':>9} {'threads':>8} {'stored':>7} {'peak MB':>8}")
    for variant in variants:
        row = median[variant]
        less = "keep" in OURS.get(variant, {})  # of what the training published, not of what was kept
        messages, published = ((not less and row[key]) or all_of_it[key] for key in ("messages", "published"))
        thread = row["thread"] - bare["thread"]
        cells = ["-"] * 5 if variant.startswith(("bare", "paused")) else [
            f"{thread / messages * 1e6:.1f}", f"{thread / published * 1e9:.2f}",
            f"{(row['cpu'] - bare['cpu']) / published * 1e9:.2f}",
            f"{row['recorder'] / published * 1e9:.2f}" if row["recorder"] else "-", f"{row['stored'] / published:.2f}"]
        print(f"  {variant:<16} {row['step'] / bare['step']:8.2f} {row['on disk'] / bare['step']:8.2f} "
              f"{row['cpu'] / bare['cpu']:12.2f} {cells[0]:>18} "
              f"{cells[1]:>13} {cells[2]:>9} {cells[3]:>8} {cells[4]:>7} {row['memory']:8.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default=",".join(NETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="0: as many as suit the net")
    parser.add_argument("--variants", default="", help="all by default")
    parser.add_argument("--dir", help="where the files are written; the system's temporary folder by default")
    parser.add_argument("--device", default="cpu", help="cuda: the training runs on a GPU")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch's; by default one a processor")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        model, variant, steps, folder, device = options.one
        print(json.dumps(run(model, variant, int(steps), pathlib.Path(folder), device)))
        return
    print(f"torch {torch.__version__}, {options.threads or torch.get_num_threads()} threads; medians of {options.rounds} rounds")
    for model in options.models.split(","):
        table(model, options.steps or STEPS[model], options.rounds, options.dir, options.variants, options.device,
              options.threads)


if __name__ == "__main__":
    main()
