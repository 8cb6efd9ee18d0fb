"""What of an audit arrives day by day, and is taken in alike."""

from dataclasses import dataclass

from evaluator.scorecard import DATA_INTAKE, IntakeAssets, Slice
from evaluator.spec import AuditSpec, DataSpec


@dataclass(frozen=True)
class Stream:
    """Files of one kind: how they are declared, and what they become."""

    spec: DataSpec
    assets: IntakeAssets
    dimensions: tuple[str | None, ...] = ()
    """The columns of geography and segment, in whose slices drift is looked for too."""

    @property
    def slices(self) -> list[str]:
        """Those of the dimensions that are declared."""
        return [column for column in self.dimensions if column]


def streams_of(spec: AuditSpec) -> tuple[Stream, ...]:
    """Return what is taken in for an audit, its data first."""
    dimensions = tuple(spec.slice_columns.get(name) for name in Slice._fields)
    return (Stream(spec.data, DATA_INTAKE, dimensions),)
