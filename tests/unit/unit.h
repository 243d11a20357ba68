/* SPDX-License-Identifier: MIT */
/* cmocka, with what must stand before it. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proto/util.h"
