"""What the paper's study takes on 1, 8 and 64 GPUs, on paper: `python tests/benchmarks/scale.py`.

Nothing is run and no GPU has been measured: operations, bytes and tokens are counted, and speeds and prices are the
assumptions below. Measured are only how many pairs the conditions have (by `pluralign plan paper` on simulated ratings
of the paper's size), and how jobs are cut and routed, which is the product's way. The tables that it prints stand in
docker/README.md; a test compares both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from configs.load import load_study
from configs.schema import Architecture, Study
from tasks.architectures.cost import FORWARD, PEAK, TRAIN, TRAINING
from tasks.methods.dpo import DpoSettings
from tasks.methods.grpo import GrpoSettings
from tasks.planning.cells import TOGETHER

PAIRS = {
    "female": 839, "male": 860, "liberal": 342, "conservative": 323, "white": 285, "black": 282, "5-point": 1315,
    "3-point": 1167, "binary": 941, "average": 955, "majority": 332, "random": 999, "consensus": 20, "dpo-ea": 1312,
    "dpo-toxicity-ea": 1325,
}  # fmt: skip
"""Of the paper's 15 DPO runs: `pluralign plan paper --set ratings.folder=null --set 'ratings.simulate={}'`. The 16th is
GRPO's; KTO's, which is ours, is left out."""
GRPO = "grpo-toxicity-ea"
HELD_OUT, PROOF = 145, 435
"""Prompts, and rated responses that the judge is proved on: the same plan."""
RATED = 1761
"""Responses, of which training reads the share that is not held out."""

READ, WRITTEN, THOUGHT = 250, 300, 1024
"""Tokens: a prompt with its rated response; an answer; one of a model that reasons, which fills what it may."""
STEP = 0.030
"""Seconds in which a batch of answers grows by a token, whatever the model: generation is bound by launches."""
START, DISK, HUB = 20.0, 2e9, 0.5e9
"""Seconds until a process has its libraries; bytes a second from a node's disk to its GPU, from the hub to a node."""
ADAPTER = 10
"""A rank-16 adapter on all linear layers has about so many times parameters^(2/3): 11 million on Llama 1B, 42 on 8B."""
GPU_HOUR, SPOT_HOUR = 3.0, 1.5
"""Dollars of an H100, on demand and as spot."""
INSTRUCTIONS, VERDICT = 600, 30
"""Tokens of the judge's rubric and schema, and of its verdict."""
JUDGE_READS, JUDGE_WRITES = 0.15e-6, 0.60e-6
"""Dollars a token of gpt-4o-mini."""
CALLS = 500 / 60
"""Verdicts a second that the endpoint allows: 500 a minute."""

GPUS, REPLICATES = (1, 8, 64), (0, 8)


@dataclass(frozen=True)
class Job:
    """What a GPU does in one go: a training run with its answers, its replicates with theirs, or the control's."""

    base: Architecture
    seconds: float


def answer_tokens(base: Architecture, recipe_most: int) -> int:
    return min(THOUGHT if base.reasoning else WRITTEN, recipe_most)


def answering(base: Architecture, study: Study) -> float:
    """Seconds in which a model answers the held-out prompts, batch by batch."""
    batches = math.ceil(HELD_OUT / study.recipe.generation_batch)
    return batches * answer_tokens(base, study.recipe.max_new_tokens) * STEP


def dpo_seconds(base: Architecture, study: Study, pairs: int) -> float:
    """Gradients of both responses of each pair in every epoch, and the reference once a response."""
    epochs = study.recipe.block(DpoSettings).epochs
    references = min(RATED * (1 - study.evaluation.share), 2 * pairs)
    operations = base.parameters * READ * (TRAIN * 2 * pairs * epochs + FORWARD * references)
    return operations / (PEAK * TRAINING)


def grpo_seconds(base: Architecture, study: Study) -> float:
    """Samples drawn without vLLM, a batch a step, then read by the reference and trained on."""
    grpo = study.recipe.block(GrpoSettings)
    steps = grpo.epochs * grpo.prompts // grpo.prompts_per_step
    tokens = answer_tokens(base, study.recipe.max_new_tokens)
    samples = steps * grpo.prompts_per_step * grpo.group_size
    operations = base.parameters * samples * (READ + tokens) * (TRAIN + FORWARD)
    return steps * tokens * STEP + operations / (PEAK * TRAINING)


def jobs_of(study: Study, replicates: int) -> list[Job]:
    """A run's replicates are one job for every eight, and take as long as so many runs: on a GPU, stacked adapters
    share little."""
    jobs = []
    for base in study.architectures:
        answers = answering(base, study)
        trained = [dpo_seconds(base, study, pairs) for pairs in PAIRS.values()] + [grpo_seconds(base, study)]
        jobs.append(Job(base, answers))
        for seconds in trained:
            jobs.append(Job(base, seconds + answers))
            whole, rest = divmod(replicates, TOGETHER)
            jobs += [Job(base, n * (seconds + answers)) for n in [TOGETHER] * whole + [rest] * bool(rest)]
    return jobs


def loading(base: Architecture, fetched: bool) -> float:
    """Seconds until a GPU's process has a base, from the node's disk or from the hub."""
    size = 2 * base.parameters
    return START + size / DISK + (0 if fetched else size / HUB)


@dataclass(frozen=True)
class Schedule:
    seconds: float
    loads: int
    loading: float
    """Seconds, of all GPUs together."""


