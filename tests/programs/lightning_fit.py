# SPDX-License-Identifier: MIT
"""A classifier trained by Lightning's Trainer, with accumulation and validation, or with manual optimization."""
import logging
import sys
import warnings

import lightning
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
MANUAL = "manual" in sys.argv[1:]


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        self.automatic_optimization = not MANUAL

    def training_step(self, batch, index):
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        print("loss", index, loss.item())
        if MANUAL:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch, index):
        print("validation", index, functional.cross_entropy(self.net(batch[0]), batch[1]).item())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


lightning.seed_everything(1, verbose=False)
x = torch.randn(64, 4)
data = TensorDataset(x, x.argmax(1) % 3)
trainer = lightning.Trainer(max_epochs=2, accumulate_grad_batches=1 if MANUAL else 2, logger=False, accelerator="cpu",
                            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Classifier(), DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=32))
print("steps", trainer.global_step)
