"""Reference log-probabilities: right, computed once, and safe to share."""

from __future__ import annotations

import pytest
import torch

from tasks.architectures.chat import encode
from tasks.methods import reference_log_probs as reference
from tasks.methods.reference_log_probs import reference_log_probs, response_log_prob
from tests.models import texts


def encoded(base, n=6, max_length=96):
    return encode(base.tokenizer, texts()[:n], max_length)


def silent(_: str) -> None:
    """No progress."""


def test_it_is_the_sum_over_the_response_s_tokens(any_base):
    _, base = any_base
    (item,) = encode(base.tokenizer, [("I am tired.", "You are not alone with how you feel.")], 96)
    ids = torch.tensor([item.prompt + item.response])
    logits = base.model(ids).logits[0].log_softmax(-1)
    start = len(item.prompt)
    by_hand = sum(logits[position - 1, ids[0, position]].item() for position in range(start, ids.shape[1]))
    assert response_log_prob(base, item) == pytest.approx(by_hand, rel=1e-5)


def test_a_response_s_value_is_the_same_whatever_is_asked_beside_it(llama, tmp_path):
    _, base = llama
    items = encoded(base)
    together = reference_log_probs(base, items, tmp_path / "a.txt", silent)
    alone = [reference_log_probs(base, [item], tmp_path / "b.txt", silent)[0] for item in reversed(items)]
    assert together == alone[::-1]  # to the last bit


def test_what_the_file_has_is_not_computed_again(llama, tmp_path, monkeypatch):
    _, base = llama
    items = encoded(base)
    first = reference_log_probs(base, items[:4], tmp_path / "r.txt", silent)
    asked = []
    plain = reference.response_log_prob
    monkeypatch.setattr(reference, "response_log_prob", lambda base, item: asked.append(item) or plain(base, item))
    assert reference_log_probs(base, items, tmp_path / "r.txt", silent)[:4] == first
    assert asked == items[4:]


def test_another_length_limit_or_prompt_is_another_value(llama, tmp_path):
    _, base = llama
    for max_length in (96, 20):
        reference_log_probs(base, encoded(base, 1, max_length), tmp_path / "r.txt", silent)
    assert len((tmp_path / "r.txt").read_text().splitlines()) == 2


def test_a_line_that_a_killed_writer_left_unfinished_counts_for_nothing(llama, tmp_path):
    _, base = llama
    items, path = encoded(base), tmp_path / "r.txt"
    whole = reference_log_probs(base, items, path, silent)
    text = path.read_text()
    path.write_text(text[:-7])  # the last number lacks its last digits, and is still a number
    assert reference_log_probs(base, items, path, silent) == whole
    assert reference_log_probs(base, items, path, silent) == whole
    assert path.read_text().count(" torn\n") == 1
