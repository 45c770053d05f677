/* SPDX-License-Identifier: MIT */
/*
 * scope/commands.h - the monitor's commands: their index, for the tables.
 */
#ifndef SCOPE_COMMANDS_H
#define SCOPE_COMMANDS_H

#include "scope/monitor.h"

typedef void monitor_function(struct scope *scope, char *suffix, char *rest, struct text *out);

/* ---- monitor_info.c: what `info` shows, a table of its own that ends with a NULL name -------- */

extern const struct monitor_command monitor_infos[];

/* ---- monitor_tables.c: the guest's own page tables ------------------------------------------- */

/* ---- monitor_pt.c ---------------------------------------------------------------------------- */

monitor_function command_pt, command_pt_json, info_pg, command_dump;

/* ---- monitor_check.c ------------------------------------------------------------------------- */

monitor_function command_check, command_check_json;

monitor_function info_mem, info_mem_json, info_tlb, info_tlb_json, command_gva2gpa;

/* ---- monitor_registers.c --------------------------------------------------------------------- */

monitor_function info_registers, info_registers_json;

/* ---- monitor_memory.c ------------------------------------------------------------------------ */

monitor_function command_x, command_xp, command_print, command_memsave, command_pmemsave;
/* One instruction, as x/i shows it. */
void show_code(struct scope *scope, uint32_t linear, struct text *out);
/* Memory into a file: what is there, which is all or a failure.  false: `out` says why, and the command has failed. */
bool save_memory(struct scope *scope, bool physical, uint64_t address, uint64_t size, const char *path, struct text *out);

/* ---- monitor_control.c ----------------------------------------------------------------------- */

monitor_function command_stop, command_cont, command_step, command_engine, command_quit, command_reset, command_powerdown, command_nmi,
	command_log;

/* ---- monitor_symbols.c ----------------------------------------------------------------------- */

monitor_function command_symbols, info_symbols, info_symbols_json, info_symbol;

/* ---- screen.c -------------------------------------------------------------------------------- */

monitor_function info_screen, info_screen_json;

/* ---- savevm.c -------------------------------------------------------------------------------- */

monitor_function command_savevm, command_loadvm;

/* gdb.c */
monitor_function command_gdbserver, info_gdb;

/* html_command.c */
monitor_function command_html;

#endif
