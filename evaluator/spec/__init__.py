"""What an audit is: the models of its YAML, how it is read, and what is said of mistakes in it.

How a candidate or a gate behaves belongs in `candidates` and `certification`; nothing here reads
data.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
