"""Gates to verdicts, verdicts to outcomes; the certificate, its ledger, and its verification.

Neither computing what gates look at (`evaluation`) nor Dagster belongs here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
