from ._catalogue import (
    FAIRNESS_MEASURES as FAIRNESS_MEASURES,
    METRICS as METRICS,
    FairnessMeasure as FairnessMeasure,
    MetricInfo as MetricInfo,
    Rate as Rate,
    Task as Task,
)
from ._checks import MetricsInputError as MetricsInputError
from ._comparison._compare import (
    compare_candidates as compare_candidates,
    compare_pairs as compare_pairs,
)
from ._comparison._decisions import rank_candidates as rank_candidates
from ._comparison._pairing import paired_frame as paired_frame
from ._confusion import confusion as confusion
from ._fairness._fairness import fairness as fairness
from ._multiplicity import holm as holm
from ._rankings import (
    grades_of as grades_of,
    query_values as query_values,
    ranking_of as ranking_of,
)
from ._rates import rate_interval as rate_interval
from ._slices import slice_metrics as slice_metrics
from ._weak_slices._weak_slices import WeakSlices as WeakSlices, weak_slices as weak_slices
from ._weak_slices._worsened import (
    slice_definitions as slice_definitions,
    worsened_slices as worsened_slices,
)
