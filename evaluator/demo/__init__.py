"""Data and candidates for the audits that ship: real flights and texts, and made-up sales.

What an audit needs does not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
