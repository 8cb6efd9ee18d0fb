"""The command `evaluator-verify`, and what `evaluator` shares with it.

What is needed to make a certificate does not belong here: this room and those below it are all that
the wheel `evaluator-verify` holds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
