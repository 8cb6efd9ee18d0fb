from ._adapter import Adapter as Adapter, Scorer as Scorer
from ._evaluation_set import (
    build_evaluation_set as build_evaluation_set,
    task_knowing_labels as task_knowing_labels,
    truth_column as truth_column,
)
from ._faults import (
    CandidateCrashError as CandidateCrashError,
    CandidateTimeoutError as CandidateTimeoutError,
    TransientCandidateError as TransientCandidateError,
)
from ._isolation import open_scorer as open_scorer
from ._labels import ages_of as ages_of
from ._leakage import leakage_remarks as leakage_remarks
from ._predictions import find_duplicates as find_duplicates, predict as predict
from ._registry import (
    adapter_of as adapter_of,
    artifact_digest as artifact_digest,
    artifact_stamp as artifact_stamp,
    load_scorer as load_scorer,
    recording_issues as recording_issues,
)
from ._training import TrainedOn as TrainedOn
