"""The runner of a cluster: actors on Ray's nodes, each on GPUs of its own, which come and go while a study runs.

A place is an actor that hosts a slot. Its base stays loaded for the next job that the router gives it. An actor that
dies, or says nothing any more, loses only the job that it had. Ray is asked for more actors as long as jobs wait, so
that nodes that join are used; what has been idle for a while is given back.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from configs.errors import InputError
from configs.schema import Architecture
from tasks.runtime.job import Done, Job
from tasks.runtime.local.jobs import as_order
from tasks.runtime.local.pool import MOST_THREADS
from tasks.runtime.progress import Report, tell
from tasks.runtime.ray.cluster import Cluster, host_and_port
from tasks.runtime.ray.nodes import PROBES, NodeNeeds, needs_of, node_faults
from tasks.runtime.router import Router
from tasks.runtime.runner import STOPPED, JobFailed, Wanted, WorkerLost, again_if_lost, find_result
from tasks.runtime.store import Artifact, DamagedArtifact, Store

log = logging.getLogger(__name__)
SILENCE_SECONDS = 60.0
"""Without a sign of life, after which an actor counts as lost."""
MANAGE_SECONDS = 0.25
IDLE_SECONDS = 60.0
"""After which an actor that nothing waits for is given back."""
MOST_PENDING = 8
"""Actors that Ray is asked for at once, beside those that there are."""
MOST_FAILURES = 5
"""Actors that may fail to start, one after another and with none that runs, before the study's jobs fail."""
SECONDS_AFTER_FAILURE = 2.0
NODE_SECONDS = 120.0
"""For a node to tell what it has; imports can be slow on a shared file system."""


class NodePlace:
    """A place of the router: an actor on some node."""

    def __init__(self, actor: Any, size: int) -> None:
        self.actor, self.size = actor, size
        self.base: str | None = None
        self.node = ""
        """Ray's id of the node that it is on, once it is ready."""
        self.idle_since = time.monotonic()

    def claim(self) -> bool:
        return True

    def run(self, job: Job) -> bool:
        """Have it do a job; whether it was made by this very call.

        Raises:
            PlaceGone: the actor died, its node is gone, or it says nothing any more.
            WorkerLost: only the process that did the job died.
            JobFailed: the job raised.
            DamagedArtifact: one of its inputs is not what was published.
        """
        import ray

        begun = False
        try:
            stream = self.actor.run.options(num_returns="streaming").remote(as_order(job))
            while True:
                ready, _ = ray.wait([stream], timeout=SILENCE_SECONDS)
                if not ready:
                    raise PlaceGone(f"its node says nothing for {SILENCE_SECONDS:.0f} s", begun)
                message = ray.get(next(stream))
                begun = True
                if "published" in message:
                    return message["published"]
                self._hear(job, message)
        except (ray.exceptions.RayError, StopIteration) as error:
            raise PlaceGone(f"its node or process is gone ({type(error).__name__})", begun) from None

    def _hear(self, job: Job, message: dict[str, Any]) -> None:
        if "progress" in message:
            tell(Report(*message["progress"]))
        elif "warning" in message:
            log.warning("%s", message["warning"])
        elif "failed" in message:
            raise JobFailed(message["failed"])
        elif "lost" in message:
            raise WorkerLost(message["lost"])
        elif "damaged" in message:
            raise DamagedArtifact(*message["damaged"])


class PlaceGone(WorkerLost):
    """An actor that does no more jobs; `begun`: it had begun with the one that it was given."""

    def __init__(self, why: str, begun: bool) -> None:
        super().__init__(why)
        self.begun = begun


@dataclass
class _Kind:
    """The places of one size, and those that Ray has been asked for."""

    size: int
    router: Router[NodePlace]
    coming: dict[Any, NodePlace] = field(default_factory=dict)
    """Ray's promise that an actor is ready → its place."""


