"""The colours of the dashboard, by the contrast ratio of WCAG 2.2 (1.4.3: at least 4.5)."""

import re
from importlib.resources import files

import pytest

STYLE = files("evaluator.reporting").joinpath("templates/dashboard.css").read_text("utf-8")
SHADES = ["m3", "m2", "m1", "z0", "p1", "p2", "p3"]
PAIRS = [
    *((text, ground) for text in ("ink", "muted") for ground in ("page", "surface", "sunken")),
    *(("accent", ground) for ground in ("page", "surface")),
    *((kind, f"{kind}-soft") for kind in ("good", "bad", "open")),
    ("open", "surface"),
    *((text, f"heat-{shade}") for text in ("ink", "heat-quiet") for shade in SHADES),
]


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block))


THEMES = {
    "light": _colours(STYLE[: STYLE.index("@media (prefers-color-scheme: dark)")]),
    "dark": _colours(
        STYLE[STYLE.index("@media (prefers-color-scheme: dark)") : STYLE.index("* { box-sizing")]
    ),
    "print": _colours(STYLE[STYLE.index("@media print") :]),
}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read_on_its_ground(theme: str, text: str, ground: str) -> None:
    lighter, darker = sorted(
        (_luminance(THEMES[theme][text]), _luminance(THEMES[theme][ground])), reverse=True
    )
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
