# SPDX-License-Identifier: MIT
"""Differences between the versions of PyTorch that this package supports, 1.13 to 2.13."""
import contextlib
import functools
import gc
import itertools
import sys
import threading
import types
import weakref

import torch

compiling = getattr(getattr(torch, "compiler", None), "is_compiling", None) or (lambda: False)
tracing = torch._C._is_tracing
_frames = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)  # None before torch 2.0

# Whether torch.compile traces the function that asks. Tracing, torch.compile takes it for a constant.
is_dynamo = getattr(getattr(torch, "compiler", None), "is_dynamo_compiling", compiling)

# None, except inside of what torch.compile made, where it compiles every function that is called.
compiler = getattr(_frames, "get_eval_frame_callback", lambda: None)


# A scope without the transforms of torch.func; before torch 2.0, there were none.
transforms_off = getattr(torch._C, "_DisableFuncTorch", None)
transforms_off = transforms_off if hasattr(transforms_off, "__enter__") else contextlib.nullcontext


def has_graph(tensor):
    """Whether a backward pass may reach the tensor. Within torch.func.grad, requires_grad is that of outside."""
    return tensor.requires_grad or tensor.grad_fn is not None


def is_traced():
    """Whether torch.compile, torch.export or torch.jit.trace is tracing the code that runs. A hook that returns at
    once in that case adds nothing to the graph."""
    return compiling() or tracing()


def skip_in_dynamo(function):
    """Has torch.compile run this function as it is, and not compile it."""
    if hasattr(_frames, "skip_code"):  # before torch 2.7
        _frames.skip_code(function.__code__)
    elif hasattr(_frames, "_FrameExecStrategy"):
        skip, default = _frames._FrameAction.SKIP, _frames._FrameAction.DEFAULT
        _frames.set_code_exec_strategy(function.__code__, _frames._FrameExecStrategy(skip, default))


if hasattr(torch._C, "_current_graph_task_id"):
    _graph_task = torch._C._current_graph_task_id

    def in_backward():
        """Whether this thread is inside a backward pass: a forward pass in it is a recomputation (checkpointing)."""
        return _graph_task() != -1
else:
    _passes = threading.local()

    def in_backward():
        """Whether this thread is inside a backward pass: a forward pass in it is a recomputation (checkpointing)."""
        return getattr(_passes, "depth", 0) > 0

    def _graph_task():
        return getattr(_passes, "number", -1) if in_backward() else -1

    def _counted(function):
        def run(*arguments, **keywords):
            if not in_backward():
                _passes.number = getattr(_passes, "number", 0) + 1
            _passes.depth = getattr(_passes, "depth", 0) + 1
            try:
                return function(*arguments, **keywords)
            finally:
                _passes.depth -= 1

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        return run

    torch.autograd.backward = _counted(torch.autograd.backward)
    torch.autograd.grad = _counted(torch.autograd.grad)


# Whether hooks on tensors run before those on the nodes of the graph that made them.
TENSOR_HOOKS_FIRST = hasattr(torch._C, "_current_graph_task_id")  # since torch 2.0


def backward_pass():
    """The number of the backward pass that this thread is inside; before torch 2.0, of the outermost one."""
    return _graph_task()


def after_backward(function):
    """Calls function() when the backward pass that this thread is inside has ended, after what was asked for in the same way
    before, and by what is in its list when the pass ends."""
    queue = torch.autograd.Variable._execution_engine.queue_callback
    queue(lambda: queue(function))


class _Unsaved(int):
    """The key of a tensor hook of ours. PyTorch, which saves no tensor hooks, warns of each that it does not save,
    unless it finds this mark: on the hook, or, in torch 1.x, on the key."""

    __torch_unserializable__ = True


def add_tensor_hook(tensor, hook):
    """Registers hook(gradient), a function or an object of ours. Returns its handle."""
    handle = tensor.register_hook(torch.utils.hooks.unserializable_hook(hook))
    hooks = handle.hooks_dict_ref()
    hooks[_Unsaved(handle.id)] = hooks.pop(handle.id)
    return handle


