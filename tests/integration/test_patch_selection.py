"""What is chosen for installation, by apt's real resolver, in small worlds of packages that exist only on paper."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts

# Origin, Label, Suite of each source, as the real ones have them.
SOURCES: Mapping[str, Mapping[str, str]] = {
    "main": {"Origin": "Debian", "Label": "Debian", "Suite": "stable"},
    "updates": {"Origin": "Debian", "Label": "Debian", "Suite": "stable-updates"},
    "security": {"Origin": "Debian", "Label": "Debian-Security", "Suite": "stable-security"},
    "backports": {
        "Origin": "Debian Backports",
        "Label": "Debian Backports",
        "Suite": "stable-backports",
        "NotAutomatic": "yes",
        "ButAutomaticUpgrades": "yes",
    },
    "vendor": {"Origin": "Vendor", "Label": "Vendor", "Suite": "stable"},
}
POLICY: Mapping[str, Any] = {
    "scope": "security",
    "hold": [],
    "distribution": [{"origin": "Debian"}],
    "security": [{"origin": "Debian", "label": "Debian-Security"}],
    "third_party": [],
}
# Runs in the host. Input: {folder, policy}; output: the selection.
ASK = """
import json, sys
sys.dont_write_bytecode = True
sys.path.insert(0, "/opt")
from lab_patch.packages import open_cache, select
from lab_patch.policy import Policy
chosen = select(open_cache(), Policy.read(json.loads(sys.argv[1])))
names = lambda packages: {name: step.available for name, step in packages.items()}
print(json.dumps({
    "upgrades": names(chosen.upgrades), "added": dict(chosen.added), "held": names(chosen.held),
    "kept_back": names(chosen.kept_back), "broken": chosen.broken, "outside": chosen.outside,
}))
"""


@dataclass(frozen=True, slots=True)
class World:
    """Packages as `name version; Field: value; ...`, by where they are: installed, or in a source."""

    installed: tuple[str, ...]
    sources: Mapping[str, tuple[str, ...]]
    policy: Mapping[str, Any] = field(default_factory=dict)
    preferences: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is expected; `outside` counts."""

    upgrades: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    kept_back: Mapping[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    outside: int = 0


FULL = {"scope": "full"}
CASES: Mapping[str, tuple[World, Chosen]] = {
    "the security version, though a newer plain one is there": (
        World(("a 1",), {"security": ("a 2",), "updates": ("a 3",)}),
        Chosen({"a": "2"}),
    ),
    "the newest version of all": (
        World(("a 1",), {"security": ("a 2",), "updates": ("a 3",)}, FULL),
        Chosen({"a": "3"}),
    ),
    "nothing once the security version is there": (
        World(("a 2",), {"security": ("a 2",), "updates": ("a 3",)}),
        Chosen(outside=1),
    ),
    "no older version": (World(("a 4",), {"security": ("a 2",)}, FULL), Chosen()),
    "no backport that nobody chose": (World(("a 1",), {"main": ("a 1",), "backports": ("a 2",)}, FULL), Chosen()),
    "no version that is pinned away": (
        World(("a 1",), {"security": ("a 2",)}, preferences="Package: a\nPin: version 2\nPin-Priority: -1\n"),
        Chosen(),
    ),
    "the version that is pinned": (
        World(
            ("a 1",),
            {"main": ("a 1",), "security": ("a 2",)},
            preferences="Package: a\nPin: version 1\nPin-Priority: 1001\n",
        ),
        Chosen(),
    ),
    "nothing older, even when it is pinned and another needs it": (
        World(
            ("a 2", "b 1"),
            {"main": ("a 1",), "security": ("b 2; Depends: a (<< 2)",)},
            preferences="Package: a\nPin: version 1\nPin-Priority: 1001\n",
        ),
        Chosen(kept_back={"b": "2"}),
    ),
    "nothing where everything is pinned away": (
        World(("a 1",), {"security": ("a 2",)}, preferences="Package: *\nPin: release *\nPin-Priority: -1\n"),
        Chosen(),
    ),
    "nothing beside a package without what it needs": (
        World(("a 1", "b 1; Depends: nowhere"), {"security": ("a 2",)}),
        Chosen(kept_back={"a": "2"}, broken=["b"]),
    ),
    "the distribution's version, though a third party has a newer one": (
        World(("a 1",), {"security": ("a 2",), "vendor": ("a 9",)}),
        Chosen({"a": "2"}),
    ),
    "nothing from a third party": (World(("a 1",), {"vendor": ("a 9",)}, FULL), Chosen(outside=1)),
    "what is listed of a third party": (
        World(
            ("a 1", "b 1"),
            {"vendor": ("a 9", "b 9")},
            {"third_party": [{"origin": "Vendor", "packages": ["a"]}]},
        ),
        Chosen({"a": "9"}, outside=1),
    ),
    "a new package of the distribution that is needed": (
        World(("a 1",), {"security": ("a 2; Depends: n",), "main": ("n 1",)}),
        Chosen({"a": "2"}, {"n": "1"}),
    ),
    "no new package of a third party": (
        World(("a 1",), {"security": ("a 2; Depends: n",), "vendor": ("n 1",)}),
        Chosen(kept_back={"a": "2"}),
    ),
    "nothing that moves a package out of scope": (
        World(("a 1", "b 1"), {"security": ("a 2; Depends: b (>= 2)",), "updates": ("b 2",)}),
        Chosen(kept_back={"a": "2"}, outside=1),
    ),
    "both, when both are in scope": (
        World(("a 1", "b 1"), {"security": ("a 2; Depends: b (>= 2)",), "updates": ("b 2",)}, FULL),
        Chosen({"a": "2", "b": "2"}),
    ),
    "nothing that removes a package": (
        World(("a 1", "b 1"), {"security": ("a 2; Conflicts: b",)}),
        Chosen(kept_back={"a": "2"}),
    ),
    "the rest, when one can't be had": (
        World(
            ("a 1", "b 1", "x 1", "y 1; Depends: x (= 1)", "z 1"),
            {
                "security": (
                    "a 2; Conflicts: b",
                    "x 2; Breaks: y (<< 2)",
                    "y 2; Depends: x (= 2)",
                    "z 2; Depends: n",
                ),
                "main": ("n 1",),
            },
        ),
        Chosen({"x": "2", "y": "2", "z": "2"}, {"n": "1"}, kept_back={"a": "2"}),
    ),
    "nothing new for what is kept back": (
        World(("a 1", "b 1"), {"security": ("a 2; Depends: n; Conflicts: b",), "main": ("n 1",)}),
        Chosen(kept_back={"a": "2"}),
    ),
    "nothing on hold in dpkg": (
        World(("a 1; Status: hold ok installed", "b 1"), {"security": ("a 2", "b 2")}),
        Chosen({"b": "2"}, held={"a": "2"}),
    ),
    "nothing on hold in the policy, nor what needs it": (
        World(
            ("lib-a 1", "b 1", "c 1"),
            {"security": ("lib-a 2", "b 2; Depends: lib-a (>= 2)", "c 2")},
            {"hold": ["lib-*"]},
        ),
        Chosen({"c": "2"}, held={"lib-a": "2"}, kept_back={"b": "2"}),
    ),
    "nothing that is not out for all machines yet": (
        World(("a 1",), {"updates": ("a 2; Phased-Update-Percentage: 20",)}, FULL),
        Chosen(outside=1),
    ),
}


@pytest.fixture(scope="module")
def pc(room: BuildRoom) -> TestHost:
    """One PC, with the project's resolver on it."""
    host: TestHost = room(1, name="selection").hosts[0]
    shutil.copytree(PROJECT / "lab_tool/plugins/module_utils/lab_patch", host.root / "opt/lab_patch")
    (host.root / "opt/ask.py").write_text(ASK, encoding="utf-8")
    return host


@pytest.mark.parametrize("name", CASES)
def test_chosen(pc: TestHost, name: str) -> None:
    world, expected = CASES[name]
    assert choose(pc, world) == expected


def choose(host: TestHost, world: World) -> Chosen:
    """Set up the world on the host, beside its own packages, and ask."""
    host.run("rm -rf /opt/world; mkdir -p /opt/world/state/lists/partial /opt/world/cache/archives/partial")
    root = host.root / "opt/world"
    (root / "status").write_text("\n".join(_stanza(package) for package in world.installed), encoding="utf-8")
    (root / "preferences").write_text(world.preferences, encoding="utf-8")
    for source, packages in world.sources.items():
        (root / source).mkdir()
        (root / source / "Packages").write_text("\n".join(_stanza(package) for package in packages), encoding="utf-8")
        release = "".join(f"{name}: {value}\n" for name, value in SOURCES[source].items())
        (root / source / "Release").write_text(f"{release}Codename: {source}\n", encoding="utf-8")
    lines = [f"deb [trusted=yes] file:/opt/world/{source} ./\n" for source in world.sources]
    (root / "sources.list").write_text("".join(lines), encoding="utf-8")
    (root / "apt.conf").write_text(SETTINGS, encoding="utf-8")
    policy = json.dumps({**POLICY, **world.policy})
    said = host.run(f"export APT_CONFIG=/opt/world/apt.conf; apt-get update -qq; python3 /opt/ask.py '{policy}'").stdout
    return Chosen(**json.loads(said))


SETTINGS = """
Dir::State "/opt/world/state";
Dir::State::status "/opt/world/status";
Dir::State::extended_states "/opt/world/extended_states";
Dir::Cache "/opt/world/cache";
Dir::Etc::sourcelist "/opt/world/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/opt/world/preferences";
Dir::Etc::preferencesparts "/dev/null";
"""


def _stanza(package: str) -> str:
    head, *fields = (part.strip() for part in package.split(";"))
    name, version = head.split()
    plain = {
        "Package": name,
        "Status": "install ok installed",
        "Version": version,
        "Architecture": "all",
        "Maintainer": "nobody",
        "Filename": f"./{name}_{version}.deb",
        "Size": "1",
        "Description": "on paper",
    }
    given = dict(text.split(": ", 1) for text in fields)
    return "".join(f"{key}: {value}\n" for key, value in {**plain, **given}.items())
