/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/sys.c - see sys.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/sys.h"

static const uint8_t vmcall[3] = { 0x0F, 0x01, 0xC1 };

#define TABLES_FROM RIG_IDT

/* ---- 1. Making ------------------------------------------------------------------------------ */


static bool software_int(void *user, struct cpu *cpu, unsigned vector)
{
	struct sys *s = (struct sys *)user;

	if (vector != 0x100)
		return false;
	s->stopped = true;
	cpu_kick(cpu);
	return true;
}

static void on_interrupt(void *user, struct cpu *cpu, unsigned vector, bool software, bool has_error,
                         uint32_t error)
{
	struct sys *s = user;

	if (s->events == 0)
		cpu_get_state(cpu, &s->first);
	if (s->events < SYS_EVENTS)
		s->event[s->events] = (struct sys_event){ vector, software, has_error, error };
	s->events++;
}

/* The bus belongs to the rig, whose callbacks get the rig: these pass it on. */
static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct rig *rig = ((struct sys *)user)->rig;

	(void)port;
	return bytes == 4 ? rig->port_value : rig->port_value & ((1u << 8 * bytes) - 1);
}
static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct rig *rig = ((struct sys *)user)->rig;

	rig->port = port;
	rig->port_bytes = bytes;
	rig->port_written = value;
	rig->ports_written++;
}
static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes) { return (void)user, (void)gpa, (void)bytes, 0; }
static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	(void)user, (void)gpa, (void)bytes, (void)value;
}
static int ack_irq(void *user)
{
	struct rig *rig = ((struct sys *)user)->rig;

	cpu_set_irq(rig->cpu, false);
	return rig->irq_vector;
}
static uint64_t tsc(void *user) { return ((struct sys *)user)->rig->tsc; }

static uint32_t handler_of(unsigned vector) { return RIG_HANDLERS + 16 * vector; }

/* The tables as rig_flat() makes them, with stops for handlers and a TSS with a stack for each ring. */
static void make_tables(struct sys *s)
{
	rig_flat(s->rig, 0);
	for (unsigned v = 0; v < 256; v++)
		sys_put_code(s, handler_of(v), vmcall, sizeof vmcall);
	for (unsigned ring = 0; ring < 3; ring++) {
		rig_set_word(s->rig, RIG_TSS + 4 + 8 * ring, SYS_STACKS + 0x1000 * ring + 0x1000);
		sys_put16(s, RIG_TSS + 8 + 8 * ring, sys_data(ring));
	}
	sys_put_code(s, SYS_TARGET, vmcall, sizeof vmcall);
	cpu_get_state(s->cpu, &s->flat);
	memcpy(s->tables, s->rig->ram + TABLES_FROM, sizeof s->tables);
}

struct sys *sys_new(uint32_t options)
{
	struct sys *s = calloc(1, sizeof *s);

	s->rig = rig_new(options);
	s->cpu = s->rig->cpu;
	s->cpu->bus = (struct cpu_bus){ .user = s, .port_in = port_in, .port_out = port_out,
	                                .mmio_read = mmio_read, .mmio_write = mmio_write, .ack_irq = ack_irq,
	                                .tsc = tsc, .software_int = software_int };
	cpu_set_trace(s->cpu, &(struct cpu_trace){ .user = s, .interrupt = on_interrupt });
	make_tables(s);
	for (unsigned ring = 0; ring < 4; ring++) {
		sys_descriptor(s, sys_code(ring), 0, 0xFFFFF, SYS_G | SYS_DB | SYS_P | ring << 5 | SYS_XR_CODE);
		sys_descriptor(s, sys_data(ring), 0, 0xFFFFF, SYS_G | SYS_DB | SYS_P | ring << 5 | SYS_RW_DATA);
	}
	sys_descriptor(s, SYS_LDTR, SYS_LDT, SYS_LDT_LIMIT, SYS_P | 2);
	sys_ring(s, 0);
	return s;
}

