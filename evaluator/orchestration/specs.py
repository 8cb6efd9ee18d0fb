"""How an asset of an audit is named and described in Dagster."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from evaluator.orchestration.automation import Condition
from evaluator.orchestration.identities import CODE_VERSIONS
from evaluator.spec import Audit


def key_of(audit: Audit, name: str) -> dg.AssetKey:
    """Key of an audit's asset: the audit, then the name that the UI shows."""
    return dg.AssetKey([audit.name, name])


def dependency(audit: Audit, name: str, mapping: dg.PartitionMapping) -> dg.AssetDep:
    """Edge to an upstream asset, with its partition mapping spelled out."""
    return dg.AssetDep(key_of(audit, name), partition_mapping=mapping)


def asset_spec(
    audit: Audit,
    name: str,
    *,
    code: str,
    description: str,
    kinds: set[str],
    deps: Iterable[dg.AssetDep] = (),
    partitions_def: dg.PartitionsDefinition[Any] | None = None,
    condition: Condition | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetSpec:
    """Describe an asset with all that every asset has: group, owners, kinds, code version.

    Parameters
    ----------
    audit
        The audit that it belongs to.
    name
        The key's last part.
    code
        The entry of `CODE_VERSIONS` whose constant is its code version.
    description
        What it holds and what its failure means, for a reader of the UI.
    kinds
        What it is made with or stored as, shown as icons.
    deps
        Upstream edges.
    partitions_def
        Its partitions; None for a whole.
    condition
        When it is materialised by itself.
    metadata
        What the UI shows of its definition.
    """
    return dg.AssetSpec(
        key_of(audit, name),
        deps=list(deps),
        description=description,
        group_name=audit.name,
        owners=list(audit.spec.owners),
        kinds=kinds,
        code_version=CODE_VERSIONS[code],
        partitions_def=partitions_def,
        automation_condition=condition,
        metadata=dict(metadata or {}),
        # A step with failed partitions yields no output: its events are logged one by one.
        skippable=partitions_def is not None,
    )


def column_schema(audit: Audit) -> dg.TableSchema:
    """Describe the columns of the audit's typed rows."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                column.type,
                constraints=dg.TableColumnConstraints(
                    nullable=not column.required, unique=name == audit.spec.data.id
                ),
            )
            for name, column in audit.spec.data.columns.items()
        ]
    )
