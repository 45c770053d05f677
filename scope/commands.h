/* SPDX-License-Identifier: MIT */
/*
 * scope/commands.h - the monitor's commands: their index, for the tables.
 */
#ifndef SCOPE_COMMANDS_H
#define SCOPE_COMMANDS_H

#include "scope/monitor.h"

typedef void monitor_function(struct scope *scope, char *suffix, char *rest, struct text *out);

/* monitor_info.c: what `info` shows, a table of its own that ends with a NULL name */
extern const struct monitor_command monitor_infos[];

/* monitor_memory.c */
monitor_function command_x, command_xp;

/* monitor_pt.c */
monitor_function command_pt, command_pt_json, info_pg, command_dump;

/* monitor_check.c */
monitor_function command_check, command_check_json;

/* monitor_control.c */
monitor_function command_stop, command_cont, command_engine, command_quit;

#endif
