"""What an audit found, for people: page, model cards, technical file, a terminal's last lines.

Everything is passed in and nothing is looked up; measuring and judging do not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
