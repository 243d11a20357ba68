# SPDX-License-Identifier: MIT
"""Our programs where every user gets to them: the tree may lie where only its owner does."""

import atexit
import functools
import os
import shutil
import tempfile

from ktlstest.daemon import TOP


@functools.cache
def ktlsctl():
    """KTLSCTL_BIN, if it is set, says which."""
    directory = tempfile.mkdtemp(prefix="ktlsd-test.")
    atexit.register(shutil.rmtree, directory)
    os.chmod(directory, 0o755)
    return shutil.copy(os.environ.get("KTLSCTL_BIN") or os.path.join(TOP, "build", "ktlsctl"), directory)
