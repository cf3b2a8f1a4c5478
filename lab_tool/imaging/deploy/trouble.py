"""What can go wrong on the PC, told to the technician who stands in front of it."""

from __future__ import annotations

from lab_tool.errors import LabError


class DeployError(LabError):
    """It can't go on. What happened, at which place of which disk, and what a technician can do about it."""

    def __init__(self, what: str, *, where: str = "", advice: str = "") -> None:
        super().__init__(f"{what}. {advice}" if advice else what, where=where)
        self.advice = advice


class DiskError(DeployError):
    """The disk does not read, not write, or not keep."""


class RefusedOrderError(DeployError):
    """An order or an image that is not what somebody entitled signed, or that is another PC's. Nothing was written."""


class AwayError(DeployError):
    """The image server did not answer for as long as patience lasts. Starting again goes on where it stopped."""


class StoppedError(DeployError):
    """The order was withdrawn while it was being carried out."""
