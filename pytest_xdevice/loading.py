"""What a worker has to have before it can launch a kernel, sent once."""

from __future__ import annotations

from .artifact import Artifact
from .client import Batch
from .client import WorkerClient
from .connection import Connection


def load_into(batch: Batch, artifact: Artifact, worker: WorkerClient) -> list[str]:
    """Add what loads `artifact` to `batch`, unless `worker` has it; return the keys of what will be loaded."""
    if artifact.key in worker.loaded:
        return []
    library = artifact.library
    if library is not None and library.key not in worker.loaded:
        batch.send("library", library.data, key=library.key, name=library.name)
    batch.send(
        "load",
        artifact.object if artifact.kind == "cpu" else artifact.opencl_source.encode(),
        key=artifact.key,
        linked=artifact.is_linked,
        build_options=list(artifact.build_options),
        by_hand=artifact.is_handwritten,
        callee=[library.key, artifact.symbol] if library else [],
    )
    return [artifact.key, *([library.key] if library else [])]


def load_kernel(batch: Batch, artifact: Artifact, connection: Connection, worker: WorkerClient) -> list[str]:
    """Add what loads a kernel to `batch`, and before the first one what reports its faults; return all their keys."""
    if artifact.kind == "opencl" and connection.opencl_devices()[0].device_type != "cpu":
        return load_into(batch, artifact, worker)  # it faults elsewhere, if at all
    reporter = connection.compiler.fault_reporter(connection.target)
    if reporter.key in worker.loaded:
        return load_into(batch, artifact, worker)
    batch.send("report_faults", reporter.object, key=reporter.key, linked=reporter.is_linked)
    return [reporter.key, *load_into(batch, artifact, worker)]


def counts_small(artifact: Artifact, connection: Connection) -> bool:
    """Tell whether a kernel is built anew for small launches: one of our own programs on a GPU."""
    ours = artifact.kind == "opencl" and not artifact.is_handwritten
    return ours and connection.opencl_devices()[0].device_type == "gpu"
