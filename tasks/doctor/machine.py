"""GPUs and their memory, main memory and slots, against what the study's architectures need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from configs.schema import Architecture, Study
from tasks.architectures.sizes import BYTES, shape_of, weights_folder
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.versions import installed
from tasks.methods.memory import LOGIT, USABLE, bytes_a_token
from tasks.planning.disk_use import amount
from tasks.runtime.local.pool import cores_of_this_process, gpus

ROWS = 2
"""Sequences that go through a model at once at least: a chosen and a rejected response."""
TRAINED = 16
"""Bytes of a weight that is trained: itself, its gradient and two moments, in float32."""
SECONDS_FOR_TORCH = 25.0
CGROUP, CPUINFO = Path("/sys/fs/cgroup/memory.max"), Path("/proc/cpuinfo")
ASK_TORCH = """
import json, torch
seen = torch.cuda.is_available()
count = torch.cuda.device_count() if seen else 0
free = [torch.cuda.mem_get_info(n) for n in range(count)]
names = [torch.cuda.get_device_name(n) for n in range(count)]
print(json.dumps({"cuda": torch.version.cuda, "gpus": [[n, *m] for n, m in zip(names, free)]}))
"""


@dataclass(frozen=True)
class Gpu:
    """Its memory in bytes."""

    name: str
    free: int
    total: int


def gpus_check(settings: Settings) -> Findings:
    ids = gpus_here()
    if "://" in settings.runner:
        yield Finding(NOTE, "GPUs", f"{len(ids) or 'none'} on this machine; the nodes of the cluster train, not it")
        return
    if not ids:
        yield Finding(NOTE, "GPUs", f"none, so models train on the CPU ({slots_of(settings)} at a time)")
        yield from _on_cpu(settings)
        return
    seen, fault = _gpus_of_torch(settings.environment)
    if len(seen) < len(ids):
        told = fault or f"torch {installed('torch')} sees {len(seen)} of {len(ids)}"
        todo = "install a torch for this machine's CUDA, and see that its driver is new enough (nvidia-smi shows it)"
        yield Finding(BAD, "GPUs", f"{', '.join(ids)}; {told}", todo)
        seen = seen or _gpus_of_smi(ids)
    if seen:
        each = [f"{id_} {gpu.name} {amount(gpu.total)}, {amount(gpu.free)} free"
                for id_, gpu in zip(ids, seen, strict=False)]  # fmt: skip
        yield Finding(OK, "GPUs", "; ".join(each))
    yield from _on_gpus(settings, seen, len(ids))


@cache
def gpus_here() -> tuple[str, ...]:
    """Ids of the GPUs that this process may use."""
    return tuple(gpus())


def slots_of(settings: Settings) -> int:
    """Training runs at a time on this machine."""
    study, ids = settings.study, gpus_here()
    each = max((item.gpus for item in study.architectures), default=1) if study else 1
    return max(len(ids) // each, 1) if ids else settings.workers or cores_of_this_process()


def main_memory() -> int:
    """Bytes of it that this process may use: of the machine, or of its container or job."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(CGROUP.read_text()))
    except (OSError, ValueError):
        return total


def training_bytes(architecture: Architecture, study: Study, precision: str) -> float:
    """Memory that training one adapter takes at least, about: weights, what is trained of the adapter, and the
    activations of two sequences with the logits of one. An estimate, as those of `tasks.methods.memory` are."""
    shape, recipe = shape_of(architecture, weights_folder(architecture)), study.recipe
    config: Any = SimpleNamespace(
        hidden_size=shape.hidden, intermediate_size=shape.inner, num_hidden_layers=shape.layers
    )
    row = recipe.max_length * bytes_a_token(config)
    logits = recipe.max_length * LOGIT * shape.vocabulary
    trained = TRAINED * shape.adapter_weights(recipe.lora)
    return BYTES[precision] * architecture.parameters + trained + ROWS * row + logits


def _on_gpus(settings: Settings, seen: list[Gpu], count: int) -> Findings:
    study = settings.study
    for item in study.architectures if study and study.experiments else ():
        assert study is not None
        if item.gpus > count:
            yield Finding(BAD, "GPUs", f"{item.name} asks for {item.gpus}, and there are {count}",
                          "a machine with more of them, or gpus: 1 and dtype: 4-bit where it then fits")  # fmt: skip
            continue
        if item.tiny or not seen:
            continue
        need = training_bytes(item, study, item.dtype if item.dtype != "auto" else "bfloat16") / item.gpus
        least = min(gpu.total for gpu in seen)
        text = f"{item.name} needs about {amount(need)} of memory to train{' on each' if item.gpus > 1 else ''}"
        if need > least:
            yield Finding(BAD, "GPUs", f"{text}, and a GPU has {amount(least)}",
                          "dtype: 4-bit, gpus: more than one, a shorter recipe.max_length, or another GPU")  # fmt: skip
        elif need > USABLE * min(gpu.free for gpu in seen):
            yield Finding(NOTE, "GPUs", f"{text}, which hardly leaves room beside what else is on the GPU")
        else:
            yield Finding(OK, "GPUs", f"{text}, by an estimate")


def _on_cpu(settings: Settings) -> Findings:
    study = settings.study
    for item in study.architectures if study and study.experiments else ():
        assert study is not None
        if item.dtype == "4-bit":
            yield Finding(BAD, "GPUs", f"{item.name}: dtype 4-bit, and there is no GPU",
                          "a machine with a GPU, or dtype: auto")  # fmt: skip
            continue
        if item.tiny:
            continue
        need = training_bytes(item, study, _precision_on_cpu(item))
        have, slots = main_memory(), slots_of(settings)
        text = f"{item.name} needs about {amount(need)} of memory to train on the CPU, of {amount(have)}"
        if need > have:
            yield Finding(BAD, "memory", text, "a machine with a GPU or more memory, or a smaller architecture")
        elif slots * need > have:
            fits = max(int(have // need), 1)
            yield Finding(BAD, "memory", f"{text}, and {slots} would train at a time", f"run it with --workers {fits}")
        else:
            yield Finding(OK, "memory", text)


def _precision_on_cpu(architecture: Architecture) -> str:
    """What `dtype: auto` comes to, without torch: as `tasks.architectures.load.with_precision` has it."""
    if architecture.dtype != "auto":
        return architecture.dtype
    try:
        flags = CPUINFO.read_text()
    except OSError:
        flags = ""
    return "bfloat16" if any(name in flags for name in ("avx512_bf16", "amx_bf16")) else "float32"


def _gpus_of_torch(environment: Mapping[str, str]) -> tuple[list[Gpu], str]:
    """GPUs as torch sees them, in a process that leaves nothing of CUDA in this one; or why it can't tell."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=SECONDS_FOR_TORCH, check=False,
            env=dict(environment),
        )  # fmt: skip
        told = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return [], f"torch has not said within {SECONDS_FOR_TORCH:.0f} seconds which it sees"
    except (OSError, ValueError, IndexError):
        return [], "torch can't be asked which it sees"
    fault = f"torch {installed('torch')} was built without CUDA" if told["cuda"] is None else ""
    return [Gpu(*facts) for facts in told["gpus"]], fault


def _gpus_of_smi(ids: tuple[str, ...]) -> list[Gpu]:
    """The same as the driver's tool has it; none where it does not know these ids."""
    asked = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False, env=os.environ).stdout
        rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines()]
        known = {id_: Gpu(row[2], int(row[3]) << 20, int(row[4]) << 20) for row in rows for id_ in row[:2]}
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return []
    return [known[id_] for id_ in ids if id_ in known]
