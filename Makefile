# SPDX-License-Identifier: BSD-2-Clause
#
#   make            build everything into out/
#   make check      unit tests and simulator        (no root)
#   make check-bpf  feed packets to the BPF programs (root)
#   make check-net  network-namespace tests         (root)
#   make check-apps real programs under taspilot    (root)
#   make matrix     the same, and write docs/programs.md (root)
#   make test       dependencies, sanitizers, all of the above, installing (root)
#   make check-vm   every kernel and NIC, in throw-away QEMU guests (root); hours without KVM
#   make demo       the main job, in namespaces, beside plain Linux (root)
#   make plots      the congestion controls in the simulator, as SVG
#   make bench      Linux against taspilot, side by side: tables, pictures (root)
#   make cost       instructions that TCP takes a segment, by callgrind
#   make fuzz       parsers of what strangers send, FUZZ_SECS=30 each (clang)
#   make deps       install with apt what is missing (root)
#   make install DESTDIR= PREFIX=/usr/local    uninstall likewise
#   make deb        a Debian package, in out/deb/
#   make format     clang-format over the tree
#   PROFILE=1       time stamps in the fast thread's loop (see `make profile`)
#   SAN=address,undefined | thread    build with sanitizers, into out-$(SAN)/
#   TESTS="name..."  of check-net, check-apps: only these       V=1  show commands
#   PARTS="rpc redis..."  of bench: only these, tests/bench/parts

CC	?= cc
CLANG	?= clang
BPFTOOL	?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool /sbin/bpftool) bpftool)
comma	:= ,
OUT	?= out$(if $(SAN),-$(firstword $(subst $(comma), ,$(SAN))))
CFLAGS	?= -O2 -g
SAN	?=
PREFIX	?= /usr/local
DESTDIR	?=
UNITDIR	?= $(PREFIX)/lib/systemd/system
to	 = $(DESTDIR)$(PREFIX)

warn	:= -Wall -Wextra -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
all_c	 = -std=gnu17 $(warn) -D_GNU_SOURCE -Iinclude -I$(OUT) -MMD -MP $(CFLAGS) \
	   $(if $(PROFILE),-DTP_PROFILE) \
	   $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
