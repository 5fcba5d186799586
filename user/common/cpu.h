/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu.h - where threads run.
 */
#ifndef TASPILOT_CPU_H
#define TASPILOT_CPU_H

/* Keep the calling thread on @cpu. 0 or -errno. */
int cpu_pin(int cpu);

#endif
