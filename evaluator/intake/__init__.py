"""A file in; typed rows, quarantined rows, a profile and a report out; drift, replay.

Nothing is lost on the way. What is evaluated later, labels and candidates, does not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
