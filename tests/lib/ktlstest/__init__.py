# SPDX-License-Identifier: MIT
"""What the end-to-end scenarios are made of: one module per thing they need."""
