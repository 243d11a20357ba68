# SPDX-License-Identifier: MIT
"""The door to the kernel's TLS that says what the scenario wants (tests/lib/door.c).

KTLSTEST_FAKE_KERNEL=1: the door stands for a kernel with TLS where there is none, so that the daemon can run under sanitizers that
the guest cannot bear. What is handed over then is plain TCP: everything is checked but what only a kernel can do.
"""

import os

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../.."))
ORDERS_SIZE = 64
LIBRARY = os.path.join(TOP, "build", "door.so")
FAKE_KERNEL = os.environ.get("KTLSTEST_FAKE_KERNEL") == "1"


def order(path, text=""):
    """Tell the door that looks at this file what to refuse, or by default nothing."""
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.write(text.encode().ljust(ORDERS_SIZE, b"\0"))


def environment(path=None):
    """For a ktlsd that is to go through the door; path is the file of orders, which must be there already."""
    settings = {"LD_PRELOAD": LIBRARY}
    if path is not None:
        settings["DOOR"] = path
    if FAKE_KERNEL:
        # The sanitizer wants to be loaded first, and has nothing to fear from the door.
        options = os.environ.get("ASAN_OPTIONS", "")
        settings |= {"DOOR_FAKE": "1", "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":")}
    return settings
