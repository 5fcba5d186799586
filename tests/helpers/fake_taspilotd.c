/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fake_taspilotd - run COMMAND under libtaspilot.so with the fake daemon of the shim's tests.
 *
 *   fake_taspilotd PATH/libtaspilot.so COMMAND...
 *
 * Connections over loopback whose both ends are under it travel through shared memory; no root.
 */
#include "../unit/fake_daemon.h"

int main(int argc, char **argv)
{
	char dir[64];
	pid_t fake, child;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: fake_taspilotd LIBTASPILOT COMMAND...\n");
		return 2;
	}
	fake = fake_start(dir);
	if (!fake) {
		fprintf(stderr, "fake_taspilotd: cannot listen in %s\n", dir);
		return 1;
	}
	child = fork();
	if (child == 0) {
		setenv("LD_PRELOAD", argv[1], 1);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	waitpid(child, &status, 0);
	fake_stop(fake, dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
