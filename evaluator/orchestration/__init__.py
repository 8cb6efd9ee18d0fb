"""The Dagster layer: an audit's YAML as assets, partitions, sensors and checks."""

from evaluator.orchestration.component import AuditComponent, audit_definitions

__all__ = ["AuditComponent", "audit_definitions"]
