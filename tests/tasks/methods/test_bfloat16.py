"""A base in bfloat16 on a CPU: what is computed in fewer passes there is what the libraries would compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from configs.schema import Architecture
from tasks.architectures.chat import encode
from tasks.architectures.load import Base, load_base
from tasks.methods import dpo
from tasks.methods import response_log_probs as module
from tasks.methods.lora import lent, lora_config, without_adapter
from tasks.methods.lora_product import _Product, multiply_in_place
from tasks.methods.memory import rows_that_fit
from tasks.methods.reference_log_probs import response_log_prob
from tasks.methods.response_log_probs import response_log_probs
from tasks.runtime.progress import Report
from tests.models import RECIPE, a_run, some_pairs, texts, train_dpo

ROUNDING = 0.01
"""Of a response's log π in bfloat16, whose numbers have eight bits: what another order of sums changes at most."""


def in_bfloat16(built: tuple[Architecture, Base]) -> tuple[Architecture, Base]:
    """A tiny base as one from a folder that is loaded so."""
    settings, folder = built[0].model_copy(update={"dtype": "bfloat16"}), built[1].model.name_or_path
    return settings, load_base(settings, folder, None)


@pytest.fixture
def rounded(any_base: Any) -> tuple[Architecture, Base]:
    """A base of each family in bfloat16."""
    return in_bfloat16(any_base)


def rows(base: Base, n: int = 4) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts, and two responses to each."""
    encoded = encode(base.tokenizer, texts()[: 2 * n], 96)
    pairs = list(zip(encoded[::2], encoded[1::2], strict=True))
    return [a.prompt for a, _ in pairs], [[a.response, b.response] for a, b in pairs]


def log_probs(base: Base) -> torch.Tensor:
    prompts, responses = rows(base)
    return response_log_probs(base.model, prompts, responses, 1, base.tokenizer.pad_token_id)[0]


def test_log_pi_of_an_untrained_adapter_is_that_of_the_reference_up_to_rounding(rounded: Any) -> None:
    architecture, base = rounded
    items = encode(base.tokenizer, texts()[: 2 * len(rows(base)[0])], 96)
    reference = torch.tensor([response_log_prob(base, item) for item in items]).view(-1, 2)
    with lent(base.model) as model, torch.no_grad():
        from peft import get_peft_model

        multiply_in_place(get_peft_model(model, lora_config(architecture, RECIPE.lora)))
        found = log_probs(base)
    assert ((found - reference).abs() <= ROUNDING * reference.abs()).all()


def test_without_kept_logits_they_are_the_same(rounded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, base = rounded
    with torch.no_grad():
        narrow = log_probs(base)
        assert module._is_narrow(base.model)
        monkeypatch.setattr(module, "_is_narrow", lambda _: False)
        torch.testing.assert_close(narrow, log_probs(base), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("name", module.SCALES)
def test_logits_that_a_model_scales_are_the_model_s_own(llama: Any, name: str) -> None:
    _, base = in_bfloat16(llama)
    assert module._is_narrow(base.model)
    setattr(base.model.config, name, 2.0)
    assert not module._is_narrow(base.model)


def test_a_target_s_log_probability_and_gradient_are_those_of_log_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)  # of eight, so that the last part is short
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(8, 5, generator=generator), torch.randn(11, 5, generator=generator)
    targets, counts = torch.randint(11, (8,), generator=generator), torch.randn(8, generator=generator)
    found, expected = (hidden.clone().requires_grad_() for _ in range(2))
    values = module._log_probs_of().apply(found, weight, targets)
    plain = (expected @ weight.T).log_softmax(1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(values, plain)
    (values * counts).sum().backward()
    (plain * counts).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("biased", [True, False])
def test_the_product_and_its_gradients_are_those_of_the_formula(biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, requires_grad=True)

    x, weight, down, up = some(2, 3, 5), some(4, 5).detach(), some(2, 5), some(4, 2)
    bias = some(4).detach() if biased else None
    y = _Product.apply(x, weight, bias, down, up, 2.0)
    expected = torch.nn.functional.linear(x, weight, bias) + 2.0 * (x @ down.T @ up.T)
    torch.testing.assert_close(y, expected)
    counts = torch.randn(y.shape, generator=generator)
    own, plain = (torch.autograd.grad((value * counts).sum(), [x, down, up]) for value in (y, expected))
    for one, other in zip(own, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_an_adapter_that_is_switched_off_leaves_the_base(rounded: Any) -> None:
    from peft import get_peft_model

    architecture, base = rounded
    with torch.no_grad():
        before = log_probs(base)
        with lent(base.model) as model:
            adapted = get_peft_model(model, lora_config(architecture, RECIPE.lora))
            for name, value in adapted.named_parameters():
                if "lora_B" in name:
                    value.fill_(0.02)
            multiply_in_place(adapted)
            changed = log_probs(base)
            with without_adapter(adapted):
                off = log_probs(base)
        assert not torch.equal(changed, before)
        assert torch.equal(off, before)
        assert torch.equal(log_probs(base), before)


def test_gradients_are_peft_s_up_to_rounding(rounded: Any) -> None:
    from peft import get_peft_model

    architecture, base = rounded
    found = []
    for own in (False, True):
        torch.manual_seed(0)
        with lent(base.model) as model:
            adapted = get_peft_model(model, lora_config(architecture, RECIPE.lora))
            for name, value in adapted.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(value, std=0.02)
            if own:
                multiply_in_place(adapted)
            log_probs(base)[:, 0].sum().backward()
            trained = [value for name, value in adapted.named_parameters() if "lora_" in name]
            assert {value.grad.dtype for value in trained} == {torch.float32}
            found.append(torch.cat([value.grad.flatten() for value in trained]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


def test_the_same_run_twice_gives_the_same_adapter(rounded: Any, tmp_path: Path) -> None:
    architecture, base = rounded
    made = []
    for name in ("a", "b"):
        run = a_run(tmp_path / name)
        train_dpo(base, architecture, some_pairs(8), RECIPE, run, lambda _: None)
        made.append((run.adapter / "adapter_model.safetensors").read_bytes())
    assert made[0] == made[1]


def test_a_stopped_run_goes_on_to_the_same_weights(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dpo.training_arguments
    monkeypatch.setattr(dpo, "training_arguments", lambda *a: {**plain(*a), "logging_steps": 1})
    often = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 3}), "checkpoint_seconds": 0.0})
    architecture, base = in_bfloat16(llama)
    whole, broken = a_run(tmp_path / "whole"), a_run(tmp_path / "broken")

    def stop(report: Report) -> None:
        if (report.done, report.unit) == (4, "steps"):
            raise Stopped

    train_dpo(base, architecture, some_pairs(16), often, whole, lambda _: None)
    with pytest.raises(Stopped):
        train_dpo(base, architecture, some_pairs(16), often, broken, stop)
    assert train_dpo(base, architecture, some_pairs(16), often, broken, lambda _: None).resumed_from == 3
    files = [run.adapter / "adapter_model.safetensors" for run in (whole, broken)]
    assert files[0].read_bytes() == files[1].read_bytes()


class Stopped(Exception):
    """Stands for a kill: nothing of the run remains but what is on disk."""


def test_a_large_base_takes_few_rows_at_once_on_a_cpu(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, base = llama
    assert rows_that_fit(base.model, 16, 320) == 16
    monkeypatch.setattr(type(base.model), "get_memory_footprint", lambda _: 2**28)
    assert [rows_that_fit(base.model, 16, tokens) for tokens in (100, 320, 1024, 5000)] == [16, 4, 2, 1]
