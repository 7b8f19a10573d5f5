"""Ray, which all models of a process share: connected to for the first of them, left after the last.

Without the address of a cluster it is started on this machine. ray is imported when a model joins.
"""

import importlib
import logging
import os
import threading
from typing import Any

from judgebench.errors import ModelError
from judgebench.models.extras import import_extra

_changing = threading.Lock()
_members: set["Membership"] = set()
_connection: "_Connection | None" = None
"""``None`` if nobody is connected, or the program that uses this package was before."""


class Membership:
    """A model's share of the connection."""

    def __init__(self, cluster: str | None, places: int, purpose: str) -> None:
        """``cluster`` is the address of a running one, ``auto`` to find it; ``places`` are needed if Ray is started
        here.

        Raises :class:`~judgebench.errors.UsageError` if ray is missing, and :class:`ModelError` if the cluster cannot
        be reached.
        """
        global _connection
        (self.ray,) = import_extra(purpose, "ray", "ray")
        with _changing:
            if not _members and not self.ray.is_initialized():
                _connection = _Connection(self.ray, cluster, places)
            _members.add(self)

    def leave(self) -> None:
        """End the connection if it was made here and no other model uses it. Leaving twice is leaving once."""
        global _connection
        with _changing:
            _members.discard(self)
            if not _members and _connection is not None:
                _connection.close()
                _connection = None


class _Connection:
    """Made and ended by a thread of its own: where the thread that connected has ended, Ray's own spin or hang."""

    def __init__(self, ray: Any, cluster: str | None, places: int) -> None:
        self._ray = ray
        self._error: BaseException | None = None
        self._made, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=[cluster, places], name="judgebench-ray", daemon=True)
        self._thread.start()
        self._made.wait()
        if self._error is not None:
            raise self._error

    def _run(self, cluster: str | None, places: int) -> None:
        try:
            _connect(self._ray, cluster, places)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that asked
            self._error = error
            return
        finally:
            self._made.set()
        self._over.wait()
        self._ray.shutdown()

    def close(self) -> None:
        """Disconnect; end Ray if it was started here."""
        self._over.set()
        self._thread.join()


def _connect(ray: Any, cluster: str | None, places: int) -> None:
    # Whatever log_to_driver says, Ray prints the death of an actor where results are printed.
    importlib.import_module("ray._private.worker")._worker_logs_enabled = False  # type: ignore[attr-defined]
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where: dict[str, Any] = {"address": cluster}
    if cluster is None:
        # Ray counts places, not cores: one for each actor, and one to spare.
        where = {"num_cpus": max(os.cpu_count() or 1, places + 1), "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"Could not reach or start the Ray cluster {cluster or 'on this machine'}: {error}. Start one with "
            "`ray start --head` and give its address, or leave --cluster out."
        ) from error