class RayRunner:
    """A `Runner` on a cluster of Ray: `ray`, or `ray://HOST:PORT`."""

    def __init__(
        self, address: str, store: Store, architectures: tuple[Architecture, ...], most: int | None, retries: int
    ) -> None:
        """most: places at the same time; None for as many as the cluster has room for.

        Raises:
            InputError: there is no such kind of address.
        """
        if address != "ray":
            host_and_port(address)
        self._address, self._store, self._architectures = address, store, architectures
        self._most, self._retries = most, retries
        self._owner = getattr(store, "owner", "") or secrets.token_hex(8)
        sizes = sorted({item.gpus for item in architectures}) or [1]
        self._kinds = {size: _Kind(size, Router[NodePlace]([])) for size in sizes}
        self._wanted = Wanted()
        self._cluster: Cluster | None = None
        self._needs: NodeNeeds | None = None
        self._connecting = threading.Lock()
        self._closed = threading.Event()
        self._manager: threading.Thread | None = None
        self._on_gpus = False
        self._failures = 0
        self._next_try = 0.0
        self._number = 0

    @property
    def size(self) -> int:
        return max(sum(len(kind.router.places) for kind in self._kinds.values()), 1)

    @property
    def room(self) -> str:
        """What the cluster that was joined has, in words."""
        nodes = _alive()
        gpus, cores = (sum(node["Resources"].get(name, 0) for node in nodes) for name in ("GPU", "CPU"))
        return f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} with {gpus:.0f} GPUs and {cores:.0f} cores"

    # ---- before the first job

    def check(self) -> None:
        self._connect()

    def _connect(self) -> None:
        with self._connecting:
            if self._cluster or self._closed.is_set():
                return
            tell(Report("join the cluster"))
            cluster = Cluster(self._address)
            try:
                self._needs = needs_of(self._store.address, self._owner, self._architectures)
                self._on_gpus = self._see_resources()
                self._see_nodes()
            except BaseException:
                cluster.close()
                raise
            self._cluster = cluster
            self._manager = threading.Thread(target=self._manage, name="ray places", daemon=True)
            self._manager.start()

    def _see_resources(self) -> bool:
        """Whether places are on GPUs: they are where the cluster has any.

        Raises:
            InputError: no node has as many as an architecture asks for.
        """
        nodes = _alive()
        most = max((node["Resources"].get("GPU", 0) for node in nodes), default=0)
        faults = [
            f"architectures.{item.name}: it asks for {item.gpus} GPUs of one node, and no node of {self._address} has "
            f"more than {most:.0f}"
            for item in self._architectures
            if item.gpus > max(most, 1)
        ]
        if faults:
            raise InputError("\n".join(faults))
        return most > 0

    def _see_nodes(self) -> None:
        """Raises `InputError` with a line for each node that lacks something."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        tell(Report("look at the nodes"))
        probe = self._store.workspace(PROBES, self._owner)
        probe.open().write_text(self._owner)
        probe.save()
        look: Any = ray.remote(node_faults)
        asked = {}
        for node in _alive():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            answer = look.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(self._needs)
            asked[answer] = node["NodeManagerAddress"]
        faults, deadline = [], time.monotonic() + NODE_SECONDS
        for answer, host in asked.items():
            try:
                found = ray.get(answer, timeout=max(deadline - time.monotonic(), 1.0))
            except Exception as error:  # of whatever class Ray makes of what went wrong there
                found = [_first_words(error)]
            faults += [f"node {host}: {fault}" for fault in found]
        if faults:
            self._forget_probe()
            raise InputError("\n".join([f"{self._address}: nodes that can't do this study's jobs:", *faults]))

    def _forget_probe(self) -> None:
        """What nodes look for in the store, also those that join later."""
        self._store.workspace(PROBES, self._owner).remove()

    # ---- jobs

    def run(self, job: Job[Done]) -> Artifact[Done]:
        kind = self._kind_of(job)
        with kind.router.asking(), self._wanted.only(job.key):
            finished = find_result(job, self._store)
            if finished:
                return finished
            self._connect()
            return again_if_lost(self._retries, job, lambda: self._on_a_living_place(kind, job))

    def _kind_of(self, job: Job) -> _Kind:
        return self._kinds[min((size for size in self._kinds if size >= job.gpus), default=max(self._kinds))]

    def _on_a_living_place(self, kind: _Kind, job: Job[Done]) -> Artifact[Done]:
        """On a place that was gone before it came to it, a job is not lost."""
        while True:
            try:
                return self._on_a_place(kind, job)
            except PlaceGone as error:
                if error.begun:
                    raise

    def _on_a_place(self, kind: _Kind, job: Job[Done]) -> Artifact[Done]:
        with kind.router.lease(job.near) as place:
            try:
                fresh = place.run(job)
            except PlaceGone:
                self._let_go(kind, place)
                if self._closed.is_set():
                    raise JobFailed(STOPPED) from None
                raise
            except DamagedArtifact as error:
                self._store.distrust(error.stage, error.key, error.fault)
                raise
            finally:
                place.idle_since = time.monotonic()
        made = find_result(job, self._store)
        if made is None:
            raise JobFailed(f"{self._store.where(job.stage, job.key)}: a node has published it, and it is not there")
        return Artifact(made.stage, made.key, made.record, made.store, fresh)

    @contextmanager
    def near(self, base: str) -> Iterator[None]:
        with ExitStack() as stack:
            for kind in self._kinds.values():
                stack.enter_context(kind.router.near(base))
            yield

    def close(self) -> None:
        """End all actors, also those at work: a thread that waits for one hears of it at once."""
        self._closed.set()
        for kind in self._kinds.values():
            kind.router.close()
        if self._manager and self._manager is not threading.current_thread():
            self._manager.join()
        with self._connecting:
            if self._cluster is None:
                return
            for kind in self._kinds.values():
                for place in [*kind.router.places, *kind.coming.values()]:
                    _kill(place)
            self._cluster.close()
            self._cluster = None
            self._forget_probe()

    # ---- places that come and go

    def _manage(self) -> None:
        import ray

        while not self._closed.wait(MANAGE_SECONDS) and ray.is_initialized():
            try:
                alive = {node["NodeID"] for node in _alive()}
                for kind in self._kinds.values():
                    for place in kind.router.free():
                        if place.node not in alive:
                            kind.router.remove(place, only_if_free=True)
                    self._take_in(kind)
                    self._ask_for_more(kind)
                    self._give_back(kind)
            except Exception as error:  # the cluster's head may be gone; the next round tells
                log.debug("the cluster could not be asked: %s", error)
                self._count_failure(str(error))

    def _take_in(self, kind: _Kind) -> None:
        """Those that Ray has made ready."""
        import ray

        if not kind.coming:
            return
        ready, _ = ray.wait(list(kind.coming), num_returns=len(kind.coming), timeout=0)
        for promise in ready:
            place = kind.coming.pop(promise)
            try:
                place.node = ray.get(promise)
            except ray.exceptions.RayError as error:
                self._count_failure(_first_words(error))
                continue
            self._failures = 0
            place.idle_since = time.monotonic()
            kind.router.add(place)

    def _count_failure(self, why: str) -> None:
        self._failures += 1
        self._next_try = time.monotonic() + SECONDS_AFTER_FAILURE * self._failures
        log.warning("%s: a place on a node could not be had: %s", self._address, why)
        if self._failures >= MOST_FAILURES and not any(kind.router.places for kind in self._kinds.values()):
            for kind in self._kinds.values():
                kind.router.close(f"no place on {self._address} could be had: {why}")

    def _ask_for_more(self, kind: _Kind) -> None:
        """As many as there are jobs that wait; those for which there is no room stay pending until a node joins."""
        if time.monotonic() < self._next_try:
            return
        wanted = min(kind.router.waiting, MOST_PENDING) - len(kind.coming)
        if self._most is not None:
            there = sum(len(own.router.places) + len(own.coming) for own in self._kinds.values())
            wanted = min(wanted, self._most - there)
        for _ in range(wanted):
            place = NodePlace(self._new_actor(kind), kind.size)
            kind.coming[place.actor.node.remote()] = place

    def _new_actor(self, kind: _Kind) -> Any:
        import ray

        from tasks.runtime.ray.actor import Host

        self._number += 1
        tiny = all(item.tiny for item in self._architectures)
        threads = 1 if tiny or self._on_gpus else _least_cores(MOST_THREADS)
        resources = {"num_gpus": kind.size, "num_cpus": 0.01} if self._on_gpus else {"num_cpus": threads}
        made: Any = ray.remote(Host)
        return made.options(max_restarts=0, max_task_retries=0, **resources).remote(
            self._needs, f"ray-{self._owner[:6]}-{self._number}", threads
        )

    def _give_back(self, kind: _Kind) -> None:
        """Idle places that nothing waits for, and promises beyond what waits."""
        waiting, others = kind.router.waiting, [own for own in self._kinds.values() if own is not kind]
        needed_elsewhere = any(own.router.waiting for own in others)
        for place in kind.router.free() if not waiting else ():
            most = MANAGE_SECONDS * 8 if needed_elsewhere else IDLE_SECONDS
            if time.monotonic() - place.idle_since > most and kind.router.remove(place, only_if_free=True):
                _kill(place)
        for promise in list(kind.coming)[waiting:]:
            _kill(kind.coming.pop(promise))

    def _let_go(self, kind: _Kind, place: NodePlace) -> None:
        kind.router.remove(place)
        _kill(place)


def _alive() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _least_cores(most: int) -> int:
    """Of any node, but no more than so many."""
    return max(min([most, *(int(node["Resources"].get("CPU", 1)) for node in _alive())]), 1)


def _kill(place: NodePlace) -> None:
    import ray

    try:
        ray.kill(place.actor)
    except Exception as error:  # it is gone already, or the cluster is
        log.debug("an actor was not killed: %s", error)


def _first_words(error: Exception) -> str:
    """The reason in one of Ray's errors, whose message is a whole traceback with the cause last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:400]
