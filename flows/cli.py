"""`pluralign`: the command line, a table of commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from configs.errors import InputError, Unavailable, without_credentials
from configs.load import load_codebooks, load_study, parse_overrides, shipped

if TYPE_CHECKING:
    from prefect.states import State

    from configs.schema import Study
from flows import LOGGERS
from flows.screen import ScreenHandler, on_screen, show_cursor
from tasks.runtime.processes import stopped_in_time
from tasks.runtime.progress import Board
from tasks.serving.temporary import start_server

Result = TypeVar("Result")
WHOLE, FAILED, WRONG_INPUT, IN_PART = 0, 1, 2, 3
EXIT_CODES = "exit codes: 0 whole, 1 failed, 2 wrong usage or input, 3 finished in part"
SECONDS_TO_STOP = 10.0
STARTING = "pluralign: starting Prefect …"
UNANNOUNCED = "no Prefect server is set, so the studies that follow this collection are not started"
STOPPED = "stopped; run the same command again to go on from here"
DEFINITIONS = Path(__file__).with_name("prefect.yaml")
"""The deployments."""
POOLED = ["contrast", "dimension", "k", "estimate", "ci_low", "ci_high", "published"]
SHARES = ["share_of_participants", "share_of_ratings", "share_of_preferences", "retained", "majority_loses"]
"""The columns of pooled.csv and of audit.csv that are printed at the end."""


Argument = tuple[str, dict[str, Any]]
"""Name and settings, as argparse takes them."""


@dataclass(frozen=True)
class Command:
    """What `--help` says of a command, its arguments, and the function that runs it and returns the exit code."""

    help: str
    description: str | None
    arguments: tuple[Argument, ...]
    function: Callable[[Namespace], int]


COMMANDS: dict[str, Command] = {}


def argument(name: str, metavar: str | None, help: str, **settings: Any) -> Argument:
    return name, settings | {"help": help} | ({"metavar": metavar} if metavar else {})


def command(help: str, *arguments: Argument, description: str | None = None) -> Callable[..., None]:
    """Put a function into the table, as the command of its name."""

    def enter(function: Callable[[Namespace], int]) -> None:
        COMMANDS[function.__name__] = Command(help, description, arguments, function)

    return enter


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def output(place: str) -> Argument:
    return argument("--output", "DIR", f"where the results go (default: {place})")


STUDY = argument("study", "STUDY", f"{', '.join(shipped('studies'))}, or the path of a .yaml file")
SETTING = "change a setting, such as recipe.dpo.epochs=2 or ratings.folder=export (repeatable)"
SET = argument("--set", "KEY=VALUE", SETTING, action="append", default=[], dest="overrides")
STORE = argument("--store", "DIR|URL", "where artifacts are kept, such as s3://BUCKET/PREFIX (default: in the home)")
RUNNER = argument("--runner", "WHERE", "local, ray, or ray://HOST:PORT of a cluster's head (default: local)")
WORKERS = argument("--workers", "N", "processes that train where there is no GPU (default: one a core)", type=count)


# ---- the commands


@command("run a study, or what is missing of it", STUDY, SET, output("outputs/NAME"), WORKERS, RUNNER, STORE)
def run(options: Namespace) -> int:
    from tasks.architectures.load import check_access
    from tasks.judging.judges import check_judge

    study = _load_study(options)
    check_access(study.architectures)
    judge = study.judge
    if study.experiments:
        check_judge(judge)
    if study.experiments and judge.needs_key and not (os.environ.get(judge.key) or os.environ.get("PREFECT_API_URL")):
        raise InputError(f"{study.name}: judge {judge.title} needs a key in {judge.key}")
    _check_ratings(study)
    _start_prefect()
    from flows.study import run_study

    state = run_study(**_flow_parameters(options), workers=options.workers, return_state=True)
    return _finish(_end_of(state), "pooled", POOLED)


@command("ratings to survey tables, figures and report only", STUDY, SET, output("outputs/NAME-survey"), STORE)
def survey(options: Namespace) -> int:
    _check_ratings(_load_study(options))
    if _prefect_has_a_server():
        from flows.survey import run_survey

        return _finish(_end_of(run_survey(**_flow_parameters(options), return_state=True)))
    from flows.parts import survey_alone

    return _finish(_attempt(lambda: survey_alone(**_flow_parameters(options))))


@command(
    "whose voice is in the ratings, and what each condition does to it", STUDY, SET, output("outputs/NAME-audit"), STORE
)
def audit(options: Namespace) -> int:
    from tasks.audit.audit import check_audit

    study = _load_study(options)
    check_audit(study)
    _check_ratings(study)
    shown = ["condition", "stratum", *SHARES]
    if _prefect_has_a_server():
        from flows.audit import run_audit

        return _finish(_end_of(run_audit(**_flow_parameters(options), return_state=True)), "audit", shown)
    from flows.parts import audit_alone

    return _finish(_attempt(lambda: audit_alone(**_flow_parameters(options))), "audit", shown)


@command(
    "what a run would train, judge and cost, and why, before anything runs",
    *(STUDY, SET, argument("--output", "FILE", "also write the cells as CSV", type=Path), WORKERS, STORE),
)
def plan(options: Namespace) -> int:
    from tasks.runtime.home import prepare_home

    _check_ratings(_load_study(options))
    prepare_home()
    _set_up_logging()
    from tasks.planning.plan import describe, plan_study
    from tasks.runtime.files import write_atomically
    from tasks.runtime.spreadsheet import as_csv

    board = Board()
    with on_screen(board), board.working("plan"):
        planned = plan_study(options.study, parse_overrides(options.overrides), options.workers)
    if options.output:
        write_atomically(options.output, as_csv(planned.table()))
    print(describe(planned))
    return WHOLE


@command(
    "what this machine and these settings can and can't do, and what to do about it",
    argument("study", "STUDY", "also against what this study needs (default: only what all need)", nargs="?"),
    *(SET, output("outputs/NAME"), WORKERS, RUNNER, STORE),
    argument("--json", None, "print the findings as JSON", action="store_true"),
    description="Look at versions, GPUs, models, disk, server, databases, MLflow, store, runner, judge, secrets and "
    "clock. Each line is ok, bad (then it says what to do) or a note. Nothing is left behind, and nothing is paid for. "
    "Exit code 1 where a line is bad.",
)
def doctor(options: Namespace) -> int:
    study = _load_study(options) if options.study else None
    _set_up_logging()
    from flows.server import way_to_server
    from tasks.doctor.checks import examine
    from tasks.doctor.finding import BAD, Settings, as_json, texts_of

    server, headers, fault = "", dict[str, str](), ""
    try:
        server, headers = way_to_server()
    except Exception as error:  # whatever Prefect makes of its settings: one of the lines says so
        fault = str(error)
    settings = Settings(
        study, texts_of(options.study, options.overrides), server=server, server_headers=headers, server_fault=fault,
        output=Path(options.output or f"outputs/{study.name if study else ''}"), workers=options.workers,
    )  # fmt: skip
    board = Board()
    with on_screen(board), board.working("doctor"):
        found = examine(settings)
    print(as_json(found) if options.json else "\n".join(map(str, found)))
    return FAILED if any(finding.level == BAD for finding in found) else WHOLE


def counts(text: str) -> tuple[int, ...]:
    """`100,200` → 100 and 200."""
    return tuple(count(part.strip()) for part in text.split(","))


def above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def effect_sizes(text: str) -> tuple[float, ...]:
    """`0.02,0.05` → both."""
    sizes = tuple(above_zero(part.strip()) for part in text.split(","))
    if max(sizes) > 1:
        raise argparse.ArgumentTypeError(f"expected sizes on the 0-1 score, got {text!r}")
    return sizes


def share(text: str) -> float:
    value = above_zero(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, got {text!r}")
    return value


CONTRAST = "A - B, or EXPERIMENT:A:B:DIMENSION (default: the first between two groups of raters)"
EFFECT = "sizes on the 0-1 score, such as 0.02,0.05 (default: the published estimate, else 0.02,0.05,0.1)"
ASSUME = "take this for what was measured, or not: raters, transfer, prompts, prompts_shared, architectures or seeds"
FROM = "the outputs of a run that measured the components (default: outputs/NAME, where there is one)"


def numbers(name: str, what: str) -> Argument:
    return argument(name, "N,…", f"{what} (default: around the study's own number)", type=counts)


@command(
    "before you collect: the error, the power and the cost of a study, by its size",
    STUDY,
    SET,
    argument("--contrast", "CONTRAST", CONTRAST),
    argument("--effect", "SIZE,…", EFFECT, type=effect_sizes, default=()),
    numbers("--raters", "raters: of each group where groups are compared, else in all"),
    numbers("--ratings-each", "responses that a rater rates"),
    numbers("--prompts", "held-out prompts"),
    numbers("--architectures", "architectures"),
    numbers("--replicates", "rater replicates"),
    numbers("--seeds", "training seeds"),
    argument("--power", "SHARE", "to be reached at the least cost (default: 0.8)", type=share, default=0.8),
    argument("--price-per-rating", "DOLLARS", "of a rated response", type=above_zero),
    argument("--price-per-gpu-hour", "DOLLARS", "of an hour on a GPU", type=above_zero),
    argument("--from", "DIR", FROM, type=Path, dest="source"),
    argument("--assume", "KEY=VALUE", f"{ASSUME} (repeatable)", action="append", default=[]),
    output("outputs/NAME-design"),
    STORE,
    description="Predict, for one contrast, the standard error, the 95% interval and the power of studies of other "
    "sizes from the components of a finished run, or from ratings and named assumptions. Nothing is trained.",
)
def design(options: Namespace) -> int:
    from configs.load import parse_assumptions
    from tasks.runtime.home import prepare_home

    study, assumptions = _load_study(options), parse_assumptions(options.assume)
    prepare_home()
    _set_up_logging()
    from tasks.planning.design import Design
    from tasks.planning.design_report import report, write_design
    from tasks.planning.design_study import Prices, Question, design_study

    question = Question(
        contrast=options.contrast,
        effects=options.effect,
        numbers={name: found for name in Design.__dataclass_fields__ if (found := getattr(options, name))},
        power=options.power,
        prices=Prices(options.price_per_rating, options.price_per_gpu_hour),
        assumptions=assumptions,
    )
    board = Board()
    with on_screen(board), board.working("design"):
        designed = design_study(study, options.source, question)
    folder = Path(options.output or f"outputs/{study.name}-design")
    write_design(designed, folder)
    print(report(designed))
    print(f"{folder / 'design.csv'}, {folder / 'figures' / 'design.svg'}")
    return WHOLE


TABLE = "a .csv file (also .parquet, .jsonl, .json or .xlsx)"
REFERENCE = "the level that the others are compared with (default: the first in sorted order; repeatable)"
FIT = "write the fit as JSON; ci_low and ci_high are the odds ratio's 95%% interval"


@command(
    "fit a cumulative link mixed model to any table of ratings",
    argument("data", "DATA", f"{TABLE}, one rating a row", type=Path),
    argument("formula", "FORMULA", "such as 'rating ~ temp + contact + (1|judge)'"),
    argument("--reference", "COLUMN=LEVEL", REFERENCE, action="append", default=[]),
    argument("--output", "FILE", FIT, type=Path),
    description="Fit a cumulative link mixed model (logit link, up to two crossed random intercepts, Laplace "
    "approximation), as R's ordinal::clmm does. A positive coefficient means higher ratings.",
)
def clmm(options: Namespace) -> int:
    from tasks.survey.clmm.fit_file import fit_file

    _set_up_logging()
    return WHOLE if fit_file(options.data, options.formula, options.reference, options.output) else FAILED


EFFECTS = f"{TABLE} with the columns estimate and std_error, and architecture, study or label for the names"
ESTIMATE = "the column with the effects (default: estimate)"
STD_ERROR = "the column with their standard errors (default: std_error)"
VARIANCE = "the column with their variances, instead of standard errors"
LABEL = "the column with their names (default: architecture, study or label, where there is one)"
FIGURES = "at most so many forest plots (default: 200); groups without one are named"
BY = "what is pooled together, such as experiment contrast dimension (default: all rows)"
METHOD = "of the variance between studies: fixed, dl (DerSimonian-Laird, default), reml, pm (Paule-Mandel)"
COVARIANCE = (
    "a file with the covariance of the effects' errors: a square matrix with their names, or rows a,b,covariance"
)
SHARED = "the column that says what effects share, such as a control or raters; CR2 clusters by it"
CORRELATION = "of the errors of two effects that share it (default: 0.6, an assumption)"
TAU_SCALE = "of the half-normal prior on τ, in the unit of the estimates (default: 0.1, for a score of 0 to 1)"


@command(
    "pool any table of effects, with forest plots",
    argument("effects", "EFFECTS", EFFECTS, type=Path),
    argument("--by", "COLUMN", BY, nargs="+", default=[]),
    argument("--estimate", "COLUMN", ESTIMATE, default="estimate"),
    argument("--std-error", "COLUMN", STD_ERROR),
    argument("--variance", "COLUMN", VARIANCE),
    argument("--label", "COLUMN", LABEL),
    argument("--method", "METHOD", METHOD, default="dl"),
    argument("--covariance", "FILE", COVARIANCE, type=Path),
    argument("--shares", "COLUMN", SHARED),
    argument("--correlation", "RHO", CORRELATION, type=float),
    argument("--tau-scale", "SCALE", TAU_SCALE, type=float),
    argument("--output", "DIR", "write pooled.csv, leave_one_out.csv and figures/", type=Path),
    argument("--figures", "N", FIGURES, type=count),
    description="Pool effects over studies or architectures: Wald and Hartung-Knapp-Sidik-Jonkman intervals, Q, I², "
    "τ² with its interval, prediction interval, every effect left out, Holm's adjustment. With --covariance, --shares "
    "or --tau-scale also CR2 and a half-normal prior on τ.",
)
def meta(options: Namespace) -> int:
    from tasks.meta_analysis.dependence import Dependence
    from tasks.meta_analysis.pool_file import pool_file, summary
    from tasks.meta_analysis.read_effects import EffectColumns
    from tasks.reporting.pooled_file import MOST_FIGURES, write_pooled

    _set_up_logging()
    dependence = Dependence(options.covariance, options.shares, options.correlation, options.tau_scale)
    columns = EffectColumns(options.estimate, options.std_error, options.variance, options.label)
    board = Board()
    with on_screen(board), board.working("meta"):
        result = pool_file(options.effects, options.by, options.method, dependence, columns)
        if options.output:
            write_pooled(result, options.by, options.method, options.output, options.figures or MOST_FIGURES)
    print(summary(result, options.by))
    return WHOLE


WHAT = (
    "EXPERIMENT:FIRST:SECOND:DIMENSION, such as scale:5-point:control:toxicity (with :ARCHITECTURE for one of those "
    "pooled), or a participant's pseudonym"
)


@command(
    "what a number rests on, or what a participant's ratings touched",
    argument("study", "STUDY", "a shipped study's name, or the path of a .yaml file"),
    argument("what", "EFFECT-ID|PARTICIPANT", WHAT),
    argument("--output", "DIR", "where its outputs are (default: outputs/NAME)", type=Path),
    STORE,
    description="Go from an effect of a finished study to its runs, adapters, judge and ratings, or from a "
    "participant to the runs and effects that rest on their ratings. Nothing runs.",
)
def trace(options: Namespace) -> int:
    from tasks.lineage.trace import trace

    print("\n".join(trace(options.study, options.what, options.output)))
    return WHOLE


KEEP = f"a study to keep: {', '.join(shipped('studies'))}, or the path of a .yaml file"
KEEP_FINISHED = "also keep what the finished runs in outputs/*/study.json rest on"
OLDER = "leave alone what was written since, an hour at least (default: 0.05, which is 72 minutes)"
FROM_STORE = "a folder, or a URL such as s3://BUCKET/PREFIX (default: that of PLURALIGN_STORE, or of PLURALIGN_HOME)"


@command(
    "what no kept study needs, with its size; --delete removes it",
    argument("studies", "STUDY", KEEP, nargs="*"),
    SET,
    argument("--keep-finished", None, KEEP_FINISHED, action="store_true"),
    argument("--older-than", "DAYS", OLDER, type=above_zero, default=0.05),
    argument("--delete", None, "remove what is listed; without it nothing is", action="store_true"),
    argument("--store", "URL", FROM_STORE),
    description="List what the store keeps that a run of none of these studies would find, and remove it. A study's "
    "settings count as they are now. The history, paid verdicts and what lands are never touched.",
)
def gc(options: Namespace) -> int:
    from tasks.runtime.home import prepare_home

    studies = [load_study(name, parse_overrides(options.overrides)) for name in options.studies]
    for study in studies:
        _check_ratings(study)
    prepare_home()
    _set_up_logging()
    from flows.secret_keys import find_block
    from tasks.lineage.unneeded import DAY, describe, find_unneeded, finished_runs, remove
    from tasks.runtime.stores import chosen_store, open_store

    store = open_store(options.store) if options.store else chosen_store()
    store.check()
    finished = finished_runs(Path("outputs")) if options.keep_finished else []
    board = Board()
    with on_screen(board), board.working("gc"):
        found = find_unneeded(studies, finished, store, find_block, options.older_than * DAY)
    print("\n".join(describe(found)), flush=True)
    with on_screen(board), board.working("gc"):
        faults = remove(found.listed, store) if options.delete else []
    for fault in faults:
        print(f"pluralign: {fault}", file=sys.stderr)
    removed = f"removed: {len(found.listed) - len(faults):,}" if options.delete else ""
    print(removed or "nothing was removed; --delete removes what is listed")
    return IN_PART if faults else WHOLE


ONLY = "write these parts alone: preferences, ratings, tables (default: all)"
ATTRIBUTES = "declared by participants, the first mattering most (default: those of the study's strata)"


@command(
    "preference data for TRL, single ratings and a run's tables, as Parquet for other tools",
    STUDY,
    SET,
    argument("--only", None, ONLY, nargs="+", choices=("preferences", "ratings", "tables"), default=[]),
    argument("--attributes", "ATTRIBUTE", ATTRIBUTES, nargs="+", default=[]),
    argument("--from", "DIR", "the outputs of the run whose tables these are (default: outputs/NAME, where there is "
             "one)", type=Path, dest="source"),
    output("outputs/NAME-export"),
    STORE,
    description="Write preference data in the formats that TRL and pluralign train on, single ratings under pseudonyms "
    "of their own with small cells emptied, and the tables of a finished run, with a dictionary of their columns. "
    "Nothing is trained.",
)  # fmt: skip
def export(options: Namespace) -> int:
    from tasks.runtime.home import prepare_home

    study = _load_study(options)
    _check_ratings(study)
    prepare_home()
    _set_up_logging()
    from flows.secret_keys import find_block
    from tasks.exporting.export import export_study

    folder = Path(options.output or f"outputs/{study.name}-export")
    board = Board()
    with on_screen(board), board.working("export"):
        lines = export_study(study, folder, options.only, options.attributes, options.source, find_block)
    print("\n".join(lines))
    return WHOLE


LOGS = "a .eval or .json log; the first one of a task is what its others are compared with"


@command(
    "scores in logs of Inspect as verdicts, and as effects that meta pools; no study needed",
    argument("logs", "LOG", LOGS, nargs="+", type=Path),
    output("outputs/inspect"),
    description="Read logs of the evaluation framework Inspect: verdicts.csv has every score, or why there is none, "
    "effects.csv the paired differences between models on the same samples.",
)
def inspect(options: Namespace) -> int:
    from tasks.exporting.log_verdicts import write_log_verdicts

    _set_up_logging()
    print("\n".join(write_log_verdicts(options.logs, Path(options.output or "outputs/inspect"))))
    return WHOLE


@command(
    "Prefect server, worker and deployments, MLflow UI, on this machine",
    argument("--port", "N", "of Prefect (default: 4200)", type=count, default=4200),
    argument("--study", "STUDY", "what the deployments are for: those of the inbox, the nightly"),
    argument("--mlflow-port", "N", "of MLflow (default: 5000)", type=count, default=5000),
)
def serve(options: Namespace) -> int:
    from tasks.serving.serve import serve

    if options.study:
        load_study(options.study)
    return serve(options.port, options.mlflow_port, DEFINITIONS, options.study)


EXPORTS = "a folder with the files of the study's codebooks, or the file of a codebook with one table"


@command(
    "validate exports and add them to a study's collection of ratings",
    argument("exports", "EXPORT", EXPORTS, nargs="+", type=Path),
    argument("--study", "STUDY", "whose codebooks read them, and whose collection", required=True),
    argument("--strict", None, "land nothing because of one row that can't be used", action="store_true"),
)
def land(options: Namespace) -> int:
    from tasks.ratings.landing.exports import find_exports

    study = load_study(options.study)
    exports = [path.resolve() if path.is_symlink() else path for path in options.exports]  # a link that you name counts
    find_exports(exports, load_codebooks(study.ratings.codebooks))
    parameters: Any = {"exports": [str(path) for path in exports], "study": options.study, "strict": options.strict}
    announced = _prefect_has_a_server()
    from flows.parts import land_exports
    from tasks.ratings.landing.landing import Landing
    from tasks.ratings.landing.summary import lines

    logging.getLogger(land_exports.__module__).setLevel(logging.WARNING)  # its summary is printed here
    if announced:
        from flows.ratings import land_ratings

        result = _end_of(land_ratings(**parameters, return_state=True))
    else:
        result = _attempt(lambda: land_exports(**parameters))
    landing = _result(result, Landing)
    if landing is None:
        return FAILED
    if landing.fresh and not announced:
        print(f"pluralign: {UNANNOUNCED}", file=sys.stderr)
    print("\n".join(lines(landing)))
    return WHOLE


WHO = "their pseudonym, or their id in the exports, which then stands in your shell's history"


@command(
    "what is kept of a participant and what rests on it; --delete removes it from a collection",
    argument("who", "PSEUDONYM|ID", WHO),
    argument("--study", "STUDY", "whose collection", required=True),
    argument("--delete", None, "remove their rows; without it nothing is", action="store_true"),
    STORE,
    description="Find a participant in a collection's snapshots, say what of the finished runs in outputs/ rests on "
    "their ratings, and with --delete take their rows out of every snapshot for good. They land no more then.",
)
def forget(options: Namespace) -> int:
    from tasks.runtime.home import prepare_home

    study = load_study(options.study)
    prepare_home()
    _set_up_logging()
    from flows.secret_keys import find_block
    from tasks.lineage.forgotten import forget_participant
    from tasks.runtime.stores import chosen_store

    store = chosen_store()
    print("\n".join(forget_participant(study, options.who, Path("outputs"), store, find_block, options.delete)))
    return WHOLE


TABLES = "files with ratings, and what belongs to them: CSV, JSON, JSON Lines, Parquet or Excel; or a folder of such"
WRITE_OVER = "write over a codebook and a study that are there"


@command(
    "from your tables to a codebook and a study that run",
    argument("tables", "TABLE", TABLES, nargs="+", type=Path),
    argument("--output", "DIR", "where they are written (default: pluralign-NAME)", type=Path),
    argument("--survey", None, "a study of what the ratings say, without models", action="store_true"),
    argument("--small", None, "one experiment on a small real model, in place of tiny ones", action="store_true"),
    argument("--force", None, WRITE_OVER, action="store_true"),
    description="Read your files, find who rated what on which scale, say what was assumed and what could not be told, "
    "and write a commented codebook and a study whose experiments these ratings can answer. Nothing is copied.",
)
def init(options: Namespace) -> int:
    from tasks.starting.init import start

    if options.survey and options.small:
        raise InputError("--survey or --small, not both")
    started = start(
        options.tables,
        options.output,
        "survey" if options.survey else "small" if options.small else "tiny",
        options.force,
    )
    print("\n".join(started.lines))
    for fault in started.faults:
        print(f"pluralign: can't run yet: {fault}", file=sys.stderr)
    return IN_PART if started.faults else WHOLE


# ---- running one


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="pluralign",
        description="Whose feedback, and which design choices, shape my model, and how sure can I be?",
        epilog=EXIT_CODES,
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = parsers.add_parser(name, help=command.help, description=command.description, epilog=EXIT_CODES)
        for argument_name, settings in command.arguments:
            own.add_argument(argument_name, **settings)
    options = parser.parse_args(arguments)
    logging.captureWarnings(True)  # those of libraries are for who changes the code
    try:
        # Prefect has its own way with SIGTERM, and a server that is gone would be waited for in vain
        with stopped_in_time(SECONDS_TO_STOP, _give_up), _places_of(options):
            return COMMANDS[options.command].function(options)
    except InputError as error:
        print(f"pluralign: {error}", file=sys.stderr)
        return WRONG_INPUT
    except Unavailable as error:
        print(f"pluralign: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"pluralign: {STOPPED}", file=sys.stderr)
        return FAILED
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("prefect", "httpx"):
            raise
        print(f"pluralign: {_without_prefect(error)}", file=sys.stderr)
        return FAILED


def _without_prefect(error: Exception) -> str:
    """Why nothing can be done where Prefect's server does not take down what happens."""
    from tasks.runtime.home import home

    reason = without_credentials(" ".join(str(error).split()))[:200]
    full = [str(folder) for folder in (home(), Path()) if folder.exists() and shutil.disk_usage(folder).free < 2**20]
    room = f"no space is left in {full[0]}: make room, then run" if full else "run"
    return f"Prefect's server failed ({reason}); {room} the same command again, which goes on from what there is"


