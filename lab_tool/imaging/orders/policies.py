"""Which values go into the registry of a school's Windows: rules/windows_policies.yml, as an order carries them."""

from __future__ import annotations

from collections.abc import Mapping

from lab_tool.errors import UsageError
from lab_tool.imaging.deploy.registry import FIELDS, Setting
from lab_tool.imaging.format.fields import FormatError
from lab_tool.rules.data import read

_FILE = "windows_policies.yml"


def windows_policies(switches: Mapping[str, bool] | None = None) -> tuple[Mapping[str, str], ...]:
    """The policies, in the file's order; `switches` turns some off by their ids.

    Raises `UsageError`: an id that does not exist, or a value that its type can't hold.
    """
    known = read(_FILE)
    asked = dict(switches or {})
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise UsageError(f"no Windows policy is called {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [
        {field: str(entry[field]) for field in FIELDS} for name, entry in known.items() if asked.get(name, True) is True
    ]
    for policy in chosen:
        try:
            Setting.read(policy)
        except FormatError as error:
            raise UsageError(str(error), where=f"lab_tool/rules/{_FILE}") from error
    return tuple(chosen)
