"""`pluralign`: the command line. Nothing heavy is imported before it is needed, so `--help` answers at once."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import InputError
from configs.load import load_codebook, load_study, parse_overrides, shipped

if TYPE_CHECKING:
    from prefect.states import State

    from flows.facts import Outcome

WHOLE, FAILED, WRONG_INPUT, IN_PART = 0, 1, 2, 3
SECONDS_TO_STOP = 10.0
STOPPED = "stopped; run the same command again to go on from here"
EXIT_CODES = "exit codes: 0 whole, 1 failed, 2 wrong usage or input, 3 finished in part"


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(options)
    except InputError as error:
        print(f"pluralign: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print(f"pluralign: {STOPPED}", file=sys.stderr)
        return FAILED


def _stop(*_: object) -> None:
    """End in order, but soon: Ctrl-C also ends Prefect's temporary server, which is then waited for in vain."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(FAILED))
    deadline = threading.Timer(SECONDS_TO_STOP, _give_up)
    deadline.daemon = True
    deadline.start()
    raise KeyboardInterrupt


def _give_up() -> None:
    print(f"pluralign: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pluralign",
        description="Whose feedback, and which design choices, shape my model, and how sure can I be?",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a study, or what is missing of it", epilog=EXIT_CODES)
    survey = commands.add_parser("survey", help="ratings to survey tables, figures and report only", epilog=EXIT_CODES)
    for command, place in ((run, "outputs/NAME"), (survey, "outputs/NAME-survey")):
        command.add_argument(
            "study", metavar="STUDY", help=f"{', '.join(shipped('studies'))}, or the path of a .yaml file"
        )
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
            help="change a setting, such as recipe.dpo.epochs=2 or ratings.folder=export (repeatable)",
        )  # fmt: skip
        command.add_argument("--output", metavar="DIR", help=f"where the results go (default: {place})")
    run.add_argument(
        "--workers", type=_count, metavar="N", help="processes that train where there is no GPU (default: one a core)"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    overrides = parse_overrides(options.overrides)
    _check_input(options.study, overrides)
    _set_up_logging()
    print("pluralign: starting Prefect …", file=sys.stderr)
    from flows.study import run_study
    from flows.survey import run_survey

    settings = {"study": options.study, "overrides": overrides or None, "output": options.output}
    if options.command == "survey":
        return _finish(run_survey(**settings, return_state=True))
    return _finish(run_study(**settings, workers=options.workers, return_state=True))


def _check_input(study: str, overrides: dict) -> None:
    """Find what is wrong with settings and files before anything is started."""
    settings = load_study(study, overrides)
    codebooks = [load_codebook(name) for name in settings.ratings.codebooks]
    if settings.judge.kind == "llm" and settings.experiments and not os.environ.get("OPENAI_API_KEY"):
        raise InputError(f"{settings.name}: judge {settings.judge.model} needs a key in OPENAI_API_KEY")
    from tasks.ratings.load import check_codebook, files_of

    for codebook in codebooks:
        check_codebook(settings, codebook)
    if settings.ratings.folder is not None:
        files_of(codebooks, Path(settings.ratings.folder))


def _set_up_logging() -> None:
    """Our own progress on standard error; Prefect's chatter and tracebacks stay in its UI."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name in ("flows", "tasks"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)


def _finish(state: State) -> int:
    from flows.facts import Outcome

    result = state.result(raise_on_failure=False)
    if isinstance(result, InputError):
        raise result
    if not isinstance(result, Outcome):
        print(f"pluralign: failed: {' '.join(str(result or state.message).split())}", file=sys.stderr)
        return FAILED
    _summarise(result)
    return IN_PART if 0 < result.failed < result.cells else FAILED if result.failed else WHOLE


def _summarise(outcome: Outcome) -> None:
    import pandas as pd

    pooled = outcome.folder / "tables" / "pooled.csv"
    if outcome.cells and pooled.exists():
        table = pd.read_csv(pooled)
        print(
            table[["contrast", "dimension", "k", "estimate", "ci_low", "ci_high", "published"]]
            .round(3)
            .to_string(index=False)
        )
        print(f"{outcome.cells} cells, {outcome.trained} training runs made now, {outcome.failed} failed")
    print(f"report: {outcome.report}")


if __name__ == "__main__":
    sys.exit(main())
