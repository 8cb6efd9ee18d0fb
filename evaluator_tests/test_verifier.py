"""The command `evaluator-verify`: it says what `evaluator verify` says, and needs no platform."""

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import pytest

from evaluator import cli, verifier
from evaluator.certification import TrustedKeys, export_bundle
from evaluator_tests.certification.checking import key_of
from evaluator_tests.certification.evidence_folder import Builder


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def standing_bundle(folder: Path) -> Path:
    """Export a certificate that stands for as long as there are dates."""
    builder = Builder(folder / "evidence")
    builder.valid_until = datetime.max.replace(tzinfo=UTC)
    issued = builder.issue(key_of())
    return export_bundle(
        issued.certificates["one"],
        issued.url,
        folder / "bundle",
        trusted=TrustedKeys.of(issued.key.public),
        key=issued.key,
        now=datetime.now(UTC),
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standing_bundle(tmp_path_factory.mktemp("issued"))


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command in this process."""

    def make(main: Callable[[], None], *arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["a command", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return Answer(int(caught.value.code or 0), *capfd.readouterr())

    return make


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the whole package not be installed."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("evaluator.verifier._verify.version", version)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((".", "--key", "public_key.pem"), 0),
        (("certificate.dsse.json", "--evidence", "evidence", "--json"), 1),
    ],
)
def test_both_commands_say_the_same(
    bundle: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(bundle)
    answer = call(verifier.main, *arguments)
    assert answer == call(cli.main, "verify", *arguments)
    assert answer.code == code
    assert answer.err == ""


@pytest.mark.usefixtures("alone")
def test_a_file_that_was_added_fails_in_the_first_line_and_cannot_control_the_terminal(
    bundle: Path, call: Call, tmp_path: Path
) -> None:
    copied = shutil.copytree(bundle, tmp_path / "bundle")
    (copied / "\x1b[2Jmore\udcff.txt").write_text("more")
    answer = call(verifier.main, str(copied), "--key", str(copied / "public_key.pem"))
    assert answer.code == 1
    assert answer.out.startswith("FAILED")
    assert "bundle: \ufffd[2Jmore\ufffd.txt: it was added" in answer.out


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("certificate.dsse.json",), "--evidence"),
        (("flights/gb",), "there is no such certificate"),
        ((".", "--key", "README.txt"), "it is neither a public key in PEM"),
        ((".", "--ledger-head", "two"), "--ledger-head two"),
        ((), "Usage: evaluator-verify"),
    ],
)
def test_wrong_use_is_a_sentence(
    bundle: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    what: str,
) -> None:
    monkeypatch.chdir(bundle)
    answer = call(verifier.main, *arguments)
    assert answer.code == 2
    assert what in answer.err
    assert "Traceback" not in answer.err


def test_beside_the_whole_package_it_says_that_it_is_not_needed(bundle: Path, call: Call) -> None:
    answer = call(verifier.main, str(bundle), "--json")
    assert answer.out.startswith("{")
    assert "evaluator-verify is not needed here" in answer.err
