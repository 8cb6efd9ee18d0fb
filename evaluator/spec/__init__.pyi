from ._audit import AuditSpec as AuditSpec, DiscoveredColumn as DiscoveredColumn
from ._base import (
    EITHER_SPELLING as EITHER_SPELLING,
    SpecModel as SpecModel,
    problem as problem,
    suggestion as suggestion,
    yaml_line as yaml_line,
)
from ._candidates import (
    CandidateBase as CandidateBase,
    CandidateSpec as CandidateSpec,
    FeatureCandidate as FeatureCandidate,
    HttpCandidate as HttpCandidate,
    MlflowCandidate as MlflowCandidate,
    OnnxCandidate as OnnxCandidate,
    PickleCandidate as PickleCandidate,
    RecordedCandidate as RecordedCandidate,
    RegisteredModel as RegisteredModel,
    SkopsCandidate as SkopsCandidate,
    TrainingSpec as TrainingSpec,
)
from ._columns import (
    SPELLING_KEYS as SPELLING_KEYS,
    ColumnSpec as ColumnSpec,
    Severity as Severity,
)
from ._data import (
    DAY as DAY,
    SNAPSHOT as SNAPSHOT,
    DatasetRules as DatasetRules,
    DataSpec as DataSpec,
    DriftSpec as DriftSpec,
    FileFormat as FileFormat,
    LabelsSpec as LabelsSpec,
    RowNumber as RowNumber,
    TableSpec as TableSpec,
    can_name_a_column as can_name_a_column,
    date_of as date_of,
)
from ._expression import (
    Expression as Expression,
    column_of as column_of,
    parse_expression as parse_expression,
)
from ._gates import (
    CalibrationGate as CalibrationGate,
    CompleteGate as CompleteGate,
    DataQualityGate as DataQualityGate,
    DriftGate as DriftGate,
    FairnessGate as FairnessGate,
    GateBase as GateBase,
    GateSpec as GateSpec,
    LabelledGate as LabelledGate,
    MetricGate as MetricGate,
    ScopedGate as ScopedGate,
    UnseenGate as UnseenGate,
    WeakSlicesGate as WeakSlicesGate,
)
from ._loading import (
    Audit as Audit,
    audit_names as audit_names,
    load_audit as load_audit,
    named_audit as named_audit,
    read_audit as read_audit,
    shipped_audits as shipped_audits,
)
from ._project import (
    PROJECT_VARIABLE as PROJECT_VARIABLE,
    Project as Project,
    find_project as find_project,
)
from ._settings import (
    FairnessSpec as FairnessSpec,
    RayExecution as RayExecution,
    WeakSlicesSpec as WeakSlicesSpec,
)
from ._spellings import (
    NumberSpelling as NumberSpelling,
    TimeFormat as TimeFormat,
    parse_time_format as parse_time_format,
)
from ._tasks import (
    ABSTAINED as ABSTAINED,
    TASKS as TASKS,
    UNKNOWN_LABEL as UNKNOWN_LABEL,
    AnswersError as AnswersError,
    BinaryTask as BinaryTask,
    FoundColumn as FoundColumn,
    LabelSpec as LabelSpec,
    Likely as Likely,
    RecordedColumns as RecordedColumns,
    Task as Task,
    TaskName as TaskName,
    declared_task as declared_task,
    find_task as find_task,
    likely_positive as likely_positive,
    numbers_of as numbers_of,
    task_of as task_of,
)
