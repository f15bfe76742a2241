"""Who a participant is stays outside, and is known again by the same key alone."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.errors import InputError
from tasks.ratings.landing.pseudonym import VARIABLE, find_key, key_check, pseudonyms

KEY = b"a key that is long enough"


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_pseudonym_is_twenty_digits_of_the_keyed_digest_of_codebook_and_id() -> None:
    expected = hmac.new(KEY, "survey␟Zoë".replace("␟", "\x1f").encode(), hashlib.sha256).hexdigest()[:20]
    assert pseudonyms(KEY, "survey")("Zoë") == expected


def test_another_id_another_codebook_and_another_key_give_another_pseudonym() -> None:
    made = {pseudonyms(key, book)(name) for key in (KEY, KEY[1:]) for book in ("a", "b") for name in ("1", "2")}
    assert len(made) == 8


def test_the_variable_comes_before_the_block_and_the_block_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = find_key(tmp_path)
    assert find_key(tmp_path, lambda name: None) == kept
    assert find_key(tmp_path, lambda name: KEY.decode()) == KEY
    monkeypatch.setenv(VARIABLE, "a secret in the environment")
    assert find_key(tmp_path, lambda name: KEY.decode()) == b"a secret in the environment"
    monkeypatch.setenv(VARIABLE, "")
    assert find_key(tmp_path) == kept


def test_the_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: find_key(home), range(40)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["secret"]


@pytest.mark.parametrize("secret", ["short", "123456789012345"])
def test_a_secret_that_can_be_guessed_is_refused_without_telling_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv(VARIABLE, secret)
    with pytest.raises(InputError, match=rf"{VARIABLE}: a secret of {len(secret)} characters can be guessed") as caught:
        find_key(tmp_path)
    assert secret not in str(caught.value)
    (tmp_path / "secret").write_text("")
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(InputError, match="a secret of 0 characters"):
        find_key(tmp_path)


def test_a_key_is_known_again_without_being_told() -> None:
    assert key_check(KEY) == key_check(KEY) != key_check(KEY[1:])
    assert len(key_check(KEY)) == 8
