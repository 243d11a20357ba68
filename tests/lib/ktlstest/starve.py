# SPDX-License-Identifier: MIT
"""Memory that runs out at the nth allocation of a process (tests/lib/starve.c)."""

import mmap
import os
import struct
import tempfile

from ktlstest import door

LIBRARY = os.path.join(door.TOP, "build", "starve.so")
ORDER = struct.Struct("=iIIIIi")  # as in starve.c


class Order:
    """Who is to starve, and when; for one daemon, which is started with environment()."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="ktlsd-starve.")
        os.chmod(self.file.name, 0o666)
        self.file.truncate(mmap.PAGESIZE)
        self.page = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)

    def environment(self):
        before = door.environment()["LD_PRELOAD"] + " " if door.FAKE_KERNEL else ""
        return {"LD_PRELOAD": before + LIBRARY, "STARVE": self.file.name}

    def give(self, who, first, many=1):
        """The first allocation from now on that fails, and how many do; 0: they are only counted."""
        self._mean(0)  # while the rest changes
        struct.pack_into("=IIIIi", self.page, 4, first, many, 0, 0, 0)
        self._mean(who)

    def _mean(self, who):
        struct.pack_into("=i", self.page, 0, who)

    def stop(self):
        """How many were asked for, and failed; no more do, but they are still counted."""
        struct.pack_into("=I", self.page, 4, 0)
        return ORDER.unpack_from(self.page)[3:5]

    def take_back(self):
        """How many blocks are there that were not."""
        self._mean(0)
        return ORDER.unpack_from(self.page)[5]

    def close(self):
        self.page.close()
        self.file.close()
