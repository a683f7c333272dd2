# SPDX-License-Identifier: MIT
"""The same classifier, trained by three trainers, recorded by the callback of each.

Usage: callbacks.py hf|lightning|accelerate [TRACE [TIMES]]: without TRACE, there is no callback."""
import logging
import sys
import tempfile
import warnings

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
TRACE = sys.argv[2] if len(sys.argv) > 2 else None
KINDS = ["weights", "weight_updates", "activations", "loss", "input_labels", "network_output", "batch_finished", "epoch_finished"]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def make_data():
    torch.manual_seed(1)
    x = torch.randn(64, 4)
    return TensorDataset(x, x.argmax(1) % 3)


def hf(folder):
    from transformers import Trainer, TrainingArguments
    callbacks = []
    if TRACE:
        from nauha.trainers import HuggingFaceCallback
        callbacks = [HuggingFaceCallback(TRACE, kinds=KINDS)]
    data = [{"x": x, "labels": y} for x, y in make_data()]
    trainer = Trainer(Classifier(), TrainingArguments(
        folder, run_name="classifier", num_train_epochs=2, per_device_train_batch_size=8, gradient_accumulation_steps=2,
        learning_rate=1e-3, eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True),
        train_dataset=data[:48], eval_dataset=data[48:], callbacks=callbacks)
    trainer.train()


def lightning(folder):
    from lightning import pytorch

    class Module(pytorch.LightningModule):
        def __init__(self, rate):
            super().__init__()
            self.save_hyperparameters()
            self.model = Classifier()

        def training_step(self, batch, index):
            return self.model(*batch)["loss"]

        def validation_step(self, batch, index):
            self.model(*batch)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.hparams.rate)

    callbacks = []
    if TRACE:
        from nauha.trainers import LightningCallback
        callbacks = [LightningCallback(TRACE, kinds=KINDS)]
    data = make_data()
    trainer = pytorch.Trainer(max_epochs=2, accumulate_grad_batches=2, logger=pytorch.loggers.CSVLogger(folder, "classifier"),
                              accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
                              enable_model_summary=False, callbacks=callbacks)
    trainer.fit(Module(0.001), DataLoader(data, batch_size=8), DataLoader(data, batch_size=32))


def accelerate(folder):
    from accelerate import Accelerator
    trackers = []
    if TRACE:
        from nauha.trainers import AccelerateTracker
        trackers = [AccelerateTracker(TRACE, run_name="classifier", kinds=KINDS)]
    accelerator = Accelerator(cpu=True, log_with=trackers)
    accelerator.init_trackers("project", config={"learning_rate": 0.001})
    model = Classifier()
    model, optimizer, loader = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=0.001),
                                                   DataLoader(make_data(), batch_size=8))
    for epoch in range(2):
        for batch in loader:
            loss = model(*batch)["loss"]
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"loss": loss.item()}, step=epoch)
    accelerator.end_training()


for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1):
    with tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(2)
        globals()[sys.argv[1]](scratch)
