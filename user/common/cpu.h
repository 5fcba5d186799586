/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpu.h - where threads run.
 */
#ifndef TASPILOT_CPU_H
#define TASPILOT_CPU_H

/* Keep the calling thread on @cpu. 0 or -errno. */
int cpu_pin(int cpu);

/* The calling thread's nice value. 0 or -errno. */
int cpu_nice(int nice);
int cpu_get_nice(void);

/* That of its session's autogroup (sched(7)), which is weighed against other sessions. 0 where there
 * is none; setting it is -ENOENT then, and -EPERM where the process does not lead the session.
 */
int cpu_session_nice(int nice);
int cpu_get_session_nice(void);

#endif
