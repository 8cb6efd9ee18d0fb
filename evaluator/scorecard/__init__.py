"""What was measured, compared and found of an audit's candidates, as one typed scorecard.

Computing it belongs in `evaluation`, judging it in `certification`, storing it in `evidence`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
