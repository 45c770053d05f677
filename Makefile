# SPDX-License-Identifier: MIT
# umbra - the front door.  `make help` lists what it opens.
#
#   1. What can be set        CC, CFLAGS, SAN, PREFIX, T ...
#   2. What there is          sources, by folder
#   3. Building               libraries, the program, the guests
#   4. Running and measuring
#   5. Testing
#   6. Installing
#   7. The rest

# ---- 1. What can be set --------------------------------------------------------------------------

VERSION := 0.1.0
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
T       ?=
BUILD   ?= build$(if $(SAN),/san)
Q       := $(if $(V),,@)
silent  := $(findstring s,$(firstword -$(MAKEFLAGS)))
say      = $(if $(V),,@$(if $(silent),,printf '  %-4s %s\n' $(1) $(2);))
comma   := ,

WARN     := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Werror
BASE     := -std=c11 $(WARN) -Iinclude -I. -MMD -MP
# (GCC warns of conversions that its own instrumentation makes.)
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -Wno-conversion)
# The core is freestanding: no libc header, no libc call.
CORE_FLAGS := -ffreestanding -fno-stack-protector
HOST_FLAGS := -D_GNU_SOURCE
# The processor's handlers leave by jumps: nothing may need a frame of its own there.
CPU_FLAGS  := -fno-stack-protector -foptimize-sibling-calls -fomit-frame-pointer -fcf-protection=none
LIBS       := -lZydis -lz -llzma -lzstd -llz4 -ljansson -lelf -lpthread

# ---- 2. What there is ----------------------------------------------------------------------------

