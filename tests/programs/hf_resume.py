# SPDX-License-Identifier: MIT
"""A small Llama with LoRA adapters, trained by the Trainer of transformers: gradient accumulation, gradient checkpointing, bf16
and an evaluation after each epoch. The job ends after some steps, as a job does whose time is up, and goes on from its last
checkpoint when it is started again.

Usage: hf_resume.py FOLDER [STEPS [SAVED]]: checkpoints go to FOLDER, after every SAVED-th step, and the job
ends after STEPS steps. Prints what the Trainer logs."""
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

FOLDER = sys.argv[1]
STEPS, SAVED = (*map(int, sys.argv[2:4]), *(None, 3)[len(sys.argv) - 2:])


class TimeLimit(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == STEPS


set_seed(1)
model = get_peft_model(
    LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                 num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=16)),
    LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
tokens = torch.randint(32, (30, 12))
data = [{"input_ids": row, "labels": row} for row in tokens]

trainer = Trainer(model, TrainingArguments(
    FOLDER, run_name="adapters", num_train_epochs=3, per_device_train_batch_size=3, per_device_eval_batch_size=3,
    gradient_accumulation_steps=2, learning_rate=1e-2, logging_steps=1, eval_strategy="epoch", save_steps=SAVED,
    report_to=[], use_cpu=True, disable_tqdm=True, bf16=True, gradient_checkpointing=True),
    train_dataset=data[:24], eval_dataset=data[24:], callbacks=[TimeLimit()])
checkpoint = get_last_checkpoint(FOLDER) if os.path.isdir(FOLDER) else None
trainer.train(resume_from_checkpoint=checkpoint)
before = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0  # the history begins with what the checkpoint has
for entry in trainer.state.log_history:
    for name in ("loss", "eval_loss"):
        if name in entry and entry["step"] > before:
            print(name, entry["step"], entry["epoch"], entry[name])
print("steps", trainer.state.global_step)
