from ._assets import (
    DATA_INTAKE as DATA_INTAKE,
    INTAKES as INTAKES,
    NAME_RULE as NAME_RULE,
    Asset as Asset,
    IntakeAssets as IntakeAssets,
    can_name_assets as can_name_assets,
    metrics_of as metrics_of,
    model_of as model_of,
    name_in_dagster as name_in_dagster,
    predictions_of as predictions_of,
    step_of as step_of,
)
from ._cells import number as number, text as text
from ._measurements import (
    Measurement as Measurement,
    SliceState as SliceState,
    format_scope as format_scope,
    read_additional_measurements as read_additional_measurements,
    read_differences as read_differences,
    read_measurements as read_measurements,
    read_slices as read_slices,
    slice_keys as slice_keys,
    slices_by_candidate as slices_by_candidate,
)
from ._rows import (
    AdditionalMeasurement as AdditionalMeasurement,
    Comparison as Comparison,
    Found as Found,
    Gap as Gap,
    Rank as Rank,
    WeakSlice as WeakSlice,
    WorsenedSlice as WorsenedSlice,
    to_frame as to_frame,
)
from ._scorecard import DayFacts as DayFacts, Scorecard as Scorecard
from ._slice import (
    ALL as ALL,
    OTHER as OTHER,
    Slice as Slice,
    can_name_partitions as can_name_partitions,
)
from ._tables import (
    ADDITIONAL_MEASUREMENTS as ADDITIONAL_MEASUREMENTS,
    CASES as CASES,
    COMPARISONS as COMPARISONS,
    DATA_PREFIX as DATA_PREFIX,
    DAYS as DAYS,
    FAIRNESS as FAIRNESS,
    MEASUREMENTS as MEASUREMENTS,
    PAIRS as PAIRS,
    PREDICTIONS as PREDICTIONS,
    PROFILE as PROFILE,
    RANKS as RANKS,
    SLICE_COLUMNS as SLICE_COLUMNS,
    SLICE_LEVEL as SLICE_LEVEL,
    SLICES as SLICES,
    WEAK_SEARCHES as WEAK_SEARCHES,
    WEAK_SLICES as WEAK_SLICES,
    WORSENED as WORSENED,
    from_stored as from_stored,
    to_stored as to_stored,
)
