"""``cnnexp inspect``: pictures of what happens inside."""

from __future__ import annotations

import argparse

from cnnexp.app import stride_groups

STRIDE_GROUPS = "stride-groups"
EPILOG = """\
examples
  python -m cnnexp inspect stride-groups --input 4x4 --filter 2 --stride 1
  python -m cnnexp inspect stride-groups --input 4x4 --filter 2 --out groups.png
"""


def main(words: list[str]) -> int:
    """Show what the words ask for."""
    if words[:1] == [STRIDE_GROUPS]:
        return stride_groups.main(words[1:])
    parser = argparse.ArgumentParser(
        prog="cnnexp inspect",
        description="Show which pixels each element of a filter meets in each stride group.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=[STRIDE_GROUPS])
    parser.parse_args(words)
    return 0
