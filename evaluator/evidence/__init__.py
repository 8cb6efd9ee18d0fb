"""Content versions, the versioned store, its provenance records, lineage and pruning.

What a stored output means does not belong here: it is bytes, tables and records.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
