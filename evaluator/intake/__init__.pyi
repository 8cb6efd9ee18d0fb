from ._drift import (
    Content as Content,
    reference_content as reference_content,
)
from ._infer import (
    FoundLabel as FoundLabel,
    FoundSchema as FoundSchema,
    find_schema as find_schema,
    infer_audit as infer_audit,
    infer_schema as infer_schema,
    no_candidates as no_candidates,
)
from ._ingest import (
    IntakeResult as IntakeResult,
    ingest as ingest,
    unusual_volume as unusual_volume,
)
from ._leniently import LenientRows as LenientRows, read_leniently as read_leniently
from ._profile import Profile as Profile
from ._replay import replay as replay
from ._table import query_to_parquet as query_to_parquet
from ._writer import (
    QUARANTINED_ROWS as QUARANTINED_ROWS,
    TYPED_ROWS as TYPED_ROWS,
    escape_formula as escape_formula,
    quarantine_to_csv as quarantine_to_csv,
    read_mended as read_mended,
)