def _give_up() -> None:
    show_cursor()
    print(f"pluralign: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(FAILED)


@contextmanager
def _places_of(options: Namespace) -> Iterator[None]:
    """Within it the environment, which all that is started inherits, names the runner and the store of the options."""
    store = getattr(options, "store", None)
    if store and "://" not in store:
        store = str(Path(store).absolute())
    chosen = {"PLURALIGN_RUNNER": getattr(options, "runner", None), "PLURALIGN_STORE": store}
    earlier = {name: os.environ.get(name) for name in chosen}
    os.environ.update({name: value for name, value in chosen.items() if value})
    try:
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})


def _load_study(options: Namespace) -> Study:
    return load_study(options.study, parse_overrides(options.overrides))


def _check_ratings(study: Study) -> None:
    """See that the study fits its codebooks and that its ratings are there, before anything starts."""
    from tasks.ratings.reading.load import files_of, fitting_codebooks

    codebooks = fitting_codebooks(study)
    if study.ratings.folder is not None:
        files_of(codebooks, Path(study.ratings.folder))
    if study.ratings.collection is not None:
        from tasks.ratings.landing.snapshot import collection_of
        from tasks.runtime.home import home

        collection_of(study, home()).find(study.ratings.snapshot)


def _flow_parameters(options: Namespace) -> dict[str, Any]:
    overrides = parse_overrides(options.overrides)
    return {"study": options.study, "overrides": overrides or None, "output": options.output}


