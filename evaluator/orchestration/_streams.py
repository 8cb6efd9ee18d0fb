"""What of an audit arrives day by day, and is taken in alike."""

from dataclasses import dataclass

from evaluator.scorecard import DATA_INTAKE, LABELS_INTAKE, IntakeAssets, Slice
from evaluator.spec import AuditSpec, DataSpec


@dataclass(frozen=True)
class Stream:
    """Files of one kind: how they are declared, and what they become."""

    name: str
    """The block of the audit's YAML that declares them."""
    spec: DataSpec
    assets: IntakeAssets
    dimensions: tuple[str | None, ...] = ()
    """The columns of geography and segment, in whose slices drift is looked for too."""

    @property
    def is_data(self) -> bool:
        """Whether they are the audit's data, which commands and messages are about by default."""
        return self.assets is DATA_INTAKE

    @property
    def option(self) -> str:
        """What stands behind the audit's name in a command about them."""
        return "" if self.is_data else f" --{self.name}"

    @property
    def slices(self) -> list[str]:
        """Those of the dimensions that are declared."""
        return [column for column in self.dimensions if column]


def streams_of(spec: AuditSpec) -> tuple[Stream, ...]:
    """Return what is taken in for an audit: its data, and labels where these come by themselves."""
    dimensions = tuple(spec.slice_columns.get(name) for name in Slice._fields)
    data = Stream("data", spec.data, DATA_INTAKE, dimensions)
    return (data,) if spec.labels is None else (data, Stream("labels", spec.labels, LABELS_INTAKE))