bpflibs	:= -lxdp -lbpf -lelf -lz -lpthread
Q	:= $(if $(V),,@)
say	 = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)
objs	 = $(patsubst %.c,$(OUT)/%.o,$(wildcard $(addsuffix /*.c,$(1))))

common	:= $(call objs,user/common)
fast	:= $(call objs,user/fast)
daemon	:= $(call objs,user/slow) $(fast) $(common)
# what of the slow path the command needs too: undoing an attach, examining a NIC
both	:= undo check linkkind netlink nic rundir state tchook xdpfeat
cli	:= $(call objs,user/cli) $(common) $(both:%=$(OUT)/user/slow/%.o)
shim	:= $(patsubst %.c,$(OUT)/%.pic.o,$(wildcard user/shim/*.c))
skels	:= $(patsubst bpf/%.bpf.c,$(OUT)/%.skel.h,$(wildcard bpf/*.bpf.c))
units	:= $(patsubst tests/unit/%.c,$(OUT)/%,$(wildcard tests/unit/test_*.c))
bpftests := $(patsubst tests/bpf/%.c,$(OUT)/bpf/%,$(wildcard tests/bpf/test_*.c))
fuzzers	:= $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
benches	:= $(patsubst tests/bench/%.c,$(OUT)/bench/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c))) \
	   $(OUT)/bench/pass.bpf.o
helpers	:= $(patsubst tests/helpers/%.c,$(OUT)/helpers/%,$(wildcard tests/helpers/*.c))
wire	:= $(call objs,tests/wire)
segments := $(call objs,tests/diff)
posix	:= $(call objs,tests/posix)

all: programs $(skels) $(benches) $(helpers) $(OUT)/wire $(OUT)/segments $(OUT)/posix

programs: $(OUT)/taspilot $(OUT)/taspilotd $(OUT)/libtaspilot.so

$(OUT)/taspilot: $(cli)
	$(call say,LD)
	$(Q)$(CC) $(all_c) -o $@ $^ $(bpflibs)

$(OUT)/taspilotd: $(daemon)
	$(call say,LD)
	$(Q)$(CC) $(all_c) -o $@ $^ $(bpflibs) -lm

$(OUT)/wire: $(wire)
	$(call say,LD)
	$(Q)$(CC) $(all_c) -o $@ $^ -lm

$(OUT)/segments: $(segments)
	$(call say,LD)
	$(Q)$(CC) $(all_c) -o $@ $^

# its calls are wrong on purpose
$(posix): warn += -Wno-nonnull -Wno-stringop-overflow
$(OUT)/posix: $(posix)
	$(call say,LD)
	$(Q)$(CC) $(all_c) -o $@ $^ -lpthread

$(OUT)/libtaspilot.so: $(shim) user/shim/exports.map
	$(call say,LD)
	$(Q)$(CC) $(all_c) -shared -Wl,--version-script=user/shim/exports.map -Wl,-z,now -o $@ $(shim) -ldl -lpthread

$(OUT)/%.pic.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -fPIC -fvisibility=hidden -ftls-model=initial-exec -c -o $@ $<

$(OUT)/%.o: %.c | $(skels)
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -c -o $@ $<

bpf_c	 = $(CLANG) -target bpf -O2 -g -Wall -Werror -mcpu=v3 -Iinclude \
	   -I/usr/include/$(shell $(CC) -dumpmachine) -MMD -MP -MF $(@:.o=.d)

$(OUT)/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF)
	$(Q)mkdir -p $(@D) && $(bpf_c) -c -o $@ $<

$(OUT)/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,BPF)
	$(Q)mkdir -p $(@D) && $(bpf_c) -c -o $@ $<

$(OUT)/%.skel.h: $(OUT)/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

# A unit test names the sources it needs in its first lines:  /* needs: user/fast/timer.c ... */
needs	 = $(patsubst %.c,$(OUT)/%.o,$(shell sed -n 's,^.*needs: *\(.*[^ ]\) *\*/.*,\1,p;10q' $(1)))
.SECONDEXPANSION:
$(OUT)/test_%: tests/unit/test_%.c $$(call needs,tests/unit/test_$$*.c)
	$(call say,TEST)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $(filter %.c %.o,$^) -lcmocka -lpthread -lm

$(OUT)/bpf/test_%: tests/bpf/test_%.c $(OUT)/tests/bpf/lab.o | $(skels)
	$(call say,TEST)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $(filter %.c %.o,$^) -lcmocka $(bpflibs)

$(OUT)/bench/%: tests/bench/%.c
	$(call say,BENCH)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $< $(if $(filter %frame_echo,$@),$(bpflibs)) -lpthread -lm

# the stack alone, for callgrind
$(OUT)/bench/tcp_cost: tests/bench/tcp_cost.c $(filter %/rtt.o,$(fast)) \
		$(foreach f,$(fast),$(if $(findstring /tcp,$f)$(findstring /cc,$f),$f))
	$(call say,BENCH)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $^ -lm

# sources, not objects: all of a fuzzer is built with coverage and sanitizers
needs_c	 = $(shell sed -n 's,^.*needs: *\(.*[^ ]\) *\*/.*,\1,p;10q' $(1))
$(OUT)/fuzz/%: tests/fuzz/%.c $$(call needs_c,tests/fuzz/$$*.c)
	$(call say,FUZZ)
	$(Q)mkdir -p $(@D) && $(CLANG) -std=gnu17 -O1 -g -D_GNU_SOURCE -Iinclude \
		-fsanitize=fuzzer,address,undefined -o $@ $(filter %.c,$^)

# the fast plane with nothing around it
$(OUT)/helpers/fast_echo: tests/helpers/fast_echo.c $(fast) $(common) | $(skels)
	$(call say,HELP)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $< $(fast) $(common) $(bpflibs) -lm

$(OUT)/helpers/%: tests/helpers/%.c
	$(call say,HELP)
	$(Q)mkdir -p $(@D) && $(CC) $(all_c) -o $@ $< -lpthread

# The simulator runs a fixed number of schedules; $(OUT)/sim --seeds N for long runs.
sim_c	:= $(wildcard tests/sim/*.c user/fast/tcp*.c user/fast/cc*.c) user/fast/rtt.c
$(OUT)/sim: $(patsubst %.c,$(OUT)/%.o,$(sim_c))
	$(call say,SIM)
	$(Q)$(CC) $(all_c) -o $@ $^ -lm

check: $(units) $(OUT)/sim
	$(Q)for t in $(abspath $^); do $$t || exit 1; done
	$(Q)$(OUT)/sim tests/sim/kept/*

# cwnd, round trip and queue of a transfer, a picture for each congestion control
plots: $(OUT)/sim
	$(Q)mkdir -p $(OUT)/plots
	$(Q)for cc in reno cubic bbr dctcp; do \
		$(OUT)/sim --bulk 100,20,0,0,$$cc --seeds 1 --plot $(OUT)/plots/$$cc.svg >/dev/null && \
		$(OUT)/sim --bulk 100,20,1000,0,$$cc --seeds 1 --plot $(OUT)/plots/$$cc-loss.svg >/dev/null || exit 1; \
	done; echo "pictures are in $(OUT)/plots"

units: $(units)

bpftests: $(bpftests)

check-bpf: $(bpftests)
	$(Q)for t in $(abspath $^); do $$t || exit 1; done

check-vm: deps all bpftests
	$(Q)OUT=$(abspath $(OUT)) vm/matrix

FUZZ_SECS ?= 30
fuzz: $(fuzzers)
	$(Q)for f in $(abspath $^); do $$f -max_total_time=$(FUZZ_SECS) -max_len=2048 || exit 1; done

check-net: all
	$(Q)OUT=$(OUT) tests/netns/run $(TESTS)

check-apps: all
	$(Q)OUT=$(OUT) tests/apps/run $(TESTS)

matrix: all
	$(Q)OUT=$(OUT) TABLE=docs/programs.md tests/apps/run $(TESTS)

deps:
	$(Q)scripts/install-deps

test: deps
	$(Q)OUT=$(OUT) tests/run

demo:
	$(Q)OUT=$(OUT) scripts/demo

bench: deps all
	$(Q)OUT=$(OUT) tests/bench/run $(PARTS)

cost: $(OUT)/bench/tcp_cost
	$(Q)OUT=$(OUT) tests/bench/cost

# A build of its own, with time stamps in the fast thread's loop.
profile: deps
	$(Q)$(MAKE) -s OUT=$(OUT)-profile PROFILE=1 all
	$(Q)OUT=$(OUT)-profile tests/bench/profile $(ARGS)

install: programs
	install -d $(to)/bin $(to)/sbin $(to)/lib/taspilot $(to)/share/man/man8 $(DESTDIR)$(UNITDIR)
	install -m 755 $(OUT)/taspilot $(to)/bin/
	install -m 755 $(OUT)/taspilotd $(to)/sbin/
	install -m 755 $(OUT)/libtaspilot.so $(to)/lib/taspilot/
	install -m 644 docs/man/*.8 $(to)/share/man/man8/
	sed 's,@PREFIX@,$(PREFIX),' packaging/taspilot@.service >$(DESTDIR)$(UNITDIR)/taspilot@.service

uninstall:
	rm -f $(to)/bin/taspilot $(to)/sbin/taspilotd $(to)/share/man/man8/taspilot.8
	rm -rf $(to)/lib/taspilot
	rm -f $(DESTDIR)$(UNITDIR)/taspilot@.service

deb:
	$(Q)OUT=$(abspath $(OUT)) packaging/deb

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

clean:
	rm -rf out out-*

.PHONY: all programs check units fuzz bpftests check-bpf check-net check-apps matrix check-vm deps test demo bench cost profile install uninstall deb format clean
.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
