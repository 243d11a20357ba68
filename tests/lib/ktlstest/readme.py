# SPDX-License-Identifier: MIT
"""What README.md says, for tests that do it."""

import os
import re
import textwrap

from ktlstest.daemon import TOP
from ktlstest.tap import check_true


def _text():
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        return file.read()


def example(heading):
    """The indented text behind a heading."""
    section = _text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return textwrap.dedent("\n".join(re.findall(r"^(?:    .*|)$", section, re.M)))


def commands(sentence):
    """The command lines behind a sentence, up to the next one, without their comments."""
    found = re.search(rf"{re.escape(sentence)}[^\n]*\n\n((?:    .+\n)+)", _text())
    check_true(bool(found), f"commands behind {sentence!r}")
    return [re.sub(r"\s+# .*", "", line).strip() for line in found[1].splitlines()]


def replaced(text, old, new):
    check_true(old in text, f"{old} in the example")
    return text.replace(old, new)