void sys_free(struct sys *s)
{
	assert_int_equal(um_audit(s->rig->um).invariant, 0);
	rig_free(s->rig);
	free(s);
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

static uint32_t descriptor_at(uint16_t selector)
{
	return (selector & SYS_TI ? SYS_LDT : RIG_GDT) + (selector & 0xFFF8u);
}

void sys_descriptor(struct sys *s, uint16_t selector, uint32_t base, uint32_t limit, unsigned attr)
{
	uint32_t at = descriptor_at(selector);

	rig_set_word(s->rig, at, base << 16 | (limit & 0xFFFF));
	rig_set_word(s->rig, at + 4, (base & 0xFF000000) | (base >> 16 & 0xFF) | (limit & 0xF0000) | attr << 8);
}

uint8_t sys_access_byte(const struct sys *s, uint16_t selector) { return s->rig->ram[descriptor_at(selector) + 5]; }

static void put_gate(struct sys *s, uint32_t at, unsigned attr, uint16_t target, uint32_t offset, unsigned params)
{
	rig_set_word(s->rig, at, (uint32_t)target << 16 | (offset & 0xFFFF));
	rig_set_word(s->rig, at + 4, (offset & 0xFFFF0000) | (attr & 0xFF) << 8 | params);
}

void sys_gate(struct sys *s, uint16_t selector, unsigned attr, uint16_t target, uint32_t offset, unsigned params)
{
	put_gate(s, descriptor_at(selector), attr, target, offset, params);
}

void sys_idt(struct sys *s, unsigned vector, unsigned attr, uint16_t target, uint32_t offset)
{
	put_gate(s, RIG_IDT + 8 * vector, attr, target, offset, 0);
}

void sys_put16(struct sys *s, uint32_t at, unsigned value)
{
	rig_set_word(s->rig, at, (rig_word(s->rig, at) & 0xFFFF0000) | (value & 0xFFFF));
}

uint32_t sys_get16(const struct sys *s, uint32_t at) { return rig_word(s->rig, at) & 0xFFFF; }

void sys_put_code(struct sys *s, uint32_t at, const void *bytes, size_t count)
{
	memcpy(s->rig->ram + at, bytes, count);
	cpu_code_written(s->cpu, s->rig->ram + at, count);
}

/* ---- 3. Running ----------------------------------------------------------------------------- */

/* ... again, where a test has changed them. */
static void prepare(struct sys *s)
{
	if (memcmp(s->rig->ram + TABLES_FROM, s->tables, sizeof s->tables))
		sys_put_code(s, TABLES_FROM, s->tables, sizeof s->tables);
	sys_put_code(s, SYS_TARGET, vmcall, sizeof vmcall);
	s->events = 0;
	s->stopped = false;
}

static struct cpu_segment flat(uint16_t selector, unsigned type)
{
	unsigned ring = selector & 3;

	return (struct cpu_segment){ selector, (uint16_t)(SYS_G | SYS_DB | SYS_P | ring << 5 | type), 0, 0xFFFFFFFF };
}

void sys_ring(struct sys *s, unsigned ring)
{
	struct cpu_state state;

	prepare(s);
	state = s->flat;
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		state.seg[seg] = flat(sys_data(ring), SYS_RW_DATA);
	state.seg[CPU_CS] = flat(sys_code(ring), SYS_XR_CODE);
	state.ldtr = (struct cpu_segment){ SYS_LDTR, SYS_P | 2, SYS_LDT, SYS_LDT_LIMIT };
	cpu_set_state(s->cpu, &state);
}

void sys_v86(struct sys *s, unsigned iopl)
{
	static const uint16_t selectors[6] = { RIG_DATA >> 4, RIG_CODE >> 4, 0x3000, RIG_DATA >> 4, 0x5000, 0x6000 };
	struct cpu_state state;

	prepare(s);
	state = s->flat;
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		state.seg[seg] = (struct cpu_segment){ selectors[seg], 0xF3, (uint32_t)selectors[seg] << 4, 0xFFFF };
	state.eflags = 2 | FL_VM | FL_IF | iopl << 12;
	state.eip = 0;
	state.gpr[CPU_ESP] = 0xFFF0;
	cpu_set_state(s->cpu, &state);
}

void sys_real(struct sys *s)
{
	rig_real(s->rig);
	sys_put_code(s, SYS_TARGET, vmcall, sizeof vmcall);
	for (unsigned v = 0; v < 256; v++)
		sys_put_code(s, handler_of(v), vmcall, sizeof vmcall);
	s->events = 0;
	s->stopped = false;
}

void sys_run(struct sys *s, const void *code, size_t bytes)
{
	uint8_t buf[64] = { 0 };

	assert_true(bytes + sizeof vmcall <= sizeof buf);
	memcpy(buf, code, bytes);
	memcpy(buf + bytes, vmcall, sizeof vmcall);
	sys_put_code(s, RIG_CODE, buf, sizeof buf);
	s->events = 0;
	s->stopped = false;
	cpu_get_state(s->cpu, &s->before);
	s->exit = cpu_run(s->cpu, 100000);
}

bool get_zf(struct cpu *c)
{
	struct cpu_state state;

	cpu_get_state(c, &state);
	return state.eflags & FL_ZF;
}

void sys_set_flags(struct sys *s, uint32_t set)
{
	struct cpu_state state;

	cpu_get_state(s->cpu, &state);
	state.eflags |= set;
	cpu_set_state(s->cpu, &state);
}

int sys_vector(const struct sys *s)
{
	uint32_t linear = s->cpu->seg[CPU_CS].base + s->cpu->eip - (uint32_t)sizeof vmcall;

	if (!s->stopped || linear < RIG_HANDLERS || linear >= handler_of(256))
		return -1;
	return (int)((linear - RIG_HANDLERS) / 16);
}

static void complain(const struct sys *s, const char *text, const char *file, int line)
{
	char state[2048];
	size_t used = cpu_describe_state(s->cpu, state, sizeof state);

	print_error("%s; %u events", text, s->events);
	for (unsigned n = 0; n < s->events && n < SYS_EVENTS; n++)
		print_error(" [%u error %#x]", s->event[n].vector, s->event[n].error);
	print_error(" exit %d\n%.*s", s->exit, (int)used, state);
	_fail(file, line);
}

void sys_check_ok(struct sys *s, uint32_t at, const char *file, int line)
{
	uint32_t linear = s->cpu->seg[CPU_CS].base + s->cpu->eip - (uint32_t)sizeof vmcall;

	if (s->events || !s->stopped)
		complain(s, "expected success", file, line);
	if (at ? linear != at : linear < RIG_CODE || linear >= RIG_CODE + 64)
		complain(s, "stopped at another place", file, line);
}

void sys_check_fault(struct sys *s, unsigned vector, uint32_t error, const char *file, int line)
{
	char text[64];

	snprintf(text, sizeof text, "expected vector %u error %#x", vector, error);
	if (!s->events || s->event[0].vector != vector || s->event[0].error != error || s->event[0].software)
		complain(s, text, file, line);
	/* Nothing but CR2 and DR6 differs from before the instruction. */
	s->first.cr2 = s->before.cr2;
	s->first.dr[6] = s->before.dr[6];
	if (memcmp(&s->first, &s->before, sizeof s->first))
		complain(s, "state changed by an instruction that faulted", file, line);
	if (s->events == 1 && s->exit != CPU_EXIT_SHUTDOWN && !s->stopped)
		complain(s, "no handler reached", file, line);
}
