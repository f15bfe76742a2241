"""`pluralign`: the command line. Nothing heavy is imported before it is needed, so `--help` answers at once."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from configs.errors import InputError
from configs.load import load_codebook, load_study, parse_overrides, shipped

if TYPE_CHECKING:
    from prefect.states import State

    from flows.outcome import Outcome

Result = TypeVar("Result")
WHOLE, FAILED, WRONG_INPUT, IN_PART = 0, 1, 2, 3
SECONDS_TO_STOP = 10.0
STOPPED = "stopped; run the same command again to go on from here"
EXIT_CODES = "exit codes: 0 whole, 1 failed, 2 wrong usage or input, 3 finished in part"
SHOWN = {
    "run": ("pooled", ["contrast", "dimension", "k", "estimate", "ci_low", "ci_high", "published"]),
    "audit": ("audit", ["condition", "stratum", "share_of_participants", "share_of_ratings", "share_of_preferences",
                        "retained", "majority_loses"]),
}  # fmt: skip
"""Command → the table that it ends with, and the columns shown of it."""


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
    audit = commands.add_parser(
        "audit", help="whose voice is in the ratings, and what each condition does to it", epilog=EXIT_CODES
    )
    plan = commands.add_parser(
        "plan", help="what a run would train, judge and cost, and why, before anything runs", epilog=EXIT_CODES
    )
    places = {run: "outputs/NAME", survey: "outputs/NAME-survey", audit: "outputs/NAME-audit"}
    for command in (*places, plan):
        command.add_argument(
            "study", metavar="STUDY", help=f"{', '.join(shipped('studies'))}, or the path of a .yaml file"
        )
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
            help="change a setting, such as recipe.dpo.epochs=2 or ratings.folder=export (repeatable)",
        )  # fmt: skip
    for command, place in places.items():
        command.add_argument("--output", metavar="DIR", help=f"where the results go (default: {place})")
    plan.add_argument("--output", metavar="FILE", type=Path, help="also write the cells as CSV")
    clmm = commands.add_parser(
        "clmm", help="fit a cumulative link mixed model to any table of ratings", epilog=EXIT_CODES,
        description="Fit a cumulative link mixed model (logit link, up to two crossed random intercepts, Laplace "
        "approximation), as R's ordinal::clmm does. A positive coefficient means higher ratings.",
    )  # fmt: skip
    clmm.add_argument("data", metavar="DATA", type=Path, help="a .csv file, one rating a row")
    clmm.add_argument("formula", metavar="FORMULA", help="such as 'rating ~ temp + contact + (1|judge)'")
    clmm.add_argument(
        "--reference", action="append", default=[], metavar="COLUMN=LEVEL",
        help="the level that the others are compared with (default: the first in sorted order; repeatable)",
    )  # fmt: skip
    clmm.add_argument(
        "--output", metavar="FILE", type=Path,
        help="write the fit as JSON; ci_low and ci_high are the odds ratio's 95%% interval",
    )  # fmt: skip
    meta = commands.add_parser(
        "meta", help="pool any table of effects, with forest plots", epilog=EXIT_CODES,
        description="Pool effects over studies or architectures: Wald and Hartung-Knapp-Sidik-Jonkman intervals, Q, "
        "I², τ² with its interval, prediction interval, every effect left out, Holm's adjustment.",
    )  # fmt: skip
    meta.add_argument(
        "effects", metavar="EFFECTS", type=Path,
        help="a .csv file with the columns estimate and std_error, and architecture, study or label for the names",
    )  # fmt: skip
    meta.add_argument(
        "--by", nargs="+", default=[], metavar="COLUMN",
        help="what is pooled together, such as experiment contrast dimension (default: all rows)",
    )  # fmt: skip
    meta.add_argument(
        "--method", default="dl", metavar="METHOD",
        help="of the variance between studies: fixed, dl (DerSimonian-Laird, default), reml, pm (Paule-Mandel)",
    )  # fmt: skip
    meta.add_argument("--output", metavar="DIR", type=Path, help="write pooled.csv, leave_one_out.csv and figures/")
    trace = commands.add_parser(
        "trace", help="what a number rests on, or what a participant's ratings touched", epilog=EXIT_CODES,
        description="Go from an effect of a finished study to its runs, adapters, judge and ratings, or from a "
        "participant to the runs and effects that rest on their ratings. Nothing runs.",
    )  # fmt: skip
    trace.add_argument("study", metavar="STUDY", help="a shipped study's name, or the path of a .yaml file")
    trace.add_argument(
        "what", metavar="EFFECT-ID|PARTICIPANT",
        help="EXPERIMENT:FIRST:SECOND:DIMENSION, such as scale:5-point:control:toxicity (with :ARCHITECTURE for one of "
        "those pooled), or a participant's pseudonym",
    )  # fmt: skip
    trace.add_argument("--output", metavar="DIR", type=Path, help="where its outputs are (default: outputs/NAME)")
    for command in (run, plan):
        command.add_argument(
            "--workers", type=_count, metavar="N",
            help="processes that train where there is no GPU (default: one a core)",
        )  # fmt: skip
    serve = commands.add_parser(
        "serve", help="Prefect server, worker and deployments, MLflow UI, on this machine", epilog=EXIT_CODES
    )
    serve.add_argument("--port", type=_count, default=4200, metavar="N", help="of Prefect (default: 4200)")
    serve.add_argument("--study", metavar="STUDY", help="what the deployments are for: those of the inbox, the nightly")
    serve.add_argument("--mlflow-port", type=_count, default=5000, metavar="N", help="of MLflow (default: 5000)")
    land = commands.add_parser(
        "land", help="validate exports and add them to a study's collection of ratings", epilog=EXIT_CODES
    )
    land.add_argument(
        "exports", metavar="EXPORT", nargs="+", type=Path,
        help="a folder with the files of the study's codebooks, or the file of a codebook with one table",
    )  # fmt: skip
    land.add_argument("--study", metavar="STUDY", required=True, help="whose codebooks read them, and whose collection")
    land.add_argument("--strict", action="store_true", help="land nothing because of one row that can't be used")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    if options.command == "clmm":
        from flows.clmm import fit_table

        _set_up_logging()
        return WHOLE if fit_table(options.data, options.formula, options.reference, options.output) else FAILED
    if options.command == "meta":
        from flows.meta import pool_file, summary, write_pooled

        _set_up_logging()
        result = pool_file(options.effects, options.by, options.method)
        if options.output:
            write_pooled(result, options.by, options.method, options.output)
        print(summary(result, options.by))
        return WHOLE
    if options.command == "trace":
        from tasks.lineage.trace import trace

        print("\n".join(trace(options.study, options.what, options.output)))
        return WHOLE
    if options.command == "serve":
        from tasks.serving.serve import serve

        if options.study:
            load_study(options.study)
        return serve(options.port, options.mlflow_port, options.study)
    if options.command == "land":
        return _land(options)
    overrides = parse_overrides(options.overrides)
    _check_input(options.command, options.study, overrides)
    _set_up_logging()
    if options.command == "plan":
        from tasks.planning.plan import describe, plan_study
        from tasks.runtime.files import write_atomically

        plan = plan_study(options.study, overrides, options.workers)
        if options.output:
            write_atomically(options.output, plan.table().to_csv(index=False))
        print(describe(plan))
        return WHOLE
    print("pluralign: starting Prefect …", file=sys.stderr)
    from flows.audit import run_audit
    from flows.study import run_study
    from flows.survey import run_survey

    settings = {"study": options.study, "overrides": overrides or None, "output": options.output}
    if options.command == "survey":
        return _finish("survey", run_survey(**settings, return_state=True))
    if options.command == "audit":
        return _finish("audit", run_audit(**settings, return_state=True))
    return _finish("run", run_study(**settings, workers=options.workers, return_state=True))


def _land(options: argparse.Namespace) -> int:
    """Land exports, and tell what became of them."""
    settings = load_study(options.study)
    from tasks.ratings.landing.exports import find_exports

    find_exports(options.exports, [load_codebook(name) for name in settings.ratings.codebooks])
    _set_up_logging()
    logging.getLogger("flows.ratings").setLevel(logging.WARNING)  # its summary is printed here
    print("pluralign: starting Prefect …", file=sys.stderr)
    from flows.ratings import land_ratings
    from tasks.ratings.landing.landing import Landing
    from tasks.ratings.landing.summary import lines

    exports = [str(path) for path in options.exports]
    state = land_ratings(exports, options.study, options.strict, return_state=True)
    landing = _result(state, Landing)
    if landing is None:
        return FAILED
    print("\n".join(lines(landing)))
    return WHOLE


def _check_input(command: str, study: str, overrides: dict) -> None:
    """Find what is wrong with settings and files before anything is started."""
    settings = load_study(study, overrides)
    if command == "audit":
        from tasks.audit.audit import check_audit

        check_audit(settings)
    codebooks = [load_codebook(name) for name in settings.ratings.codebooks]
    if command == "run":
        from tasks.architectures.load import check_access

        check_access(settings.architectures)
    judges = command == "run" and settings.experiments
    if judges and settings.judge.kind == "llm" and not settings.judge.base_url and not _may_have_a_key():
        raise InputError(f"{settings.name}: judge {settings.judge.model} needs a key in OPENAI_API_KEY")
    from tasks.ratings.reading.load import check_codebook, files_of

    for codebook in codebooks:
        check_codebook(settings, codebook)
    if settings.ratings.folder is not None:
        files_of(codebooks, Path(settings.ratings.folder))
    if settings.ratings.collection is not None:
        from tasks.ratings.landing.snapshot import collection_of
        from tasks.runtime.home import home

        collection_of(settings, home()).find(settings.ratings.snapshot)


def _may_have_a_key() -> bool:
    """Whether the judge's key is given here, or may be a secret of a Prefect server, which is asked later."""
    return bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("PREFECT_API_URL"))


