"""The check of the house's order, on small houses with one fault each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import House

SOUND = {
    "configs/__init__.py": "",
    "configs/schema.py": (
        'class LlmJudge:\n    kind: Literal["llm"]\nclass EmbeddedJudge:\n    kind: Literal["embedded"] = "embedded"\n'
    ),
    "tasks/__init__.py": "",
    "tasks/runtime/store.py": "from configs.schema import LlmJudge\n",
    "tasks/methods/__init__.py": "from tasks.methods import dpo, kto\nMETHODS = {m.name: m for m in (dpo.D, kto.K)}\n",
    "tasks/methods/dpo.py": 'class Dpo:\n    name, title = "dpo", "DPO"\n',
    "tasks/methods/kto.py": 'K = Method(name="kto")\nif method == "kto": pass\n',
    "tasks/methods/step.py": "from prefect import task\nfrom tasks.methods import METHODS\n",
    "tasks/judging/step.py": 'if judge.kind == "llm" or isinstance(judge, LlmJudge): pass\n',
    "tasks/runtime/local/pool.py": "from tasks.methods import METHODS\nfrom tasks.runtime import store\n",
    "tasks/runtime/tracking.py": "import mlflow\n",
    "flows/study.py": "import prefect\nfrom tasks.methods import step\n",
}


def faults(folder: Path, **changes: str) -> list[str]:
    """What is wrong with the sound house after changes: file without `.py`, with `__` for `/`, and its new text."""
    for path, text in (SOUND | {f"{name.replace('__', '/')}.py": text for name, text in changes.items()}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return House(folder).faults()


def test_a_sound_house_has_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("configs__load", "import tasks.runtime.store", "configs imports tasks.runtime.store, upward"),
        ("tasks__methods__lora", "import torch\nimport flows.study", "tasks.methods imports flows.study, upward"),
        (
            "tasks__methods__lora",
            "def f():\n    from tasks.runtime.local.pool import Pool",
            "tasks.methods imports tasks.runtime.local.pool, upward",
        ),
        ("tasks__methods__lora", "from ..judging import step", "tasks.methods imports tasks.judging.step, upward"),
        ("tasks__attic__box", "", "stands in no room; tests/house.py names them: configs, tasks.runtime, "),
        ("tasks__effects__effects", "import prefect.flows", "only a step.py and flows/ import prefect"),
        ("flows__meta", "x = 1\nfrom mlflow import log", "only tasks/runtime/tracking.py imports mlflow"),
        ("flows__meta", "from tasks.methods.kto import KTO", "imports tasks.methods.kto past METHODS"),
        ("flows__meta", 'if "dpo" != method: pass', "asks for the method 'dpo' by its name; "),
        ("flows__meta", 'x = method in ("a", "kto")', "asks for the method 'kto' by its name; "),
        ("flows__meta", 'x = {"kto": 1}[method]', "asks for the method 'kto' by its name; "),
        ("flows__meta", 'x = METHODS["dpo"]', "asks for the method 'dpo' by its name; "),
        ("flows__meta", "match method:\n    case 'dpo': pass", "asks for the method 'dpo' by its name; "),
        ("flows__meta", "x = recipe.dpo.beta", "reads what belongs to the method 'dpo'; ask the method"),
        ("flows__meta", 'x = judge.kind == "llm"', "asks for the judge 'llm' by its name; "),
        ("flows__meta", "isinstance(j, s.LlmJudge | X)", "asks whether a judge is LlmJudge; ask "),
        ("flows__meta", "import pickle", "imports pickle; keep safetensors, JSON or Parquet"),
        ("flows__meta", "def f():\n    from joblib import load as read", "imports joblib; keep "),
        ("flows__meta", "import cloudpickle as p, os", "imports cloudpickle; keep "),
        ("flows__meta", "import dill.source", "imports dill; keep "),
        ("flows__meta", "import torch\ntorch.save(x, f)", "torch.save may run code that came as data"),
        ("flows__meta", "import torch as t\nread = t.load", "torch.load may run code that came as data"),
        ("flows__meta", "from torch import load as get\nget(f, weights_only=True)", "torch.load may run code "),
        ("flows__meta", "import numpy as np\nnp.savez(f, x)", "numpy.savez may run code that came as data"),
        ("flows__meta", "import numpy as np\nnp.load(f, allow_pickle=yes)", "allow_pickle may run code "),
        ("flows__meta", "AutoModel.of(f, trust_remote_code=True)", "trust_remote_code may run code "),
        ("flows__meta", "import pandas as pd\npd.read_pickle(f)", "pandas.read_pickle may run code "),
        ("flows__meta", "import yaml\nyaml.load(f, yaml.FullLoader)", "yaml.load without a safe loader may run "),
        ("flows__meta", "from yaml import load_all\nload_all(f)", "yaml.load_all without a safe loader may run "),
        ("flows__meta", "import yaml\nyaml.unsafe_load(f)", "yaml.unsafe_load may run code that came as data"),
        ("flows__meta", "x = 1\neval(x)", "eval may run code that came as data"),
        ("flows__meta", "list(map(exec, texts))", "exec may run code that came as data"),
    ],
)
def test_each_fault_is_told_with_its_file_and_line(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (fault,) = faults(tmp_path, **{name: text})
    assert fault.startswith(f"{name.replace('__', '/')}.py:{len(text.splitlines()) or 1}: {expected}")


def test_what_only_looks_like_running_code_is_no_fault(tmp_path: Path) -> None:
    text = (
        "import yaml, torch, numpy as np\nmodel.eval()\ntorch.save_nothing()\nnp.load(f, allow_pickle=False)\n"
        "yaml.load(f, Loader=yaml.CSafeLoader)\nyaml.safe_load(f)\ntorch.nn.load(f)\nstate.load(f)\n"
        "class Header:\n    eval: int\n"
        'text = "pickle.loads"  # eval(x)\n'
    )
    assert faults(tmp_path, flows__meta=text) == []


def test_a_circle_is_told_in_each_of_its_files(tmp_path: Path) -> None:
    later = "x = 1\ndef f():\n    from tasks.effects.a import x"
    assert faults(tmp_path, tasks__effects__a="from tasks.effects import b", tasks__effects__b=later) == [
        "tasks/effects/a.py:1: imports tasks.effects.b, which comes back here: a circle",
        "tasks/effects/b.py:3: imports tasks.effects.a, which comes back here: a circle",
    ]


def test_two_classes_of_one_name_are_told(tmp_path: Path) -> None:
    assert faults(tmp_path, configs__a="class Scores: pass", flows__b="x = 1\nclass Scores: pass") == [
        "flows/b.py:2: configs.a has a class Scores too"
    ]


def test_a_house_in_which_no_method_or_judge_is_named_does_not_pass(tmp_path: Path) -> None:
    nameless = {"tasks__methods__dpo": "", "tasks__methods__kto": "", "configs__schema": ""}
    assert faults(tmp_path, **nameless) == [
        "configs/schema.py:1: no judge's settings with kind: Literal[…]",
        "tasks/methods/__init__.py:1: no METHODS = {name: method} in this room",
    ]
