"""A DPO step and evaluation on a GPU, and four conditions beside stock TRL: speed, share of peak, peak memory.

    python tests/benchmarks/gpu.py                 # 1B; --sizes 1b 3b 8b for more
    python tests/benchmarks/gpu.py --dry-run       # tiny sizes on a CPU: shows that it runs, its figures mean nothing

Models have random weights and the shapes of Llama 3.2 1B, 3B and Llama 3.1 8B; the texts are random words. Model FLOPs
utilisation counts 4 operations a parameter and token (forward, and gradients through the frozen base), hardware
utilisation 6 (the recomputation of checkpointed activations too), of the peak that `tasks.architectures.cost` names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from configs.schema import Architecture, Lora, Pretraining, Recipe  # noqa: E402
from tasks.architectures.cost import PEAK  # noqa: E402
from tasks.architectures.load import BaseRef  # noqa: E402
from tasks.architectures.tiny import train_tokenizer  # noqa: E402
from tasks.generation.step import Prompts, answer_prompts, read_answers  # noqa: E402
from tasks.methods.step import Train, TrainingRun, train_adapter  # noqa: E402
from tasks.runtime.local.pool import Pool  # noqa: E402
from tasks.runtime.local.slot import QUIET  # noqa: E402
from tasks.runtime.store import FolderStore, StoredFile  # noqa: E402
from tests.benchmarks.grid import as_chat, expanded  # noqa: E402

SHAPES = {
    "1b": dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, vocab=128_256),
    "3b": dict(hidden_size=3072, intermediate_size=8192, num_hidden_layers=28, num_attention_heads=24, vocab=128_256),
    "8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, vocab=128_256),
    "dry": dict(hidden_size=64, intermediate_size=192, num_hidden_layers=2, num_attention_heads=8, vocab=2_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=[name for name in SHAPES if name != "dry"], default=["1b"])
    parser.add_argument("--length", type=int, default=512, help="tokens of a prompt with its response")
    parser.add_argument("--pairs", type=int, default=256, help="response pairs of a condition")
    parser.add_argument("--preferences", type=int, default=4, help="of a pair: rows that stock TRL sees")
    parser.add_argument("--conditions", type=int, default=4, help="trained end to end")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if options.dry_run:
        options.sizes, options.length, options.pairs, options.conditions = ["dry"], 48, 16, 2
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as place:
            measure(size, options, Path(place))


def measure(size: str, options: argparse.Namespace, place: Path) -> None:
    """Print one size's figures."""
    responses = some_texts(options)
    parameters = build(SHAPES[size], responses, place / "model")
    dtype = "float32" if options.dry_run else "bfloat16"
    architecture = Architecture(
        name=size, title=size, family="llama", parameters=parameters, path=str(place / "model"), dtype=dtype
    )
    base = BaseRef(architecture=architecture, key=size)
    recipe = Recipe(
        max_length=options.length, max_new_tokens=8 if options.dry_run else 256, lora=Lora(rank=16, alpha=32),
        dpo={"batch_size": min(32, options.pairs), "learning_rate": 2e-5},
    )  # fmt: skip
    tables = [some_pairs(responses, options, seed) for seed in range(options.conditions)]
    with closing(Pool(FolderStore(place / "ours"), place / "ours" / "slots", workers=1)) as pool:
        mine, runs = ours(base, recipe, tables, pool)
        answers = answer(base, recipe, responses, pool)
    theirs, peak = stock(base, recipe, tables, place)
    steps = -(-options.pairs // recipe.dpo.batch_size)
    tokens = 2 * options.length * steps * recipe.dpo.batch_size  # as long as they may be; the texts fill them
    rate = tokens / np.median([run.loop_seconds for run in runs[1:]])  # the first compiles and warms up
    shares = [share * parameters * rate / PEAK for share in (4, 6)]
    print(f"{size}: {parameters / 1e9:.2f} billion parameters, length {options.length}, {runs[0].at_once} of "
          f"{recipe.dpo.batch_size} pairs at once")  # fmt: skip
    print(f"  DPO step: {rate:,.0f} tokens/s, model FLOPs utilisation {shares[0]:.1%}, hardware {shares[1]:.1%}, "
          f"peak {max(run.peak_gpu_bytes for run in runs) / 2**30:.1f} GiB")  # fmt: skip
    print(f"  evaluation: {answers['rate']:,.0f} tokens/s, peak {answers['peak_gpu_bytes'] / 2**30:.1f} GiB")
    print(f"  {options.conditions} conditions end to end: ours {mine:.1f} s, stock TRL {theirs:.1f} s (peak "
          f"{peak / 2**30:.1f} GiB): {theirs / mine:.2f} times faster", flush=True)  # fmt: skip


def some_texts(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Two responses of random words to each prompt, so long that they fill the length."""
    rng = np.random.default_rng(0)
    words = ["".join(letters) for letters in product("abcdefghij", repeat=3)]  # a token each
    half = options.length // 2 - 2  # beside the marks of the chat template
    return [
        (prompt, " ".join(rng.choice(words, half)))
        for prompt in (" ".join(rng.choice(words, half)) for _ in range(options.pairs))
        for _ in range(2)
    ]


def build(shape: dict[str, int], texts: list[tuple[str, str]], folder: Path) -> int:
    """A Llama of random weights with a word tokenizer; its number of parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(texts, Pretraining(vocabulary=2000))
    sizes = {name: value for name, value in shape.items() if name != "vocab"}
    config = LlamaConfig(
        vocab_size=shape["vocab"], num_key_value_heads=8, tie_word_embeddings=True, max_position_embeddings=4096,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        **sizes,
    )  # fmt: skip
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def some_pairs(texts: list[tuple[str, str]], options: argparse.Namespace, seed: int) -> pd.DataFrame:
    """A condition: the same response pairs, with other preferences."""
    wins = np.random.default_rng(seed).integers(0, options.preferences + 1, len(texts) // 2)
    return pd.DataFrame({
        "prompt": [prompt for prompt, _ in texts[::2]], "text_a": [text for _, text in texts[::2]],
        "text_b": [text for _, text in texts[1::2]], "target": wins / options.preferences, "weight": 1.0,
        "n": options.preferences,
    })  # fmt: skip


def ours(base: BaseRef, recipe: Recipe, tables: list[pd.DataFrame], pool: Pool) -> tuple[float, list[TrainingRun]]:
    """Wall seconds of all conditions through a pool's slot, its start among them, and the records of their runs."""
    store, records = pool.slots[0].store, []
    started = time.perf_counter()
    for number, table in enumerate(tables):

        def write(folder: Path, table: pd.DataFrame = table) -> None:
            table.to_parquet(folder / "table.parquet", index=False)

        kept = store.make("tables", str(number), write)
        data = StoredFile(stage=kept.stage, key=kept.key, name="table.parquet")
        job = Train(base=base, method="dpo", data=data, digest=str(number), recipe=recipe, seed=0)
        records.append(train_adapter(job, store, pool).record)
    return time.perf_counter() - started, records


def stock(base: BaseRef, recipe: Recipe, tables: list[pd.DataFrame], place: Path) -> tuple[float, int]:
    """Wall seconds of a process a condition on its expanded rows, in as many steps, and the peak of GPU memory."""
    started, peak = time.perf_counter(), 0
    for number, table in enumerate(tables):
        rows = expanded(table)
        steps = -(-len(table) // recipe.dpo.batch_size)
        batch, at_once = -(-len(rows) // steps), recipe.dpo.batch_size
        job = {
            "base": base.architecture.path, "dtype": base.architecture.dtype,
            "rows": str(as_chat(rows, place / "rows.parquet")),
            "folder": str(place / f"stock-{number}"), "beta": recipe.dpo.beta, "rank": recipe.lora.rank,
            "learning_rate": recipe.dpo.learning_rate, "at_once": at_once, "accumulation": -(-batch // at_once),
            "max_length": recipe.max_length, "alpha": recipe.lora.alpha, "target_modules": "all-linear",
        }  # fmt: skip
        script = str(ROOT / "tests" / "benchmarks" / "stock_dpo.py")
        run = subprocess.run(
            [sys.executable, script, json.dumps(job)], stdout=subprocess.PIPE, text=True, check=True,
            env=os.environ | QUIET,
        )  # fmt: skip
        peak = max(peak, json.loads(run.stdout.splitlines()[-1])["peak_bytes"])
    return time.perf_counter() - started, peak


def answer(base: BaseRef, recipe: Recipe, texts: list[tuple[str, str]], pool: Pool) -> dict[str, float]:
    """Evaluation of the base on as many prompts as a batch takes; one prompt before that warms up."""
    table = pd.DataFrame({"prompt": [prompt for prompt, _ in texts[::2]]}).head(recipe.generation_batch)
    table = table.assign(prompt_id=[str(n) for n in range(len(table))])
    for part in (table.head(1), table):
        answers = answer_prompts(base, None, Prompts.of(part), recipe, pool.slots[0].store, pool)
    tokens = read_answers(answers)["tokens"].sum()
    return {**answers.record.model_dump(), "rate": tokens / answers.record.seconds}


if __name__ == "__main__":
    main()
