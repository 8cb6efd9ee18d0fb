from ._content import (
    canonical_json as canonical_json,
    content_version as content_version,
    digest_of as digest_of,
    digest_of_bytes as digest_of_bytes,
    digest_of_file as digest_of_file,
    identity_of as identity_of,
    parse_canonical_json as parse_canonical_json,
    parse_json as parse_json,
    shown as shown,
)
from ._files import (
    Files as Files,
    is_temporary as is_temporary,
    temporary_beside as temporary_beside,
    write_whole as write_whole,
)
from ._lineage import (
    Lineage as Lineage,
    Note as Note,
    Pointers as Pointers,
    VersionKey as VersionKey,
    judge_lineage as judge_lineage,
    key_of as key_of,
    rests_on as rests_on,
    walk_downstream as walk_downstream,
    walk_upstream as walk_upstream,
)
from ._lineage_forms import FORMATS as FORMATS
from ._pruning import (
    Prunable as Prunable,
    PruningPlan as PruningPlan,
    plan_pruning as plan_pruning,
    prune as prune,
)
from ._record import (
    Address as Address,
    FailureRecord as FailureRecord,
    FreshStarts as FreshStarts,
    Record as Record,
    StoredFile as StoredFile,
    Upstream as Upstream,
)
from ._store import RECORD as RECORD, EvidenceStore as EvidenceStore, RunContext as RunContext
