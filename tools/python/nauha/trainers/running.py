# SPDX-License-Identifier: MIT
"""What a trainer says of the training that it runs: where it goes on from a checkpoint, and its hyperparameters.

A trainer is found among the objects of the process. Nothing of it is changed, and no trainer is imported here: a program that
has one has imported it.

Threads: any; called when a model is about to run for the first time.
"""
import dataclasses
import gc
import json
import math
import sys

from nauha import registry

EVALUATION = "testing"  # the tag that the rules and metrics for evaluations look at
LONGEST_TEXT = 200  # characters of a hyperparameter that is no number
MOST = 30000  # characters of all together: HDF5 has no attributes beyond 64 KiB

# Arguments of transformers that are recorded even where they have their default values.
ALWAYS = ("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "optim",
          "lr_scheduler_type", "weight_decay", "seed")


@dataclasses.dataclass
class Position:
    """Numbers of the first step: from the beginning of the training, and from the beginning of its epoch."""

    step: int
    epoch: int
    batch: int

    def options(self):
        """As options of a recording."""
        return {"first-step": self.step, "first-epoch": self.epoch, "first-batch": self.batch}


@dataclasses.dataclass
class Training:
    """facts: texts by name. position: None if the trainer does not know it. evaluation: the tag for the evaluations that the
    trainer runs, None if it runs none."""

    facts: dict
    position: Position = None
    evaluation: str = None


def of(model, tell):
    """The Training in which this model runs; without facts if no trainer runs it. A trainer that cannot be understood, such as one
    of a later version, is told, and counts as none."""
    for find in (_transformers, _lightning, _accelerate):
        try:
            training = find(model)
        except Exception as error:
            tell(f"what the trainer says is not in the trace: {type(error).__name__}: {str(error).split(chr(10))[0]}")
            return Training({})
        if training is not None:
            return training
    return Training({})


# ---- transformers ----

def _transformers(model):
    for trainer in _instances("transformers.trainer", "Trainer"):
        if trainer.is_in_train and _share(trainer.model, model):
            return Training(_facts(trainer, "transformers", trainer.args.run_name, _arguments(trainer.args)),
                            _position_of_transformers(trainer), EVALUATION)
    return None


def _position_of_transformers(trainer):
    step, args = trainer.state.global_step, trainer.args
    try:
        steps = math.ceil(len(trainer.callback_handler.train_dataloader) / args.gradient_accumulation_steps)
    except TypeError:  # of unknown length: there is one epoch
        steps = trainer.state.max_steps
    epoch, batch = divmod(step, max(steps, 1))
    return Position(step, epoch, 0 if args.ignore_data_skip else batch)


def _arguments(args):
    """The arguments that were given another value than their default. Tokens are secrets."""
    defaults = {field.name: _default(field) for field in dataclasses.fields(args)}

    def is_given(name, value):
        return value != defaults.get(name) and (value or defaults.get(name))

    return {name: value for name, value in args.to_dict().items()
            if not name.endswith("_token") and (name in ALWAYS or is_given(name, value))}


def _default(field):
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return getattr(value, "value", value)


# ---- Lightning ----

def _lightning(model):
    for package in ("lightning.pytorch", "pytorch_lightning"):
        for trainer in _instances(f"{package}.trainer.trainer", "Trainer"):
            if trainer.training and _share(trainer.lightning_module, model):
                return Training(_facts(trainer, package.split(".")[0], _run_of_logger(trainer.logger), _hparams(trainer)),
                                _position_of_lightning(trainer), EVALUATION)
    return None


def _position_of_lightning(trainer):
    """Lightning counts the steps of all optimizers."""
    step = trainer.global_step // max(len(trainer.optimizers), 1)
    done = trainer.fit_loop.epoch_loop.batch_idx  # the batch that is about to run is counted, and they are counted from 0
    return Position(step, trainer.current_epoch, max(done, 0) // trainer.accumulate_grad_batches)


def _hparams(trainer):
    values = {name: getattr(trainer, name) for name in ("max_epochs", "max_steps", "accumulate_grad_batches",
                                                        "gradient_clip_val", "precision")}
    values["learning_rate"] = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    for part in (trainer.datamodule, trainer.lightning_module):
        values.update(getattr(part, "hparams", None) or {})
    return values


def _run_of_logger(logger):
    """The name of a run: "lightning_logs/version_3"."""
    parts = [str(part) for part in (getattr(logger, "name", None), getattr(logger, "version", None)) if part is not None]
    if len(parts) == 2 and parts[1].isdigit():
        parts[1] = f"version_{parts[1]}"
    return "/".join(parts)


# ---- accelerate ----

def _accelerate(model):
    for accelerator in _instances("accelerate.accelerator", "Accelerator"):
        if any(_share(prepared, model) for prepared in accelerator._models):
            run = next((tracker for tracker in accelerator.trackers if hasattr(tracker, "nauha_config")), None)
            return Training(_facts(accelerator, "accelerate", run and run.run_name,
                                   {**_configuration(accelerator), **(run.nauha_config if run else {})}),
                            _position_of_accelerate(accelerator))
    return None


def _configuration(accelerator):
    return {"gradient_accumulation_steps": accelerator.gradient_accumulation_steps, "mixed_precision": accelerator.mixed_precision,
            "num_processes": accelerator.num_processes,
            "learning_rate": [group["lr"] for optimizer in accelerator._optimizers for group in optimizer.param_groups]}


def _position_of_accelerate(accelerator):
    """accelerate counts no steps, but the optimizers' state does; and its loader knows how many batches it skips."""
    step = max([int(state["step"]) for optimizer in accelerator._optimizers for state in optimizer.state.values()
                if "step" in state], default=0)
    loader = accelerator.gradient_state.active_dataloader
    if step == 0 or loader is None:
        return None
    skipped = getattr(loader.batch_sampler, "skip_batches", 0) or getattr(loader, "skip_batches", 0)
    try:
        batches = len(loader) + skipped
    except TypeError:  # of unknown length: there is one epoch
        return Position(step, 0, step)
    accumulated = accelerator.gradient_accumulation_steps
    return Position(step, (step - skipped // accumulated) // math.ceil(batches / accumulated), skipped // accumulated)


# ---- what they have in common ----

def _instances(module, name):
    """The objects of a class that the program has imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)] if kind is not None else []


def _share(one, other):
    """Whether one of two models contains the other, wrapped or not."""
    one, other = registry.unwrapped(one), registry.unwrapped(other)
    return any(part is other for part in one.modules()) or any(part is one for part in other.modules())


def _facts(trainer, package, run_name, hyperparameters):
    version = getattr(sys.modules.get(package), "__version__", "")
    facts = {"trainer": f"{type(trainer).__name__} of {package} {version}".strip(), "hyperparameters": _json(hyperparameters)}
    return {**facts, "run_name": str(run_name)} if run_name else facts


def _json(values):
    """Hyperparameters as JSON. What JSON cannot say is a text, and the longest are left out if they are too long together."""
    texts = {str(name): json.dumps(_plain(value)) for name, value in values.items()}
    while sum(map(len, texts.values())) > MOST:
        texts.pop(max(texts, key=lambda name: len(texts[name])))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}"


def _plain(value):
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)[:LONGEST_TEXT]
