/* SPDX-License-Identifier: BSD-2-Clause
 *
 * seq.h - 32-bit sequence arithmetic (RFC 9293 section 3.4).
 *
 * All comparisons hold while the two numbers are less than 2^31 apart.
 */
#ifndef TASPILOT_SEQ_H
#define TASPILOT_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_after(uint32_t a, uint32_t b) { return (int32_t)(b - a) < 0; }
static inline bool seq_before_eq(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline bool seq_after_eq(uint32_t a, uint32_t b) { return (int32_t)(b - a) <= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_after(a, b) ? a : b; }
static inline uint32_t seq_min(uint32_t a, uint32_t b) { return seq_before(a, b) ? a : b; }

#endif