def is_lazy(parameter):
    """Whether the parameter has no value yet, because its module is lazy and has not run."""
    return torch.nn.parameter.is_lazy(parameter)


_after_steps = weakref.WeakKeyDictionary()  # optimizer -> functions; for torch 1.x


def after_optimizer_step(optimizer, function):
    """Calls function(optimizer) after each step of the optimizer. Returns a function that ends this."""
    if hasattr(optimizer, "register_step_post_hook"):
        return optimizer.register_step_post_hook(lambda stepped, args, kwargs: function(stepped)).remove
    if "step" in vars(optimizer):  # a learning-rate scheduler has wrapped step() of this optimizer
        own = optimizer.step
        optimizer.step = types.MethodType(_watched_step(functools.wraps(own)(lambda self, *args, **kwargs: own(*args, **kwargs))),
                                          optimizer)
    elif not hasattr(type(optimizer).step, "nauha_watches"):
        type(optimizer).step = _watched_step(type(optimizer).step)
    functions = _after_steps.setdefault(optimizer, [])
    functions.append(function)
    return lambda: functions.remove(function)


def _watched_step(original):
    @functools.wraps(original)
    def step(self, *arguments, **keywords):
        result = original(self, *arguments, **keywords)
        for function in _after_steps.get(self, ()):
            function(self)
        return result

    step.nauha_watches = True
    return step


def made_optimizer(optimizer):
    """Call it when an optimizer is made, so that after_optimizer_step() includes a step that is running when it is called:
    one with a closure, in torch 1.x."""
    if not hasattr(optimizer, "register_step_post_hook"):
        after_optimizer_step(optimizer, lambda stepped: None)


def in_optimizer_step():
    """Whether an optimizer's method has called us, as L-BFGS calls a closure."""
    frame = sys._getframe(1)
    while frame is not None:
        if issubclass(type(frame.f_locals.get("self")), torch.optim.Optimizer):
            return True
        frame = frame.f_back
    return False


def global_offset(tensor):
    """Where in the whole the part of a DTensor begins that this process holds; None if this process holds none."""
    module = sys.modules.get("torch.distributed.tensor._utils") or sys.modules["torch.distributed._tensor._utils"]
    offset = module.compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)[1]
    return tuple(offset) if len(offset) == tensor.dim() else None


def infers_shapes():
    """Whether a stage of torch.distributed.pipelining has called us only to find out what shapes its module gives."""
    stage = sys.modules.get("torch.distributed.pipelining.stage")
    frame = None if stage is None else sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename == stage.__file__ and code.co_name in ("_prepare_forward_infra", "_prepare_backward_infra"):
            return True
        frame = frame.f_back
    return False


def optimizers():
    """The optimizers of the process, without wrappers that only look like one."""
    own = "param_groups" if _global_step_hook is None else "_optimizer_step_post_hooks"
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.optim.Optimizer) and own in vars(thing)]


_global_step_hook = getattr(getattr(torch.optim, "optimizer", None), "register_optimizer_step_post_hook", None)


def after_any_optimizer_step(function):
    """Calls function(optimizer) whenever a step of any optimizer is done. Returns what undoes it. Never calls it in torch
    1.x."""
    if _global_step_hook is None:
        return lambda: None
    return _global_step_hook(lambda stepped, args, kwargs: function(stepped)).remove


class _Scalers:
    """The gradient scalers of the process, while somebody asks for their steps."""

    def __init__(self):
        self._classes = {module.GradScaler for module in (torch.cuda.amp, torch.amp) if hasattr(module, "GradScaler")}
        self._originals = {}
        self._asking = []

    def ask(self, begins, ended):
        if not self._asking:
            for kind in self._classes:
                if "step" in vars(kind):
                    self._originals[kind] = kind.step
                    kind.step = self._watched(kind.step)
        asker = begins, ended
        self._asking.append(asker)
        return functools.partial(self._forget, asker)

    def _forget(self, asker):
        self._asking.remove(asker)
        if not self._asking:
            for kind, original in self._originals.items():
                if getattr(kind.step, "__wrapped__", None) is original:  # nobody has wrapped ours
                    kind.step = original
            self._originals.clear()

    def _watched(self, original):
        @functools.wraps(original)
        def step(scaler, optimizer, *arguments, **keywords):
            asking = list(self._asking)
            for begins, _ in asking:
                begins(optimizer)
            result = original(scaler, optimizer, *arguments, **keywords)
            for _, ended in asking:
                ended(optimizer)
            return result

        return step


