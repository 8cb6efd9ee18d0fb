"""The audit of the demo, from its first signed certificate to a key that was lost, as a story."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluator_tests.browser import shown
from evaluator_tests.certification.browser import checked, chosen, fill

pytestmark = pytest.mark.slow

DONE, NOT_CERTIFIED, WRONG_USE = 0, 1, 2
HOLDS = "SIGNATURE, FILES AND LEDGER HOLD"
CERTIFIED = "certified, with 1 optional gate failed, 1 fairness gap failed, 2 weak slices"
TRUSTED = """
[issuer]
audit = "keys/audit.public.pem"
"audit from today" = "keys/next.public.pem"

[reviewer]
Ada = "keys/ada.public.pem"
"""


class Answer(NamedTuple):
    code: int
    out: str


class Desk:
    """Somebody's folder, from which they call the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EVALUATOR_", "MLFLOW_"))
        }
        self.settings: dict[str, str] = {"EVALUATOR_HOME": str(folder / "state")}

    def call(self, *arguments: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-c", "from evaluator.cli import main; main()", *arguments],
            cwd=self.folder,
            env={**self._ours, **self.settings},
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout + done.stderr)

    def sign_with(self, key: str) -> None:
        self.settings["EVALUATOR_SIGNING_KEY_FILE"] = f"keys/{key}.private.pem"