CORE_SRC := $(wildcard shadow/*.c)
VM_SRC   := $(wildcard record/*.c scope/*.c scope/*.S cpu/*.c cpu/*.S direct/*.c direct/*.S machine/*.c machine/virtio/*.c guest/*.c guest/lguest/*.c vmm/*.c)
# Guest x87 and SSE instructions run on the host's: x86-64 only (cpu/fpu.h).  HOST=other: as elsewhere.
TRIPLE   := $(shell $(CC) -dumpmachine)
HOST     ?= $(firstword $(subst -, ,$(TRIPLE)))
HOST_FPU := cpu/fpu.c cpu/fpu_host_x86_64.S cpu/op_fpu%.c cpu/op_simd%.c cpu/select_fpu.c cpu/select_simd.c
VM_SRC   := $(filter-out $(if $(filter x86_64,$(HOST)),cpu/fpu_host_none.c,$(HOST_FPU)),$(VM_SRC))
# The direct engine needs an x86-64 Linux host (direct/direct.h).  DIRECT= builds without.
DIRECT   ?= $(if $(filter x86_64,$(HOST)),$(findstring linux,$(TRIPLE)))
DIRECT_SRC := $(filter-out direct/none.c,$(wildcard direct/*.c direct/*.S))
VM_SRC   := $(filter-out $(if $(DIRECT),direct/none.c,$(DIRECT_SRC)),$(VM_SRC))
# -nic user needs libslirp; SLIRP= builds without.
ifeq ($(origin SLIRP),undefined)
SLIRP    := $(shell $(CC) -E -include slirp/libslirp.h -x c /dev/null >/dev/null 2>&1 && echo -lslirp)
endif
VM_SRC   := $(filter-out machine/virtio/$(if $(SLIRP),net_user_none.c,net_user.c),$(VM_SRC))
LIBS     += $(SLIRP)
CLI_SRC  := $(wildcard cli/*.c)
LIB_SRC  := $(wildcard tests/lib/*.c tests/lib/*.S)
TEST_SRC := $(wildcard tests/unit/*.c tests/access/*.c tests/differential/*.c tests/guests/*.c tests/cli/*.c tests/fuzz/*.c)
TEST_SH  := $(filter-out tests/lib/%,$(wildcard tests/*/*.sh))
BENCH_SRC := $(wildcard bench/*.c)

obj       = $(addprefix $(BUILD)/,$(addsuffix .o,$(basename $(1))))
TEST_BIN := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(BENCH_SRC))

.PHONY: all objects run test bench book install uninstall clean help san-tests force
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# ---- 3. Building ---------------------------------------------------------------------------------

all: $(BUILD)/libumbra.a $(BUILD)/umbra guests

$(BUILD)/libumbra.a: $(call obj,$(CORE_SRC))
$(BUILD)/libvm.a: $(call obj,$(VM_SRC))
$(BUILD)/libtest.a: $(call obj,$(LIB_SRC))
%.a:
	$(call say,AR,$@) mkdir -p $(@D); rm -f $@; $(AR) rcs $@ $^

$(BUILD)/umbra: $(call obj,$(CLI_SRC)) $(BUILD)/libvm.a $(BUILD)/libumbra.a
	$(call say,LINK,$@) $(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/shadow/%.o: shadow/%.c $(BUILD)/flags
	$(call say,CC,$@) mkdir -p $(@D); $(CC) $(BASE) $(CORE_FLAGS) $(CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/cpu/%.o: cpu/%.c $(BUILD)/flags
	$(call say,CC,$@) mkdir -p $(@D); $(CC) $(BASE) $(HOST_FLAGS) $(CFLAGS) $(if $(SAN),,$(CPU_FLAGS)) $(SANFLAGS) -c -o $@ $<
$(BUILD)/direct/%.o: direct/%.c $(BUILD)/flags
	$(call say,CC,$@) mkdir -p $(@D); $(CC) $(BASE) $(HOST_FLAGS) $(CFLAGS) $(if $(SAN),,$(CPU_FLAGS)) $(SANFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$@) mkdir -p $(@D); $(CC) $(BASE) $(HOST_FLAGS) $(CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.S $(BUILD)/flags
	$(call say,AS,$@) mkdir -p $(@D); $(CC) -Iinclude -I. -MMD -MP -c -o $@ $<

# (Later libraries have newer names for what all have.)
$(BUILD)/machine/virtio/net_user.o: HOST_FLAGS += -Wno-deprecated-declarations

# The page's files are in the program.
$(BUILD)/scope/html_files.o: $(wildcard scope/page/*)

# Our own guests: 32-bit multiboot images, freestanding, so that no 32-bit C library is needed.  Only
# where the compiler makes x86 code.  make GUEST_CC=clang
GUEST_CC    ?= $(CC)
GUEST_FLAGS := -m32 -march=i686 -O2 -std=gnu11 $(WARN) -ffreestanding -fno-pic -fno-pie \
               -fno-stack-protector -fno-asynchronous-unwind-tables -fno-builtin -mgeneral-regs-only \
               -fcf-protection=none -I. -MMD -MP
GUEST_LIB   := guests/common/start.S guests/common/entry.S guests/common/trap.c guests/common/console.c guests/common/text.c
GUEST_BAD   := $(basename $(wildcard guests/bad/*.S guests/bad/*.c))
# Each a file of its own, and what they share.
GUEST_TEACH := $(basename $(filter-out guests/teaching/teach.c,$(wildcard guests/teaching/*.c)))
GUESTS      := $(addprefix $(BUILD)/,guests/hello guests/access guests/hostile $(GUEST_BAD) $(GUEST_TEACH))
GUEST_PV    := $(BUILD)/guests/pv.elf
guestobj     = $(addprefix $(BUILD)/guests/obj/,$(addsuffix .o,$(basename $(1))))
GUEST_LINK  := -m32 -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-T,guests/common/guest.ld

.PHONY: guests
guests: $(if $(filter x86_64 i%86,$(shell uname -m)),$(GUESTS) $(GUEST_PV))

$(BUILD)/guests/obj/%.o: %.c
	$(call say,GUESTCC,$@) mkdir -p $(@D); $(GUEST_CC) $(GUEST_FLAGS) -c -o $@ $<
$(BUILD)/guests/obj/%.o: %.S
	$(call say,GUESTAS,$@) mkdir -p $(@D); $(GUEST_CC) -m32 -I. -MMD -MP -c -o $@ $<
$(BUILD)/guests/hello: $(call guestobj,$(GUEST_LIB) $(wildcard guests/hello/*.c guests/hello/*.S))
$(BUILD)/guests/access: $(call guestobj,$(GUEST_LIB) $(wildcard guests/access/*.c guests/access/*.S))
$(BUILD)/guests/hostile: $(call guestobj,$(GUEST_LIB) $(wildcard guests/hostile/*.c guests/hostile/*.S))
$(BUILD)/guests/bad/random-tables: $(call guestobj,$(GUEST_LIB))
$(addprefix $(BUILD)/,$(GUEST_BAD)): $(BUILD)/%: $(BUILD)/guests/obj/%.o
$(addprefix $(BUILD)/,$(GUEST_TEACH)): $(BUILD)/%: $(BUILD)/guests/obj/%.o $(call guestobj,$(GUEST_LIB) guests/teaching/teach.c)
$(GUESTS): guests/common/guest.ld
	$(call say,GUESTLD,$@) mkdir -p $(@D); $(GUEST_CC) $(GUEST_LINK) -o $@ $(filter %.o,$^)

# The paravirtual one is linked at its own addresses; its first C runs before there are page tables.
$(BUILD)/guests/obj/guests/pv/early.o: GUEST_FLAGS += -fpie
$(GUEST_PV): $(call guestobj,guests/common/text.c $(wildcard guests/pv/*.c guests/pv/*.S)) guests/pv/pv.ld
	$(call say,GUESTLD,$@) mkdir -p $(@D); $(GUEST_CC) $(subst guests/common/guest.ld,guests/pv/pv.ld,$(GUEST_LINK)) \
		-o $@ $(filter %.o,$^)

# Other flags: everything is built again.
$(BUILD)/flags: force
	@mkdir -p $(@D); echo '$(CFLAGS) $(SANFLAGS) $(SLIRP) $(DIRECT)' | cmp -s - $@ || \
		echo '$(CFLAGS) $(SANFLAGS) $(SLIRP) $(DIRECT)' >$@

# Every object, linked or not: what must hold of each commit.
objects: $(call obj,$(CORE_SRC) $(VM_SRC) $(CLI_SRC) $(LIB_SRC) $(BENCH_SRC)) $(TEST_BIN:=.o)

# ---- 4. Running and measuring --------------------------------------------------------------------

# KERNEL=, INITRD=, MEMORY= (MiB), APPEND= (kernel command line), ARGS= (more for umbra run)
run: export KERNEL := $(KERNEL)
run: export INITRD := $(INITRD)
run: export MEMORY := $(MEMORY)
run: export APPEND := $(APPEND)
run: export ARGS := $(ARGS)
run: all
	@BUILD=$(BUILD) tools/run-guest

# BENCH=core, guests or both; RUNS=n; QUICK=1; guests: PEERS=, ONLY=, UMBRA_ARGS=, BOCHS_RUNS=n, JSONL=file, README=1 (bench/guests.sh)
bench: export BENCH := $(BENCH)
bench: export RUNS := $(RUNS)
bench: export QUICK := $(QUICK)
bench: export PEERS := $(PEERS)
bench: export ONLY := $(ONLY)
bench: export BOCHS_RUNS := $(BOCHS_RUNS)
bench: export JSONL := $(JSONL)
bench: export README := $(README)
bench: export UMBRA_ARGS := $(UMBRA_ARGS)
bench: all $(BENCH_BIN)
	@BUILD=$(BUILD) bench/run

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libumbra.a
	$(call say,LINK,$@) $(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $^

# ---- 5. Testing ----------------------------------------------------------------------------------

# --wrap: TAP and `make test T=PATTERN` for every program without a word in it (tests/lib/tap.h).
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libtest.a $(BUILD)/libvm.a $(BUILD)/libumbra.a
	$(call say,LINK,$@) $(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -Wl,--wrap=_cmocka_run_group_tests \
		-o $@ $(filter %.o,$^) $(filter-out %.o,$^) $(LIBS) -lcmocka
$(BUILD)/tests/unit/cli_line: $(BUILD)/cli/line.o

# Once as it is, once under ASan and UBSan, the unit tests under valgrind as well.
SAN_BIN  := $(patsubst $(BUILD)/%,$(BUILD)/san/%,$(filter-out $(BUILD)/tests/guests/%,$(TEST_BIN)))
VALGRIND := $(addprefix valgrind:,$(filter $(BUILD)/tests/unit/%,$(TEST_BIN)))

san-tests:
	+@$(MAKE) --no-print-directory SAN=1 BUILD=$(BUILD)/san $(SAN_BIN)

test: all $(TEST_BIN) $(if $(SAN),,san-tests)
	+@BUILD=$(BUILD) CC='$(CC)' MAKE='$(MAKE)' tools/runtests -t 1500 $(if $(T),-T '$(T)') \
		$(TEST_BIN) $(TEST_SH) $(if $(SAN),,$(SAN_BIN) $(VALGRIND))

# libFuzzer needs clang.  T=TARGET (tests/fuzz/TARGET.c), SECONDS=, FUZZ_ARGS= more of libFuzzer's own options.  What is
# found to be new goes to $(BUILD)/fuzz/corpus/; what crashes, to $(BUILD)/fuzz/.
SECONDS   ?= 60
FUZZ      := $(BUILD)/fuzz
FUZZ_NAME := $(or $(T),lguest)
FUZZ_LIB  := $(filter-out tests/lib/lguest%,$(wildcard tests/lib/lg*.c)) tests/lib/kallsyms.c
FUZZ_SAN  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-conversion
$(FUZZ)/run/%: $(call obj,tests/fuzz/%.c $(FUZZ_LIB)) $(BUILD)/libvm.a $(BUILD)/libumbra.a
	$(call say,LINK,$@) mkdir -p $(@D); $(CC) $(CFLAGS) $(SANFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LIBS)
.PHONY: fuzz
fuzz:
	+@$(MAKE) --no-print-directory SAN=1 CC=clang BUILD=$(FUZZ) CFLAGS='-O2 -g' SANFLAGS='$(FUZZ_SAN)' FUZZ=$(FUZZ) \
		$(FUZZ)/run/$(FUZZ_NAME)
	@mkdir -p $(FUZZ)/corpus/$(FUZZ_NAME)
	$(FUZZ)/run/$(FUZZ_NAME) -max_total_time=$(SECONDS) -max_len=8192 -rss_limit_mb=1024 -timeout=60 -print_final_stats=1 \
		-artifact_prefix=$(FUZZ)/ $(FUZZ_ARGS) $(FUZZ)/corpus/$(FUZZ_NAME) tests/fuzz/corpus/$(FUZZ_NAME)

# ---- 6. Installing -------------------------------------------------------------------------------

LIBDIR := $(DESTDIR)$(PREFIX)/lib
INCDIR := $(DESTDIR)$(PREFIX)/include/umbra
BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man/man1

install: all
	install -d $(LIBDIR)/pkgconfig $(INCDIR) $(BINDIR) $(MANDIR)
	install -m 644 $(BUILD)/libumbra.a $(LIBDIR)
	install -m 644 include/umbra/*.h $(INCDIR)
	install -m 755 $(BUILD)/umbra $(BINDIR)
	install -m 644 man/umbra.1 $(MANDIR)
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' umbra.pc.in >$(LIBDIR)/pkgconfig/umbra.pc

uninstall:
	rm -f $(LIBDIR)/libumbra.a $(LIBDIR)/pkgconfig/umbra.pc $(BINDIR)/umbra $(MANDIR)/umbra.1
	rm -rf $(INCDIR)

# ---- 7. The rest ---------------------------------------------------------------------------------

book: $(BUILD)/book.html
$(BUILD)/book.html: tools/book tools/book.list force
	@mkdir -p $(@D); tools/book >$@; echo "$@"

# What the README shows of the microscope: docs/images/, from a booted guest, with Chromium.
.PHONY: screenshots
screenshots: all
	@BUILD=$(BUILD) tools/screenshots

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            the library, the program umbra ($(BUILD)/)'
	@echo 'make run        boot Debian'\''s stock i386 kernel to a shell (what ./run does)'
	@echo '                KERNEL=, INITRD= other files; MEMORY=MiB; APPEND=, ARGS= more words'
	@echo 'make test       all tests (what ./check does); T=PATTERN those whose names match'
	@echo 'make fuzz       libFuzzer on tests/fuzz/T.c (lguest) for SECONDS (60); needs clang'
	@echo 'make bench      the core in operations a second, guests beside QEMU, Bochs and native; QUICK=1'
	@echo '                BENCH=core or guests; RUNS=n; PEERS=, ONLY= which; README=1 into README.md'
	@echo 'make book       the code as a story: $(BUILD)/book.html'
	@echo 'make screenshots  docs/images/, from a booted guest; needs chromium'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=; make uninstall'
	@echo 'make clean'
	@echo
	@echo 'SAN=1 builds with ASan and UBSan, CC=clang with another compiler, V=1 shows commands.'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