def scheduled(jobs: list[Job], gpus: int) -> Schedule:
    """The product's rule: a freed GPU goes on with its base; else the base that no GPU holds with most left; else it
    helps where most is left for each GPU, if that is more than loading takes. Each GPU is a node with its own disk."""
    waiting: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.seconds):
        waiting.setdefault(job.base.name, []).append(job)
    free, holds, had = [0.0] * gpus, [""] * gpus, [set[str]() for _ in range(gpus)]
    loads, spent = 0, 0.0
    while any(waiting.values()):
        gpu = free.index(min(free))

        def left(name: str, gpu: int = gpu) -> tuple[bool, float]:
            at_it = sum(holds[other] == name for other in range(gpus) if other != gpu and free[other] != math.inf)
            return not at_it, sum(job.seconds for job in waiting[name]) / max(at_it, 1)

        own = holds[gpu] if waiting.get(holds[gpu]) else ""
        name = own or max((name for name, these in waiting.items() if these), key=left)
        base = waiting[name][0].base
        took = 0.0
        if not own:
            took = loading(base, name in had[gpu])
            if not left(name)[0] and left(name)[1] <= took:
                free[gpu] = math.inf  # nothing is left that helping would speed up
                continue
            loads, spent, holds[gpu] = loads + 1, spent + took, name
            had[gpu].add(name)
        free[gpu] += took + waiting[name].pop().seconds
    return Schedule(max(moment for moment in free if moment != math.inf), loads, spent)


@dataclass(frozen=True)
class Row:
    gpus: int
    replicates: int
    runs: int
    work: float
    schedule: Schedule
    longest: float
    calls: int
    judging: float

    @property
    def hours(self) -> float:
        """Verdicts are asked for while others train."""
        return max(self.schedule.seconds, self.judging) / 3600

    @property
    def bottleneck(self) -> str:
        """What would still take longest if all else took no time."""
        bounds = {
            "the GPUs' work": self.work / self.gpus,
            "one job: GRPO on the slowest model": self.longest,
            "the judge's calls a minute": self.judging,
            "loading bases": self.schedule.loading / self.gpus,
        }
        return max(bounds, key=bounds.__getitem__)


def rows(study: Study) -> list[Row]:
    table = []
    for replicates in REPLICATES:
        jobs = jobs_of(study, replicates)
        trained = (len(PAIRS) + 1) * len(study.architectures) * (1 + replicates)
        calls = (trained + len(study.architectures)) * HELD_OUT + PROOF
        for gpus in GPUS:
            longest = max(job.seconds + loading(job.base, False) for job in jobs)
            work = sum(job.seconds for job in jobs)
            table.append(Row(gpus, replicates, trained, work, scheduled(jobs, gpus), longest, calls, calls / CALLS))
    return table


def judge_dollars(study: Study, calls: int) -> float:
    """With a mean answer of the line-up; the judge reads what a model that reasons has thought, too."""
    tokens = [answer_tokens(base, study.recipe.max_new_tokens) for base in study.architectures]
    read = INSTRUCTIONS + READ / 5 + sum(tokens) / len(tokens)
    return calls * (read * JUDGE_READS + VERDICT * JUDGE_WRITES)


def adapter_bytes(base: Architecture, rank: int) -> float:
    """In float32."""
    return 4 * ADAPTER * base.parameters ** (2 / 3) * rank / 16


def tables(study: Study) -> str:
    """Both tables of docker/README.md, as Markdown."""
    bases = sum(2 * base.parameters for base in study.architectures) / 1e9
    adapters = sum(adapter_bytes(base, study.recipe.lora.rank) for base in study.architectures) * (len(PAIRS) + 1) / 1e9
    lines = [
        "| architecture | a mean DPO run, s | GRPO, s | answers, s | loading, s | base, GB | adapter, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for base in study.architectures:
        dpo = sum(dpo_seconds(base, study, pairs) for pairs in PAIRS.values()) / len(PAIRS)
        lines.append(
            f"| {base.title} | {dpo:.0f} | {grpo_seconds(base, study):.0f} | {answering(base, study):.0f} "
            f"| {loading(base, False):.0f} | {2 * base.parameters / 1e9:.1f} "
            f"| {adapter_bytes(base, study.recipe.lora.rank) / 1e6:.0f} |"
        )
    lines += [
        "",
        "| GPUs | runs | hours | GPU-hours, busy | paid for | on demand, $ | spot, $ | bases loaded "
        "| verdicts | they take, hours | judge, $ | adapters, GB | first bottleneck |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows(study):
        paid = row.schedule.seconds / 3600 * row.gpus
        what = f"{row.runs}" if not row.replicates else f"{row.runs} (× {1 + row.replicates})"
        lines.append(
            f"| {row.gpus} | {what} | {row.hours:.1f} | {row.work / 3600:.1f} | {paid:.1f} | {paid * GPU_HOUR:.0f} "
            f"| {paid * SPOT_HOUR:.0f} | {row.schedule.loads} | {row.calls:,} | {row.judging / 3600:.1f} "
            f"| {judge_dollars(study, row.calls):.0f} | {adapters * (1 + row.replicates):.0f} | {row.bottleneck} |"
        )
    lines += ["", f"Bases, once: {bases:.0f} GB."]
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables(load_study("paper")))