def _set_up_logging() -> None:
    """Our own progress on standard error; Prefect's chatter and tracebacks stay in its UI."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name in ("flows", "tasks"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)


def _finish(command: str, state: State) -> int:
    from flows.outcome import Outcome

    result = _result(state, Outcome)
    if result is None:
        return FAILED
    _summarise(command, result)
    if result.stopped:
        print(f"pluralign: {result.stopped}", file=sys.stderr)
        return FAILED
    return IN_PART if 0 < result.failed < result.cells else FAILED if result.failed else WHOLE


def _result(state: State, kind: type[Result]) -> Result | None:
    """What a flow came to; None, with a line that says why, where it came to nothing."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, InputError):
        raise result
    if isinstance(result, kind):
        return result
    print(f"pluralign: failed: {' '.join(str(result or state.message).split())}", file=sys.stderr)
    return None


def _summarise(command: str, outcome: Outcome) -> None:
    import pandas as pd

    name, columns = SHOWN.get(command, ("", []))
    path = outcome.folder / "tables" / f"{name}.csv"
    if (outcome.cells or command == "audit") and path.exists():
        print(pd.read_csv(path)[columns].round(3).to_string(index=False))
    if outcome.cells:
        print(f"{outcome.cells} cells, {outcome.trained} training runs made now, {outcome.failed} failed")
    print(f"report: {outcome.report}")


if __name__ == "__main__":
    sys.exit(main())
