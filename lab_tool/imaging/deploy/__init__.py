"""What runs on a PC that is imaged: `python3 -m lab_tool.imaging.deploy`, packed into the deploy system as it is.

Only the standard library, `zstandard`, and `lab_tool.{process,errors,signature,canonical,imaging.format}`.
"""