_scalers = _Scalers()


def around_scaler_step(begins, ended):
    """Calls begins(optimizer) and ended(optimizer) around each GradScaler.step(optimizer), which leaves the optimizer's own
    step out if gradients are not finite. Returns what undoes it."""
    return _scalers.ask(begins, ended)


def _autocasts():
    """(whether autocast is on, the function that sets it) for each kind of device."""
    try:
        return [(torch.is_autocast_enabled(device), functools.partial(torch.set_autocast_enabled, device))
                for device in ("cpu", "cuda", "xpu")]
    except TypeError:  # before torch 2.4
        return [(torch.is_autocast_cpu_enabled(), torch.set_autocast_cpu_enabled),
                (torch.is_autocast_enabled(), torch.set_autocast_enabled)]


def autocasts_on():
    """{device: name of the type} of the kinds of devices for which autocast is on."""
    if hasattr(torch, "get_autocast_dtype"):
        on = {device: torch.get_autocast_dtype(device) for device in ("cpu", "cuda", "xpu")
              if torch.is_autocast_enabled(device)}
    else:  # before torch 2.4
        on = {"cpu": torch.get_autocast_cpu_dtype()} if torch.is_autocast_cpu_enabled() else {}
        on.update({"cuda": torch.get_autocast_gpu_dtype()} if torch.is_autocast_enabled() else {})
    return {device: str(dtype).replace("torch.", "") for device, dtype in on.items()}


_scopes = itertools.count(1)
_scope = 0


class AutocastWatch:
    """Until it is removed, autocast_scope() counts. The function of torch that is wrapped for that is put back with the last of
    these, unless somebody has wrapped it in turn."""

    _all = set()
    _original = _wrapper = None

    def __init__(self):
        kind = AutocastWatch
        kind._all.add(self)
        if torch.clear_autocast_cache is kind._wrapper:
            return
        kind._original = original = torch.clear_autocast_cache

        @functools.wraps(original)
        def clear_autocast_cache():
            global _scope
            _scope = next(_scopes)
            return original()

        kind._wrapper = torch.clear_autocast_cache = clear_autocast_cache

    def remove(self):
        kind = AutocastWatch
        kind._all.discard(self)
        if not kind._all and torch.clear_autocast_cache is kind._wrapper:
            torch.clear_autocast_cache, kind._wrapper = kind._original, None


def autocast_scope():
    """A number that changes when the outermost scope of autocast ends: until then, all passes share the casts of the weights, and
    add their gradients up in the type of the casts."""
    return _scope


@contextlib.contextmanager
def autocast_cache_kept():
    """A scope in which the casts of weights are kept when autocast ends."""
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()


@contextlib.contextmanager
def autocast_as(on):
    """A scope with autocast on for these kinds of devices: as autocasts_on() gives them."""
    with contextlib.ExitStack() as stack:
        for device in ("cpu", "cuda", "xpu") if on else ():
            if device in on:
                stack.enter_context(torch.autocast(device, getattr(torch, on[device])))
        yield


@contextlib.contextmanager
def autocast_off():
    """A scope without autocast and without its cache: otherwise the next forward pass of the training would take casts of
    the weights from the cache that were made without gradients."""
    before = [*_autocasts(), (torch.is_autocast_cache_enabled(), torch.set_autocast_cache_enabled)]
    try:
        for _, switch in before:
            switch(False)
        yield
    finally:
        for on, switch in before:
            switch(on)


def compiled_off():
    """A scope in which compiled models run uncompiled: otherwise a batch of another size would make torch.compile compile
    them again, and the training would go on with other kernels."""
    set_stance = getattr(getattr(torch, "compiler", None), "set_stance", None)
    return set_stance("force_eager") if set_stance else contextlib.nullcontext()
