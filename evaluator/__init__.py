"""Evaluate, compare and certify the outputs of AI systems, slice by slice.

Importing the package imports nothing else: each part is imported where it is used.
"""

__version__ = "0.1.0"
