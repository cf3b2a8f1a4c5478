"""What is written down about images and sent around: read on control node, image server and PC alike.

Only the standard library, and `zstandard` for packs: the deploy system carries these files as they are.
"""
