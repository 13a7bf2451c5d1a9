"""The way to the scheduler of a Dask cluster: a connection that is safe, and questions that do not wait for ever."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, KilledWorker, wait

from stages.lib import environment
from stages.lib.cli import UserError

CONNECT_SECONDS = 10.0
"""A scheduler must accept a connection within this time."""
WORKER_SECONDS = 60.0
"""A cluster's first worker must come within this time, and every worker must answer a question."""
ANSWER_SECONDS = 50.0
"""A scheduler that has not answered for this time is taken for dead. With the time to end, that is a minute."""


def checked(address: str) -> str:
    """The address, if it uses TLS or lies on this machine, or if the user allows others. Raises UserError otherwise."""
    parts = urlsplit(address)
    if parts.scheme in ("tls", "wss") or environment.allows_insecure():
        return address
    found = socket.getaddrinfo(parts.hostname, None)
    if not all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found):
        raise UserError(
            f"{environment.SCHEDULER}: {address} is neither tls:// nor on this machine. Everyone who reaches such a scheduler "
            f"can run code as you, here and on its workers. Use certificates or a tunnel. {environment.INSECURE}=1 allows it"
        )
    return address


@contextmanager
def connected(given: str) -> Iterator[Client]:
    """A client of the scheduler at this address. Raises UserError if it cannot be reached, or not safely."""
    address = given if "://" in given else f"tcp://{given}"
    for library in ("distributed", "distributed.client", "tornado", "asyncio"):  # our own messages say what matters
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        client = Client(checked(address), timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{environment.SCHEDULER}: {address} does not answer as a scheduler: {error}") from None
    with client:
        info = identity(client)
        for member in (info["address"], *info["workers"]):
            checked(member)
        yield client


def identity(client: Client, seconds: float | None = None) -> dict[str, Any]:
    """The scheduler's facts about itself and its workers.

    `Client.scheduler_info` may answer from a cache without workers. Raises UserError if the scheduler does not answer within so
    many seconds, ANSWER_SECONDS by default.
    """
    ask = client.scheduler.identity  # type: ignore[union-attr]  # connected
    try:
        facts: dict[str, Any] = client.sync(ask, n_workers=-1, callback_timeout=seconds or ANSWER_SECONDS)
    except TimeoutError:
        raise UserError(
            f"the scheduler has not answered for {ANSWER_SECONDS:g} s. Trained replicates are kept; "
            "`dvc repro` goes on from there"
        ) from None
    return facts


def wait_for_worker(client: Client) -> None:
    """Raises UserError if no worker comes in time."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        address = environment.scheduler()
        raise UserError(f"{environment.SCHEDULER}: {address} has no workers, for {WORKER_SECONDS:g} s; start some") from None


def check_versions(client: Client) -> None:
    """Raises UserError for a worker whose Python or Dask could not read a task of this process."""
    versions: Any = client.get_versions()
    here = versions["client"]["packages"]
    for worker, facts in versions["workers"].items():
        there = facts["packages"]
        for name, parts in (("python", 2), ("distributed", 3)):
            ours, theirs = (".".join(str(packages[name]).split(".")[:parts]) for packages in (here, there))
            if ours != theirs:
                raise UserError(f"worker {worker}: {name} is {theirs} there and {ours} here; install requirements.lock there")


def answers(client: Client, task: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Worker -> its answer to a task. Workers are left out that die or do not answer within WORKER_SECONDS.

    Raises UserError if the task raises an exception.
    """
    asked = {
        worker: client.submit(task, *arguments, workers=[worker], allow_other_workers=False, pure=False)
        for worker in identity(client)["workers"]
    }
    with suppress(TimeoutError):
        wait(list(asked.values()), timeout=WORKER_SECONDS)
    for worker, future in asked.items():
        if future.status == "error" and not isinstance(error := future.exception(), KilledWorker):
            raise UserError(f"worker {worker}: {type(error).__name__}: {error}")
    return {worker: future.result() for worker, future in asked.items() if future.status == "finished"}
