"""Which codebook reads which files of the exports that are to be landed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from configs.codebook import SUFFIXES, Codebook
from configs.errors import InputError, one_of
from tasks.ratings.reading.files import leads_out
from tasks.ratings.reading.source import matching


@dataclass(frozen=True)
class Export:
    """What one codebook reads of an export: file → where it lies, and what it is called in messages.

    folder: the export, a folder or a single file; nothing outside of it is read.
    """

    codebook: Codebook
    folder: Path
    paths: dict[str, Path]
    names: dict[str, str]


def find_exports(exports: Sequence[Path], codebooks: Sequence[Codebook]) -> list[Export]:
    """What each codebook reads of each export.

    Raises:
        InputError: an export that is not there, that is a link, that holds nothing for any codebook, or only a part of
            one's files.
    """
    matched = []
    for path in exports:
        name = path.name if [other.name for other in exports].count(path.name) == 1 else str(path)
        if path.is_symlink():
            raise InputError(f"{path}: a link, which is not followed; name what it leads to")
        if path.is_dir():
            own = [one for one in codebooks if _is_there(one, path, codebooks)]
            if not own:
                expected = ", ".join(dict.fromkeys(codebook.ratings.file for codebook in codebooks))
                raise InputError(f"{path}: none of the codebooks' files is there; expected {expected}")
            before = f"{name}/" if len(exports) > 1 else ""
            for one in own:
                paths = {file: path / file for file in one.files}
                matched.append(Export(one, path, paths, {file: before + file for file in one.files}))
        elif path.is_file():
            one = _of_one_table(path, codebooks)
            matched.append(Export(one, path, {one.ratings.file: path}, {one.ratings.file: name}))
        else:
            raise InputError(f"{path}: {'neither a file nor a folder' if path.exists() else 'no such file or folder'}")
    return matched


def _is_there(codebook: Codebook, folder: Path, codebooks: Sequence[Codebook]) -> bool:
    """Whether the folder has the codebook's files: all, or none but those that others read too."""
    others = {file for other in codebooks if other.name != codebook.name for file in other.files}
    there = {file for file in codebook.files if all(_may_be_read(path, folder) for path in matching(folder / file))}
    if codebook.ratings.file not in there and there <= others:
        return False
    for file in codebook.files:
        if file not in there:
            raise InputError(f"{folder / file}: no such file; the codebook {codebook.name} needs it")
    return True


def _may_be_read(path: Path, export: Path) -> bool:
    """Whether a file is there. Raises `InputError` where a link leads out of the export, whatever it leads to."""
    if os.path.lexists(path) and leads_out(path, export):
        raise InputError(f"{path}: a link that leads out of the export; it is not read")
    return path.is_file()


def _of_one_table(path: Path, codebooks: Sequence[Codebook]) -> Codebook:
    """The codebook that reads a single file."""
    if path.suffix.lower() not in SUFFIXES:
        raise one_of(f"{path}: the end of a file's name", path.suffix, SUFFIXES)
    single = [codebook for codebook in codebooks if len(codebook.files) == 1]
    named = [codebook for codebook in single if fnmatchcase(path.name, codebook.ratings.file)]
    if len(named or single) != 1:
        raise InputError(f"{path}: a single file needs one codebook with all tables in it; give the export's folder")
    return (named or single)[0]
