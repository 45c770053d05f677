/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/family.c - the table of families: conventions of the call, layout of struct lguest_data.
 */
#include "guests/pv/pv.h"

#define REGISTERS_B REG_EDX, REG_EBX, REG_ECX
#define REGISTERS_C REG_EBX, REG_ECX, REG_EDX
#define REGISTERS_D REG_EBX, REG_ECX, REG_EDX, REG_ESI

/* Kernels: B 2.6.24-29, C 2.6.30, D 2.6.31-33, E 2.6.34-3.0, F 3.1-3.19, G1 4.0, G 4.1-4.13. */
const struct family families[FAMILIES] = {
	{ .name = "B", .tables = TABLES_IDENTITY, .devices = DEVICES_FORMAT_1, .trap_gates = true,
	  .silent_edits = true, .arguments = 3, .argument = { REGISTERS_B }, .slot_words = 4,
	  .slot = { 0, 2, 3, 1 }, .status = 20, .calls = 84, .reserve = 1108, .tsc_khz = 1112,
	  .pgdir = 1116, .noirq_start = 1120, .noirq_end = 1124, .kernel_address = 1128,
	  .syscall_vec = 1132, .size = 1136 },
	{ .name = "C", .tables = TABLES_IDENTITY, .devices = DEVICES_FORMAT_2, .vmcall = true,
	  .trap_gates = true, .silent_edits = true, .arguments = 3, .argument = { REGISTERS_C },
	  .slot_words = 4, .slot = { 0, 1, 2, 3 }, .status = 20, .calls = 84, .reserve = 1108,
	  .tsc_khz = 1112, .pgdir = 1116, .noirq_start = 1120, .noirq_end = 1124,
	  .kernel_address = 1128, .syscall_vec = 1132, .size = 1136 },
	{ .name = "D", .tables = TABLES_ALIASED, .devices = DEVICES_FORMAT_2, .vmcall = true,
	  .gdt_entries = true, .trap_gates = true, .arguments = 4, .argument = { REGISTERS_D },
	  .slot_words = 5, .slot = { 0, 1, 2, 3, 4 }, .irq_pending = 20, .status = 24, .calls = 88,
	  .reserve = 1368, .tsc_khz = 1372, .pgdir = 1376, .noirq_start = 1380, .noirq_end = 1384,
	  .kernel_address = 1388, .syscall_vec = 1392, .size = 1396 },
	{ .name = "E", .tables = TABLES_ALIASED, .devices = DEVICES_FORMAT_2, .gdt_entries = true,
	  .arguments = 4, .argument = { REGISTERS_D }, .slot_words = 5, .slot = { 0, 1, 2, 3, 4 },
	  .irq_pending = 20, .status = 24, .calls = 88, .reserve = 1368, .tsc_khz = 1372,
	  .pgdir = 1376, .noirq_start = 1380, .noirq_end = 1384, .kernel_address = 1388,
	  .syscall_vec = 1392, .size = 1396 },
	{ .name = "F", .tables = TABLES_NONE, .devices = DEVICES_FORMAT_2, .gdt_entries = true,
	  .arguments = 4, .argument = { REGISTERS_D }, .slot_words = 5, .slot = { 0, 1, 2, 3, 4 },
	  .irq_pending = 20, .status = 24, .calls = 88, .reserve = 1368, .tsc_khz = 1372,
	  .noirq_start = 1376, .noirq_end = 1380, .kernel_address = 1384, .syscall_vec = 1388,
	  .size = 1392 },
	{ .name = "G1", .tables = TABLES_NONE, .devices = DEVICES_PCI, .gdt_entries = true,
	  .arguments = 4, .argument = { REGISTERS_D }, .slot_words = 5, .slot = { 0, 1, 2, 3, 4 },
	  .irq_pending = 20, .status = 24, .calls = 88, .reserve = 1368, .tsc_khz = 1372,
	  .noirq_start = 1376, .noirq_end = 1380, .kernel_address = 1384, .syscall_vec = 1388,
	  .size = 1392 },
	{ .name = "G", .tables = TABLES_NONE, .devices = DEVICES_PCI, .gdt_entries = true,
	  .iret_only = true, .arguments = 4, .argument = { REGISTERS_D }, .slot_words = 5,
	  .slot = { 0, 1, 2, 3, 4 }, .irq_pending = 20, .status = 24, .calls = 88, .reserve = 1368,
	  .tsc_khz = 1372, .noirq_iret = 1376, .kernel_address = 1380, .syscall_vec = 1384,
	  .size = 1388 },
};
