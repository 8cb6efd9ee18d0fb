"""From a candidate's artifact to its predictions, each kind by a reader of its own.

A candidate's fault is a `CandidateError` that names it. Measuring does not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
