"""The reader of format 1 of a certificate's statement, as evaluator 0.1.0 wrote it.

What format 1 says, format 2 says in the same words, so that an old certificate is checked by what
checks a new one; what it left unsaid is that its figures knew neither clusters nor weights,
and what qualifies the outcome, but for waivers, with which its reason begins. Its signature is over
its own bytes, which nothing here changes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from evaluator.certification._outcomes import Outcome
from evaluator.certification._phrases import format_count, format_list
from evaluator.certification._verdicts import Verdict
from evaluator.evaluation import assumptions_of
from evaluator.evidence import canonical_json, parse_canonical_json

_FORMAT_1: Final = "urn:evaluator:certificate:v1"
_FORMAT_2: Final = "urn:evaluator:certificate:v2"
_UNSAID: Final = dict.fromkeys(("shared", "training", "commitment"))
WAIVED: Final = "WITH "
"""How the reason of an outcome begins where required gates are waived."""


def as_format_2(content: bytes) -> bytes:
    """Spell a statement of format 1 as one of format 2; give back what is none as it is."""
    if _FORMAT_1.encode() not in content:
        return content
    try:
        document = parse_canonical_json(content)
    except ValueError:
        return content
    if not isinstance(document, dict) or document.get("predicateType") != _FORMAT_1:
        return content
    try:
        predicate = _with_what_was_unsaid(document["predicate"])
    except (KeyError, TypeError):
        return content
    return canonical_json(document | {"predicateType": _FORMAT_2, "predicate": predicate})


def _with_what_was_unsaid(predicate: Mapping[str, Any]) -> dict[str, Any]:
    measured = predicate["evaluation_set"]
    independent = {"cluster": None, "weight": None}
    nothing = {"rows_of_weight_zero": 0, "rows_seen_in_training": 0}
    assumptions = assumptions_of(days=measured["days"], cluster=None, weight=None)
    return {
        **_grown(predicate, {"assumptions": list(assumptions), "waivers": None, **_UNSAID}),
        "candidate": _grown(predicate["candidate"], {"qualified_by": None}),
        "evaluation_set": _grown(measured, independent | nothing),
        "headline": [
            _grown(one, {"clusters": None, "design_effect": None}) for one in predicate["headline"]
        ],
    }


def _grown(part: Mapping[str, Any], unsaid: Mapping[str, Any]) -> dict[str, Any]:
    """Add keys that format 1 does not have, and so refuse them where they are there."""
    return dict(**part, **unsaid)


def waivers_in_words(outcome: Outcome, verdicts: Iterable[Verdict]) -> str:
    """Spell waivers of required gates, and what comes of them; empty without such a waiver."""
    required = {one.gate for one in verdicts if one.required}
    waived = [one for one in outcome.qualified_by.waived if one.gate in required]
    if not waived:
        return ""
    names = {waiver.gate for waiver in waived}
    named = format_list(
        [
            f"{w.gate} until {w.until.date().isoformat()} by {w.waived_by} ({w.reason})"
            for w in waived
        ]
    )
    return (
        f"{WAIVED}{format_count(len(names), 'WAIVED GATE').upper()}: {named}; without "
        f"{'it' if len(names) == 1 else 'them'} {outcome.qualified_by.after_waivers}, as it stands "
        f"{outcome.outcome}: "
    )
