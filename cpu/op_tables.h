/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_tables.h - the handlers that op_*.c offer to select_integer.c.
 */
#ifndef CPU_OP_TABLES_H
#define CPU_OP_TABLES_H

#include "cpu/op.h"

/* The last index of a *_reg_mem_flat table. */
enum place { PLACE_REG, PLACE_MEM, PLACE_FLAT, PLACES };

/* op_alu.c */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_COUNT };
extern insn_fn *const alu_handlers[ALU_COUNT][3][FORMS];
enum unary { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };
extern insn_fn *const unary_handlers[UNARY_COUNT][3][PLACES];

/* op_mov.c */
extern insn_fn *const mov_handlers[3][FORMS];
enum extend { EXTEND_ZERO, EXTEND_SIGN };
/* [zero, sign][from 8, 16][to 16, 32][place] */
extern insn_fn *const extend_handlers[2][2][2][PLACES];
insn_fn op_lea32_base, op_lea32_sib, op_lea16, op_lea;
insn_fn op_nop, op_xlat, op_cbw, op_cwde, op_cwd, op_cdq, op_lahf, op_sahf, op_clc, op_stc, op_cmc, op_cld,
	op_std, op_salc, op_bswap;
insn_fn op_xchg_rr32;
extern insn_fn *const xchg_handlers[3], *const cmpxchg_handlers[3], *const xadd_handlers[3];
insn_fn op_cmpxchg8b;
extern insn_fn *const cmov_handlers[16][2]; /* [condition][16, 32 bits] */
extern insn_fn *const setcc_handlers[16];

/* op_shift.c: [operation = ModRM.reg][size] */
extern insn_fn *const shift_imm_handlers[8][3], *const shift_cl_handlers[8][3];
extern insn_fn *const shift_reg32_handlers[8]; /* by an immediate of 1..31, a register */
extern insn_fn *const double_shift_handlers[2][2]; /* [left, right][16, 32] */

/* op_muldiv.c: [operation][size] */
extern insn_fn *const mul_handlers[3], *const imul_handlers[3], *const div_handlers[3], *const idiv_handlers[3];
extern insn_fn *const imul2_handlers[2], *const imul3_handlers[2]; /* [16, 32] */
insn_fn op_aam, op_aad, op_daa, op_das, op_aaa, op_aas;

/* op_bit.c: [BT, BTS, BTR, BTC][by register, by immediate][16, 32] */
extern insn_fn *const bit_test_handlers[4][2][2];
extern insn_fn *const bit_scan_handlers[2][2]; /* [forward, reverse][16, 32] */

/* op_string.c: [operation][size] */
enum string { STRING_MOVS, STRING_STOS, STRING_LODS, STRING_CMPS, STRING_SCAS, STRING_COUNT };
extern insn_fn *const string_handlers[STRING_COUNT][3];

/* op_stack.c */
insn_fn op_push_r32, op_push_i32, op_push_m32, op_pop_r32; /* flat 32-bit stack */
insn_fn op_push_r, op_push_i, op_push_m, op_pop_r, op_pop_m, op_pusha, op_popa, op_enter, op_leave, op_leave32;
insn_fn op_bound;

/* op_branch.c */
extern insn_fn *const jcc_handlers[16];      /* chained */
extern insn_fn *const jcc_loop_handlers[16]; /* back to the loop, limits checked */
insn_fn op_jmp, op_jmp_loop, op_jmp_r, op_jmp_rm, op_call, op_call_loop, op_call_r, op_call_m,
    op_call_rm, op_ret, op_ret_loop, op_into, op_jcxz, op_loop, op_loope, op_loopne;

/* op_fused.c: the handler for an instruction and the Jcc that ends the block right behind it, as one
 * (CPU_OPT_FUSE); NULL: this pair has none. */
insn_fn *fused_handler(insn_fn *first, insn_fn *jcc);

#endif
