"""How gates behave, kind by kind.

A kind is a model in `evaluator.spec`, and a behaviour in the file here that has its subject.
"""

from evaluator.certification._gates import _data, _findings, _measured  # noqa: F401 - they register
