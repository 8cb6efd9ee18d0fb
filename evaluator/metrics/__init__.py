"""Numbers: every metric on every slice, each with an interval that keeps its promise.

It rests on numpy, scipy and pandas alone and could be published by itself: nothing of an audit, a
file or a model belongs here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
