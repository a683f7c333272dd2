# SPDX-License-Identifier: MIT
"""A small Llama, trained by the Trainer of transformers as its guides show it: gradient accumulation, an evaluation after
each epoch, gradient checkpointing. Prints what the Trainer logs."""
import sys
import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

set_seed(1)
model = LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                     num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=16))
tokens = torch.randint(32, (30, 12))
data = [{"input_ids": row, "labels": row} for row in tokens]

with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(model, TrainingArguments(
        folder, num_train_epochs=2, per_device_train_batch_size=3, per_device_eval_batch_size=3,
        gradient_accumulation_steps=2, learning_rate=1e-3, logging_steps=1, eval_strategy="epoch", save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True, gradient_checkpointing="checkpoint" in sys.argv[1:],
        bf16="bf16" in sys.argv[1:]), train_dataset=data[:24], eval_dataset=data[24:])
    trainer.train()
for entry in trainer.state.log_history:
    for name in ("loss", "eval_loss"):
        if name in entry:
            print(name, entry["step"], entry["epoch"], entry[name])
print("steps", trainer.state.global_step)
