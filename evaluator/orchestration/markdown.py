"""Tables for Dagster's UI."""

from typing import Any

import pandas as pd


def markdown_table(frame: pd.DataFrame) -> str:
    """Lay a frame out as a Markdown table; missing values are blank."""

    def cell(value: Any) -> str:
        if pd.isna(value):
            return ""
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    lines = [list(frame.columns), ["---"] * frame.shape[1]]
    lines += [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
