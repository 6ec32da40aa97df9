"""What is built works away from the source, holds what it should, and describes itself on PyPI."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
from conftest import ROOT
from readme_renderer import markdown

from chargen.cli import COMMANDS
from chargen.training.support import LIBRARIES

pytestmark = pytest.mark.slow

ADDRESS = "https://forge.example/someone/chargen/blob/v1.0"
TRACKED_ONLY = (".github/", "checkpoints/")
"""What is no part of the source distribution: a forge's, and where one's own models go."""


def build(source: Path, folder: Path, *options: str, **environment: str) -> Path:
    """Build a distribution; the one file that comes of it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "build", "--installer", "uv", *options),
            *("--outdir", str(folder), str(source)),
        ],
        env=os.environ | {"CHARGEN_SOURCE": ""} | environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (built,) = (path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})
    return built


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of both distributions."""
    folders = {"chargen": ROOT, "chargen-light": ROOT / "light"}
    return {
        name: build(source, tmp_path_factory.mktemp(name), "--wheel")
        for name, source in folders.items()
    }


def members(wheel: Path) -> set[str]:
    """Of a wheel, less the names of folders that hold its own."""
    names = zipfile.ZipFile(wheel).namelist()
    return {re.sub(r"^chargen(_light)?-[^/]*\.", "", name) for name in names}


def metadata(wheel: Path) -> Message:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    return BytesParser().parsebytes(archive.read(name))


def linked(wheel: Path) -> list[str]:
    """All that the description refers to, as PyPI shows it, but for its own headings."""
    text = metadata(wheel).get_payload(decode=True)
    assert isinstance(text, bytes)
    page = markdown.render(text.decode())
    assert page is not None
    return re.findall(r'(?:href|src)="(?!#user-content-)([^"]*)"', page)


@pytest.mark.parametrize("name", ["chargen", "chargen-light"])
def test_a_wheel_works_away_from_the_source(
    name: str, wheels: dict[str, Path], tmp_path: Path, checkpoint: Path
):
    names = zipfile.ZipFile(wheels[name]).namelist()
    assert "chargen/py.typed" in names
    sources = (ROOT / "chargen" / "export" / "web").iterdir()
    assert {f"chargen/export/web/{path.name}" for path in sources} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0].split("-")[0] for name in names}
    assert tops == {"chargen", name.replace("-", "_")}
    pages = {name.rpartition("/")[2] for name in names if "/share/man/man1/" in name}
    assert pages == {"chargen.1", *(f"chargen-{command}.1" for command in COMMANDS)}
    site = tmp_path / "site"
    zipfile.ZipFile(wheels[name]).extractall(site)
    script = f"""
import sys
sys.path.insert(0, {str(site)!r})
import chargen
assert chargen.__file__.startswith({str(site)!r}), chargen.__file__
from chargen.cli import main
sys.argv = ["chargen", "sample", "-c", {str(checkpoint)!r}, "-s", "abc", "-n", "9"]
main()
"""
    result = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert result.stdout.startswith(b"abc")
    assert len(result.stdout) == 13


def test_the_light_one_differs_in_what_it_needs_and_in_nothing_else(wheels: dict[str, Path]):
    assert members(wheels["chargen-light"]) == members(wheels["chargen"])
    whole, light = (metadata(wheels[name]) for name in ("chargen", "chargen-light"))
    for field in ("Version", "Requires-Python", "License-Expression"):
        assert light[field] == whole[field]
    assert light.get_all("Classifier") == whole.get_all("Classifier")

    def needed(by: Message) -> set[str]:
        lines = by.get_all("Requires-Dist", [])
        return {re.split(r"[^\w-]", line)[0] for line in lines if "extra ==" not in line}

    assert needed(whole) - needed(light) == set(LIBRARIES)
    assert needed(light) < needed(whole)
    extra = {line for line in light.get_all("Requires-Dist", []) if "extra == 'train'" in line}
    assert {re.split(r"[^\w-]", line)[0] for line in extra} == set(LIBRARIES)


@pytest.mark.parametrize("name", ["chargen", "chargen-light"])
def test_without_an_address_a_description_has_no_link_that_leads_nowhere(
    name: str, wheels: dict[str, Path]
):
    assert [target for target in linked(wheels[name]) if not target.startswith("https://")] == []
    assert "Project-URL" not in metadata(wheels[name])


def test_with_an_address_the_links_lead_to_the_files(tmp_path: Path):
    wheel = build(ROOT, tmp_path, "--wheel", CHARGEN_SOURCE=ADDRESS)
    targets = linked(wheel)
    assert len(targets) >= 3
    assert all(target.startswith("https://") for target in targets)
    pictures = ADDRESS.replace("/blob/", "/raw/")
    ours = [
        target.removeprefix(f"{ADDRESS}/").removeprefix(f"{pictures}/")
        for target in targets
        if "forge.example" in target
    ]
    assert {"docs/start.md", "docs/pictures/session.svg"} <= set(ours)
    assert [target for target in ours if not (ROOT / target.partition("#")[0]).exists()] == []
    assert metadata(wheel).get_all("Project-URL") == [
        f"Source, {ADDRESS}",
        f"Changelog, {ADDRESS}/CHANGELOG.md",
    ]


def test_the_source_distribution_holds_what_its_tests_need(tmp_path: Path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so that nothing says what belongs to it")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {name for name in listed.stdout.split("\0") if name}
    with tarfile.open(build(ROOT, tmp_path, "--sdist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held - {"PKG-INFO"} == {name for name in tracked if not name.startswith(TRACKED_ONLY)}
