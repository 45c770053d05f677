# SPDX-License-Identifier: MIT
# umbra - the front door.  `make help` lists what it opens.
#
#   make SAN=1     everything under AddressSanitizer and UBSan, in its own build folder
#   make CC=clang  any C11 compiler
#   make V=1       show the commands

CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
T       ?=

BUILD   ?= build$(if $(SAN),/san)
Q       := $(if $(V),,@)

WARN    := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Werror
BASE    := -std=c11 $(WARN) -Iinclude -I. -MMD -MP
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
comma   := ,

# The core is freestanding: no libc header, no libc call.
CORE_FLAGS := -ffreestanding -fno-stack-protector
HOST_FLAGS := -D_GNU_SOURCE

CORE_SRC := $(wildcard shadow/*.c)
VM_SRC   := $(wildcard cpu/*.c cpu/*.S machine/*.c guest/*.c vmm/*.c)
CLI_SRC  := $(wildcard cli/*.c)
LIB_SRC  := $(wildcard tests/lib/*.c tests/lib/*.S)
obj       = $(addprefix $(BUILD)/,$(addsuffix .o,$(basename $(1))))

LIBS    := -lZydis -lz -llzma -lzstd -llz4 -lpthread

TEST_SRC := $(wildcard tests/unit/*.c tests/access/*.c tests/differential/*.c tests/guests/*.c tests/cli/*.c)
TEST_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))

.PHONY: all run test bench book install clean help
.DEFAULT_GOAL := all

all: $(BUILD)/libumbra.a $(BUILD)/umbra

$(BUILD)/libumbra.a: $(call obj,$(CORE_SRC))
$(BUILD)/libvm.a: $(call obj,$(VM_SRC))
$(BUILD)/libtest.a: $(call obj,$(LIB_SRC))
%.a:
	$(Q)mkdir -p $(@D); rm -f $@; $(AR) rcs $@ $^

$(BUILD)/umbra: $(call obj,$(CLI_SRC)) $(BUILD)/libvm.a $(BUILD)/libumbra.a
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/shadow/%.o: shadow/%.c
	$(Q)mkdir -p $(@D); $(CC) $(BASE) $(CORE_FLAGS) $(CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.c
	$(Q)mkdir -p $(@D); $(CC) $(BASE) $(HOST_FLAGS) $(CFLAGS) $(SANFLAGS) -c -o $@ $<
$(BUILD)/%.o: %.S
	$(Q)mkdir -p $(@D); $(CC) -Iinclude -I. -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libtest.a $(BUILD)/libvm.a $(BUILD)/libumbra.a
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# Every object, linked or not: what must hold of each commit.
.PHONY: objects
objects: $(call obj,$(CORE_SRC) $(VM_SRC) $(CLI_SRC) $(LIB_SRC)) $(TEST_BIN:=.o)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
