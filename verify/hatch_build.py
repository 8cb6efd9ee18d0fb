"""Takes from the whole package's pyproject.toml what the small one shall have as it is there."""

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class WholePackage(MetadataHookInterface):
    """Adds Python's versions, the dependencies that are named here, and extras."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in what pyproject.toml calls dynamic."""
        file = Path(self.root).parent / "pyproject.toml"
        whole = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        bounds = {
            re.split(r"[^\w.-]", bound, maxsplit=1)[0]: bound for bound in whole["dependencies"]
        }
        metadata["requires-python"] = whole["requires-python"]
        metadata["dependencies"] = [bounds[name] for name in self.config["dependencies"]]
        metadata["optional-dependencies"] = {
            name: whole["optional-dependencies"][name] for name in self.config["extras"]
        }
