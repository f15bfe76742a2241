"""MLflow: one parent run a study, one child run a training run. The only module that knows MLflow.

What has been logged is remembered, so a re-run that trains nothing does not even import it: in the store where MLflow
is a server, which several machines may use, else beside its file. Of two who log one run at once, the first to remember
it counts, and the other removes its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from configs.errors import without_credentials
from tasks.runtime.databases import Product, make_database
from tasks.runtime.files import locked
from tasks.runtime.store import FileDocument, Store, StoredDocument

log = logging.getLogger(__name__)
KEY, CELLS = "pluralign.training_run", "pluralign.cells"
MOST_REFUSALS = 5
"""In a row; after them a server counts as failed."""
SECONDS_TO_LOG = 600
"""After so long, a run on a server that is not finished was left by a process that died."""
PAGES = "PLURALIGN_MLFLOW_PAGES"
"""The variable with the address where a browser finds MLflow's pages, if that is not the tracking URI."""


def tracking_uri(folder: Path) -> str:
    """Where runs are logged: `MLFLOW_TRACKING_URI`, by default a SQLite file in `folder`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def local_file(uri: str) -> Path | None:
    """The SQLite file of a URI; None where it names a server."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


class Tracker:
    """Logs a study's runs to `uri`, by default a SQLite file in `folder`.

    Logging happens in a thread of its own, so no cell waits for it. A tracking server that fails costs the study
    nothing: MLflow's client asks again for minutes, then there is one warning, and the next run of the study logs what
    is missing. A run that a server which answers does not take is left out, with a warning, and the others are logged.
    """

    def __init__(self, study: str, folder: Path, store: Store) -> None:
        self.study, self.folder = study, folder
        self.uri = tracking_uri(folder)
        self._local_file = local_file(self.uri)
        own = FileDocument(folder / "mlflow" / study, "MLflow is asked what it has")
        self._memory: StoredDocument = own if self._local_file else store.document("mlflow", study)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow")
        self._broken = threading.Event()
        self._refused_in_a_row = 0
        self._mlflow: Any = None

    def training_run(self, key: str, scores: str, **facts: Any) -> Future[str]:
        """Log a training run, once; the future gives its MLflow id, "" if that failed.

        Facts: cells (names), params, metrics, curve, digest and data (name) of the training data, adapter (folder).
        `scores` is the identity of the metrics: when a judge or the held-out prompts change, the run gets the new ones.
        """
        return self._thread.submit(self._careful, lambda: self._training_run(key, scores, facts))

    def replicates(self, key: str, scores: str, of: str, name: str, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Log the rater replicates of the training run `of` as one child of it, a replicate a step of its metrics.

        key: of the replicates' training runs; `scores` as in `training_run`. Logged once, after the training run.
        """
        self._thread.submit(self._careful, lambda: self._replicates(key, scores, of, name, metrics))

    def study_results(self, key: str, metrics: Mapping[str, float], folder: Path) -> str:
        """Log the study's results into the parent run, unless those of `key` are there; returns the parent's id."""
        return self._thread.submit(self._careful, lambda: self._study_results(key, metrics, folder)).result()

    def page(self, run: str, artifact: str) -> str:
        """Address of a run's artifact in MLflow's pages; "" where no server shows these runs."""
        server = os.environ.get(PAGES) or (self.uri if self.uri.startswith("http") else "")
        experiment = self._remembered().get("experiment")
        if not (server and run and experiment):
            return ""
        return f"{without_credentials(server)}/#/experiments/{experiment}/runs/{run}/artifacts/{artifact}"

    def _careful(self, action: Callable[[], str]) -> str:
        if self._broken.is_set():
            return ""
        try:
            with self._alone():
                done = action()
        except Exception as error:  # whatever the server or its client raises: the study goes on without it
            self._refused_in_a_row += 1
            reason, place = (without_credentials(" ".join(str(text).split())) for text in (error, self.uri))
            if _answered(error) and self._refused_in_a_row < MOST_REFUSALS:
                log.warning("MLflow refused a run (%s: %s): the next run tries again", place, reason[:200])
            else:
                self._broken.set()
                note = "MLflow failed (%s: %s): nothing more is logged now, the next run catches up"
                log.warning(note, place, reason[:200])
            return ""
        self._refused_in_a_row = 0
        return done

    def _alone(self) -> AbstractContextManager[None]:
        """Within it, no other process logs into the same file: a run that is not finished was left by one that died."""
        return locked(self.folder / "mlflow" / "logging.lock") if self._local_file else nullcontext()

    def _training_run(self, key: str, scores: str, facts: Mapping[str, Any]) -> str:
        known = self._remembered()["runs"].get(key)
        if known and known["scores"] == scores:
            return known["id"]
        client, parent = self._client(), self._parent()
        whole = "attributes.status = 'FINISHED'"
        run_id = (
            known["id"]
            if known
            else self._search(f"tags.`{KEY}` = '{key}' and tags.`mlflow.parentRunId` = '{parent}' and {whole}")
        )
        if run_id:
            client.log_batch(run_id, metrics=self._metrics(facts["metrics"]))
        else:
            run_id = self._log_run(client, parent, key, facts)
        return self._remember_run(key, scores, run_id)

    def _replicates(self, key: str, scores: str, of: str, name: str, metrics: Mapping[int, Mapping[str, float]]) -> str:
        from mlflow.entities import Metric

        runs = self._remembered()["runs"]
        if key in runs and runs[key]["scores"] == scores:
            return runs[key]["id"]
        client, parent = self._client(), runs[of]["id"] if of in runs else self._parent()
        tags = {KEY: key, CELLS: name, "mlflow.parentRunId": parent, "pluralign.study": self.study}
        run = client.create_run(self._experiment(), tags=tags, run_name=name).info.run_id
        now = int(time.time() * 1000)
        points = [
            Metric(metric, value, now, number) for number, own in metrics.items() for metric, value in own.items()
        ]
        client.log_batch(run, metrics=[point for point in points if point.value == point.value])
        client.set_terminated(run)
        return self._remember_run(key, scores, run)

    def _study_results(self, key: str, metrics: Mapping[str, float], folder: Path) -> str:
        known = self._remembered()
        if known.get("results") == key:
            return known["parent"]
        client, parent = self._client(), self._parent()
        client.log_batch(parent, metrics=self._metrics(metrics), params=(), tags=())
        for name in ("report.html", "report.md", "study.json", "tables"):
            if (folder / name).exists():
                client.log_artifact(parent, str(folder / name))
        client.set_terminated(parent)
        self._remember(lambda known: known.update(results=key))
        self._remove_half_logged()
        return parent

    def _remove_half_logged(self) -> None:
        """Runs of the study that a process began to log and did not live to finish."""
        kept = {run["id"] for run in self._remembered()["runs"].values()}
        begun = f"attributes.status = 'RUNNING' and tags.`pluralign.study` = '{self.study}'"
        for run in self._mlflow.search_runs([self._experiment()], begun):
            old = time.time() - run.info.start_time / 1000 > SECONDS_TO_LOG
            if run.info.run_id not in kept and (self._local_file or old):
                self._mlflow.delete_run(run.info.run_id)

    def _remember_run(self, key: str, scores: str, run: str) -> str:
        """The run that counts: this one, unless another was remembered meanwhile; ours is then removed."""

        def first(known: dict[str, Any]) -> None:
            known["runs"][key] = {"id": known["runs"].get(key, {"id": run})["id"], "scores": scores}

        counts = self._remember(first)["runs"][key]["id"]
        if counts != run:
            self._mlflow.delete_run(run)
        return counts

    # ---- MLflow itself

    def _log_run(self, client: Any, parent: str, key: str, facts: Mapping[str, Any]) -> str:
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        cells, digest, data = facts["cells"], facts["digest"], facts["data"]
        name = cells[0]
        tags = {
            KEY: key,
            CELLS: ", ".join(cells),
            "mlflow.parentRunId": parent,
            "mlflow.runName": name,
            "pluralign.shared": str(len(cells) > 1).lower(),
            "pluralign.dataset_digest": digest,
            "pluralign.study": self.study,
        }
        run = client.create_run(self._experiment(), tags=tags, run_name=name).info.run_id
        now = int(time.time() * 1000)
        points = [
            Metric(metric.replace("/", "."), value, now, index)
            for index, entry in enumerate(facts["curve"])
            for metric, value in entry.items()
            if metric not in ("step", "epoch")
        ]
        params = [Param(name, str(value)[:5000]) for name, value in facts["params"].items()]
        client.log_batch(run, metrics=[*points, *self._metrics(facts["metrics"])], params=params)
        client.log_inputs(run, [DatasetInput(Dataset(data, digest, "local", json.dumps({"name": data})))])
        self._register(client, run, name, tags, facts["adapter"])
        client.set_terminated(run)
        return run

    def _register(self, client: Any, run: str, cell: str, tags: Mapping[str, str], adapter: Path) -> None:
        """The adapter as a model of the run, and as the next version of STUDY · ARCHITECTURE · EXPERIMENT · CONDITION.

        MLflow allows no slash and no dot in a model's name.
        """
        name = f"{self.study} · {cell.replace('/', ' · ')}".replace(".", "-")
        from mlflow.entities import LoggedModelStatus

        kept = {key: value for key, value in tags.items() if key.startswith("pluralign.")}
        model = client.create_logged_model(self._experiment(), name=name, source_run_id=run, tags=kept)
        client.log_model_artifacts(model.model_id, str(adapter))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        with _unless_there():
            client.create_registered_model(name)
        client.create_model_version(name, model.artifact_location, run, tags=kept, model_id=model.model_id)

    def _metrics(self, values: Mapping[str, float]) -> list[Any]:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        return [Metric(name, float(value), now, 0) for name, value in values.items() if value == value]

    def _client(self) -> Any:
        if self._mlflow is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line a run
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # a traceback of what is said here in a line

            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "mlflow.lock"):
                if self._local_file:
                    make_mlflow_database(self._local_file)
                self._mlflow = MlflowClient(self.uri)
                self._experiment()
        return self._mlflow

    def _experiment(self) -> str:
        if known := self._mlflow.get_experiment_by_name("pluralign"):
            return known.experiment_id
        place = (self.folder / "mlflow" / "artifacts").resolve().as_uri() if self._local_file else None
        with _unless_there():
            self._mlflow.create_experiment("pluralign", artifact_location=place)
        return self._mlflow.get_experiment_by_name("pluralign").experiment_id

    def _parent(self) -> str:
        known = self._remembered().get("parent")
        if known:
            return known
        parent = self._search(f"tags.`pluralign.parent` = '{self.study}'")
        if not parent:
            tags = {"pluralign.parent": self.study, "mlflow.runName": self.study}
            parent = self._mlflow.create_run(self._experiment(), run_name=self.study, tags=tags).info.run_id
        experiment = self._experiment()
        counts = self._remember(lambda known: known.update(parent=known.get("parent", parent), experiment=experiment))
        if counts["parent"] != parent:
            self._mlflow.delete_run(parent)
        return counts["parent"]

    def _search(self, query: str) -> str:
        runs = self._mlflow.search_runs([self._experiment()], query, max_results=1)
        return runs[0].info.run_id if runs else ""

    # ---- what has been logged

    def _remembered(self) -> dict[str, Any]:
        return self._of_this_place(self._memory.read())

    def _of_this_place(self, known: dict[str, Any] | None) -> dict[str, Any]:
        """Nothing where it is of another MLflow, or of a file that is gone."""
        gone = self._local_file is not None and not self._local_file.exists()
        place = without_credentials(self.uri)
        return {"uri": place, "runs": {}} if gone or not known or known.get("uri") != place else known

    def _remember(self, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Change what is remembered; what it then is."""

        def changed(known: dict[str, Any] | None) -> dict[str, Any]:
            kept = self._of_this_place(known)
            change(kept)
            return kept

        return self._memory.update(changed)


@contextmanager
def _unless_there() -> Iterator[None]:
    """Something is made of which one is enough, whoever makes it: this or another machine, now or before."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _answered(error: Exception) -> bool:
    """Whether a server answered that it does not do what it was asked, so that it may do something else."""
    from mlflow.exceptions import RestException

    return isinstance(error, RestException) or "error responses" in str(error)  # of the same status, again and again


# ---- MLflow's SQLite file


MLFLOW = Product("MLflow", "runs", lambda file: (["mlflow", "db", "upgrade", f"sqlite:///{file}"], {}))


def make_mlflow_database(file: Path) -> None:
    """MLflow's SQLite file, whole and of this version, and nothing remembered of one that is gone; in its lock.

    Raises:
        OSError: MLflow can't make it, or can't bring up one that holds runs.
    """
    if make_database(file, MLFLOW):
        for memory in (file.parent / "mlflow").glob("*.json"):
            memory.unlink()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if (file := local_file(tracking_uri(place))) is not None:
        with locked(place / "mlflow.lock"):
            make_mlflow_database(file)