def test_a_certificate_is_issued_revoked_rotated_exported_and_its_key_lost(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    forest = "flights/random_forest"
    ada = ("--by", "Ada", "--sign-with", "keys/ada.private.pem")

    # The issuer and the reviewer make keys, and tell the ids to whoever releases.
    for name in ("audit", "next", "ada"):
        assert desk.call("keys", "create", name, "--folder", "keys").code == DONE
    (tmp_path / "trusted.toml").write_text(TRUSTED)

    # The audit runs, and what it certifies may go out.
    desk.sign_with("audit")
    assert desk.call("demo").code == DONE
    assert desk.call("require", "flights", "random_forest").code == WRONG_USE
    released = desk.call("require", "flights", "random_forest", "--key", "trusted.toml")
    assert released.code == DONE
    assert released.out.startswith(f"RELEASE random_forest: {CERTIFIED}")
    refused = desk.call("require", "flights", "schedule_only", "--key", "trusted.toml")
    assert refused.code == NOT_CERTIFIED
    kept = _head(desk.call("verify", forest, "--key", "trusted.toml").out)

    # The labels turn out to be wrong: Ada revokes, and nothing new comes of another run or key.
    assert desk.call("revoke", forest, "--reason", "the labels were wrong", *ada).code == DONE
    refused = desk.call("require", "flights", "random_forest", "--key", "trusted.toml")
    assert refused.code == NOT_CERTIFIED
    assert "does not stand: revoked by Ada: the labels were wrong" in refused.out
    forged = desk.call("correct", forest, "8", "--by", "Ada", "--reason", "never mind")
    assert forged.code == DONE  # the issuer's key may write, and nobody has to believe it
    assert desk.call("verify", forest, "--key", "trusted.toml").out.startswith(
        "DOES NOT STAND (revoked)"
    )
    desk.sign_with("next")
    desk.settings["EVALUATOR_TRUSTED_KEYS"] = "trusted.toml"
    again = desk.call("run", "flights")
    assert "none for random_forest: revoked by Ada: the labels were wrong" in again.out

    # They were right after all. The new key issues, and what the old one signed stays verifiable.
    assert desk.call("correct", forest, "8", "--reason", "they were right", *ada).code == DONE
    before = desk.call("verify", forest)
    assert before.out.startswith("VERIFIED")
    assert desk.call("run", "flights").code == DONE
    assert desk.call("verify", forest).out.startswith("VERIFIED")
    # Who knows the issuer alone hears of the revocation, and has nobody to believe that it ended.
    alone = desk.call("verify", forest, "--key", "keys/next.public.pem")
    assert alone.out.startswith("DOES NOT STAND (revoked)")

    # A stranger gets a folder, and finds what was changed in it.
    _hand_on(desk, forest)

    # Another one may not see everything, and has cases shown that they choose.
    _show_what_may_leave(desk, "flights/gradient_boosting")

    # The old key is lost: what it signed is void, but for whoever kept a head.
    old = desk.folder / "state" / "evidence" / _first_certificate(desk.folder)
    assert desk.call("verify", str(old)).code == DONE
    lost = desk.call("keys", "revoke", "flights", "keys/audit.public.pem", "--reason", "lost", *ada)
    assert lost.code == DONE
    assert desk.call("verify", str(old)).out.startswith("DOES NOT STAND (void)")
    assert desk.call("verify", str(old), "--ledger-head", kept).code == DONE
    assert desk.call("verify", forest).code == DONE


def _hand_on(desk: Desk, forest: str) -> None:
    wrong = desk.call("export", forest, "bundle", "--key", "keys/ada.public.pem")
    assert wrong.code not in (DONE, NOT_CERTIFIED)
    assert not (desk.folder / "bundle").exists()
    assert desk.call("export", forest, "bundle").code == DONE
    assert desk.call("verify", "bundle", "--key", "trusted.toml").code == DONE
    # The page takes one key, and so does not know who corrected the revocation.
    assert _says_the_page(desk, "bundle") == "DOES NOT STAND (revoked)"
    report = desk.folder / "bundle" / "report.html"
    report.write_text(report.read_text().replace("fairness gap failed", "fairness gap passed"))
    spoilt = desk.call("verify", "bundle", "--key", "trusted.toml")
    assert spoilt.code == NOT_CERTIFIED
    assert "bundle: report.html: what manifest.dsse.json names here is another" in spoilt.out
    assert _says_the_page(desk, "bundle") == "FAILED"


def _show_what_may_leave(desk: Desk, certificate: str) -> None:
    assert desk.call("export", certificate, "redacted", "--redacted").code == DONE
    assert not list((desk.folder / "redacted").rglob("*.csv"))
    seen = desk.call("verify", "redacted", "--key", "trusted.toml")
    assert seen.code == DONE
    assert "files with rows are withheld, and a salted digest stands for each" in seen.out
    assert _says_the_page(desk, "redacted") == HOLDS
    chosen = ("--challenge", "what nobody could foresee")
    assert desk.call("open", certificate, "cases.json", *chosen).code == DONE
    handed = ("--openings", "cases.json", "--key", "trusted.toml")
    opened = desk.call("verify", "redacted", *handed, *chosen)
    assert opened.code == DONE
    assert "cases, as the challenge chose" in opened.out
    other = desk.call("verify", "redacted", *handed, "--challenge", "another word")
    assert other.code == NOT_CERTIFIED
    assert "it does not show the 50 cases that the challenge chooses" in other.out


def _says_the_page(desk: Desk, bundle: str) -> str:
    """Give a folder and the new issuer's key to the page that lies in it, without a network."""
    with shown(desk.folder / bundle / "verify.html", desk.folder / "profile") as page:
        chosen(page, desk.folder / bundle)
        fill(page, "key", (desk.folder / "keys" / "next.public.pem").read_text())
        found = checked(page)
        assert all(address.startswith("file:") for address in page.requests)
    return found.result


def _head(report: str) -> str:
    """Read the ledger's number and digest out of a printed report."""
    (line,) = [line for line in report.splitlines() if line.startswith("  ledger")]
    return ":".join(line.split()[1:])


def _first_certificate(folder: Path) -> str:
    """Find the forest's first certificate, where the ledger says that it is."""
    for path in sorted((folder / "state" / "evidence" / "flights" / "ledger").glob("0*.json")):
        entry = json.loads(path.read_bytes())
        if entry["kind"] == "certificate" and entry["body"]["candidate"] == "random_forest":
            return str(entry["body"]["path"])
    raise AssertionError("no certificate was entered")
