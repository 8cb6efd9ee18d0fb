"""One run over a range of partitions, in which some may fail and the others count.

It serves ranges of days and ranges of slices alike.
"""

import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import dagster as dg

from evaluator.errors import EvidenceError
from evaluator.evidence import Address, EvidenceStore, Record, RunContext, digest_of, rests_on

DATA_VERSION_TAG = "dagster/data_version"


class Materialised(NamedTuple):
    """An output that one partition of an asset has now."""

    record: Record
    metadata: Mapping[str, Any]


class PartitionRun:
    """Collects what became of each partition, and then tells Dagster.

    Where every partition succeeded, Dagster's own events are used, one a partition. Where one
    failed, an event is logged for each that succeeded and the step fails, so that the backfill
    counts exactly the others as failed, and "re-execute from failure" runs just those.

    Parameters
    ----------
    context
        Dagster's context of the step.
    store
        Where failures are noted.
    run_context
        The run and its time.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, store: EvidenceStore, run_context: RunContext
    ) -> None:
        self._context = context
        self._store = store
        self._run_context = run_context
        self._done: dict[dg.AssetKey, dict[str, Materialised]] = {}
        self._failed: dict[str, BaseException] = {}

    @property
    def partition_keys(self) -> list[str]:
        """The keys of the range, as text."""
        return [str(key) for key in self._context.partition_keys]

    def done(self, asset: dg.AssetKey, partition: str, output: Materialised) -> None:
        """Note that a partition of an asset has its output."""
        if asset in self._context.selected_asset_keys:
            self._done.setdefault(asset, {})[partition] = output

    def failed(self, at: Address, identity: str, error: BaseException) -> None:
        """Note that a partition failed, in Dagster's log and in evidence."""
        partition = at.partition or ""
        self._failed[partition] = error
        trace = "".join(traceback.format_exception(error))
        self._context.log.error("%s failed: %s\n%s", at, error, trace)
        try:
            self._store.record_failure(at, identity, error, trace, self._run_context)
        except (EvidenceError, OSError):
            # The step's own failure tells the error itself, and the next run tries again.
            self._context.log.exception("That could not be noted in evidence")

    def results(self, *assets: dg.AssetKey) -> Iterator[dg.MaterializeResult[None]]:
        """Yield one result an asset, or log the successes and fail."""
        selected = [asset for asset in assets if asset in self._context.selected_asset_keys]
        if self._failed:
            self._log_successes(selected)
            raise self._failure()
        for asset in selected:
            outputs = self._done[asset]
            for partition, output in outputs.items():
                self._context.add_asset_metadata(
                    _describe(output), asset_key=asset, partition_key=partition
                )
            versions = [output.record.content_version for output in outputs.values()]
            # Dagster stamps one data version on every partition of a range.
            version = versions[0] if len(versions) == 1 else digest_of(versions)
            yield dg.MaterializeResult(asset_key=asset, data_version=dg.DataVersion(version))

    def _log_successes(self, assets: list[dg.AssetKey]) -> None:
        keys = {str(key): key for key in self._context.partition_keys}
        for asset in assets:
            for partition, output in self._done.get(asset, {}).items():
                self._context.log_event(
                    dg.AssetMaterialization(
                        asset_key=asset,
                        partition=keys[partition],
                        metadata=_describe(output),
                        tags={DATA_VERSION_TAG: output.record.content_version},
                    )
                )

    def _failure(self) -> dg.Failure:
        total = len(self._context.partition_keys)
        lines = [f"{key}: {type(e).__name__}: {e}" for key, e in self._failed.items()]
        return dg.Failure(
            description=f"{len(lines)} of {total} partitions failed.\n" + "\n".join(lines),
            metadata={"failed partitions": dg.MetadataValue.json(list(self._failed))},
            allow_retries=False,
        )


def _describe(output: Materialised) -> dict[str, Any]:
    record = output.record
    return {
        "content version": record.content_version,
        "identity": record.identity,
        "rests on": rests_on(record),
        **output.metadata,
    }