def _prefect_has_a_server() -> bool:
    """Whether Prefect's settings name a server, which then answers; nothing is started."""
    from flows.server import address_of_server, check_server
    from tasks.runtime.home import prepare_home

    prepare_home()
    _set_up_logging()
    if not address_of_server():
        return False
    print(STARTING, file=sys.stderr)
    check_server()
    return True


def _start_prefect() -> None:
    """With a temporary server, where its settings name none."""
    if _prefect_has_a_server():
        return
    print(STARTING, file=sys.stderr)
    from flows.server import check_server

    check_server()
    import prefect.context

    os.environ.update(start_server())
    prefect.context.refresh_global_settings_context()


def _set_up_logging() -> None:
    """Our own progress on standard error; Prefect's chatter and tracebacks stay in its UI."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name in LOGGERS:
        handlers = logging.getLogger(name).handlers  # with Prefect's, where this process has run a flow before
        if not any(isinstance(handler, ScreenHandler) for handler in handlers):
            handlers.insert(0, ScreenHandler())


def _end_of(state: State) -> object:
    """What a flow run returned or raised; its state in words where neither is known."""
    return state.result(raise_on_failure=False) or state.message


def _attempt(function: Callable[[], object]) -> object:
    """What the function returns, or raises, as `_end_of` has it."""
    try:
        return function()
    except Exception as error:
        logging.getLogger(__name__).debug("failed", exc_info=True)
        return error


def _finish(result: object, table: str = "", columns: list[str] | None = None) -> int:
    """Print what a run of a study came to, with columns of one of its tables; the exit code."""
    from flows.outcome import Outcome
    from tasks.runtime.spreadsheet import read_csv

    outcome = _result(result, Outcome)
    if outcome is None:
        return FAILED
    path = outcome.folder / "tables" / f"{table}.csv"
    if (outcome.cells or table == "audit") and path.exists():
        print(read_csv(path)[columns].round(3).to_string(index=False))
    if outcome.cells:
        print(f"{outcome.cells} cells, {outcome.trained} training runs made now, {outcome.failed} failed")
    print(f"report: {outcome.report}")
    if outcome.stopped:
        print(f"pluralign: {outcome.stopped}", file=sys.stderr)
        return FAILED
    return IN_PART if 0 < outcome.failed < outcome.cells else FAILED if outcome.failed else WHOLE


def _result(result: object, kind: type[Result]) -> Result | None:
    """What a run returned; None, with a line that says why, where it failed."""
    if isinstance(result, InputError):
        raise result
    if isinstance(result, kind):
        return result
    print(f"pluralign: failed: {' '.join(str(result).split())}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
