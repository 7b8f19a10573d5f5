"""A Ray cluster of two nodes on this machine, and the actors in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.patience import wait_for


@contextmanager
def two_nodes() -> Iterator[Any]:
    """The cluster, to which this process is connected. Skips the test if ray is not installed."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": 200 * 2**20}
    before = os.environ.get("PYTHONPATH")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])  # actors import what is tested here
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False)
        wait_for(lambda: ray.cluster_resources().get("CPU") == 4)
        # That the cluster has a node is not yet known to whoever places actors.
        wait_for(lambda: all(_runs_on(ray, node["NodeID"]) for node in ray.nodes()))
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def _runs_on(ray: Any, node: str) -> bool:
    """Whether a node can be given work."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    try:
        ray.get(ray.remote(lambda: None).options(num_cpus=0, scheduling_strategy=there).remote())
    except ray.exceptions.RayError:
        return False
    return True


def actors_alive() -> list[dict[str, Any]]:
    """The node and the process of each actor in the cluster."""
    from ray._private.state import actors

    return [
        {"node_id": row["Address"]["NodeID"], "pid": row["Pid"]} for row in actors().values() if row["State"] == "ALIVE"
    ]
