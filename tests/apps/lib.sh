# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lib.sh - what every application test sources: the lab of the namespace tests, with the
# programs at home in it.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#   plain Linux                     taspilot attached here
#
# Each file starts a program from Debian in the server's namespace under `taspilot run`,
# uses it from the client's, and checks what came and that it was fast.
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0
