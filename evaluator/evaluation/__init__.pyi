from ._cases import (
    EvaluatedCases as EvaluatedCases,
    assumptions_of as assumptions_of,
    columns_needed as columns_needed,
    dependence_columns as dependence_columns,
    with_dependence as with_dependence,
)
from ._compare import OthersCompared as OthersCompared
from ._measure import measure as measure
from ._score import (
    SCORE_VERSION as SCORE_VERSION,
    Predicted as Predicted,
    Scored as Scored,
    score as score,
)
from ._weak_slices import SEED as SEED, find_worsened as find_worsened
