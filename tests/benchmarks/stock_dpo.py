"""One stock TRL process for one condition: what a loop of training scripts runs. Called by grid.py and gpu.py."""

from __future__ import annotations

import json
import sys
import time

STARTED = time.perf_counter()


def main() -> None:
    """Read settings as JSON from the first argument, train, save the adapter, print seconds by phase as JSON."""
    import torch
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    job = json.loads(sys.argv[1])
    gpu = torch.cuda.is_available()
    if not gpu:
        torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(job["base"], dtype=job["dtype"])
    tokenizer = AutoTokenizer.from_pretrained(job["base"])
    loaded = time.perf_counter()
    arguments = trl.DPOConfig(
        output_dir=job["folder"], beta=job["beta"], learning_rate=job["learning_rate"], num_train_epochs=1,
        per_device_train_batch_size=job["at_once"], gradient_accumulation_steps=job["accumulation"],
        max_length=job["max_length"], lr_scheduler_type="cosine", weight_decay=0.0, seed=0, bf16=gpu, use_cpu=not gpu,
        gradient_checkpointing=gpu, report_to=[], save_strategy="no", disable_tqdm=True, logging_steps=1000,
        precompute_ref_log_probs=job.get("precompute", False),
    )  # fmt: skip
    trainer = trl.DPOTrainer(
        model=model, args=arguments, processing_class=tokenizer, train_dataset=Dataset.from_parquet(job["rows"]),
        peft_config=LoraConfig(
            r=job["rank"], lora_alpha=job["alpha"], lora_dropout=0.0, target_modules=job["target_modules"],
            task_type="CAUSAL_LM",
        ),
    )  # fmt: skip
    prepared = time.perf_counter()
    trainer.train()
    trainer.save_model(job["folder"])
    done = time.perf_counter()
    peak = torch.cuda.max_memory_allocated() if gpu else 0
    print(json.dumps({
        "load": loaded - STARTED, "prepare": prepared - loaded, "train": done - prepared,
        "steps": trainer.state.global_step, "peak_bytes": peak,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
