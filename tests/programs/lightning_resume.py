# SPDX-License-Identifier: MIT
"""A classifier trained by Lightning's Trainer, with accumulation and validation. The job ends after some steps and goes on
from its last checkpoint when it is started again.

Usage: lightning_resume.py FOLDER [STEPS [SAVED]]: checkpoints go to FOLDER, after every SAVED-th step, and the job
ends after STEPS steps."""
import logging
import pathlib
import sys
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)
FOLDER = pathlib.Path(sys.argv[1])
STEPS, SAVED = (*map(int, sys.argv[2:4]), *(-1, 3)[len(sys.argv) - 2:])


class Classifier(lightning.LightningModule):
    def __init__(self, width=16, rate=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))

    def training_step(self, batch, index):
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        print("loss", self.trainer.global_step, self.trainer.current_epoch, index, loss.item())
        return loss

    def validation_step(self, batch, index):
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        if not self.trainer.sanity_checking:
            print("validation", self.trainer.global_step, index, loss.item())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.rate)


lightning.seed_everything(1, verbose=False)
x = torch.randn(64, 4)
data = TensorDataset(x, x.argmax(1) % 3)
trainer = lightning.Trainer(max_epochs=3, max_steps=STEPS, accumulate_grad_batches=2, logger=False, accelerator="cpu",
                            enable_progress_bar=False, enable_model_summary=False,
                            callbacks=[ModelCheckpoint(FOLDER, every_n_train_steps=SAVED, save_last=True)])
last = FOLDER / "last.ckpt"
trainer.fit(Classifier(), DataLoader(data, batch_size=8), DataLoader(data, batch_size=32),
            ckpt_path=last if last.exists() else None)
print("steps", trainer.global_step)
