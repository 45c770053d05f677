/* SPDX-License-Identifier: MIT */
/*
 * shadow/init.c - part (vii): set up, tear down.
 *
 *   1. Checking the configuration
 *   2. um_size, um_init
 *   3. um_destroy
 */
#include "core.h"

/* ---- 1. Checking the configuration ---------------------------------------------------------- */

static bool format_ok(const struct um_format *fmt)
{
	unsigned shift = UM_PAGE_SHIFT;

	if (!fmt || fmt->levels < 2 || fmt->levels > LEVELS_MAX)
		return false;
	if (fmt->entry_bytes != 4 && fmt->entry_bytes != 8)
		return false;
	for (unsigned level = 0; level < fmt->levels; level++) {
		const struct um_level *l = &fmt->level[level];

		if (l->shift != shift || !l->index_bits || l->index_bits > SLOT_SHIFT)
			return false;
		shift += l->index_bits;
	}
	return true;
}

static um_gva address_end(const struct um_format *fmt)
{
	const struct um_level *top = &fmt->level[fmt->levels - 1];

	return UINT64_C(1) << (top->shift + top->index_bits);
}

static bool ops_ok(const struct um_ops *ops)
{
	return ops && ops->read_entry && ops->update_entry && ops->get_page && ops->put_page &&
	       ops->get_table && ops->put_table && ops->invalidate && ops->invalidate_all &&
	       !ops->enter == !ops->leave && !ops->invalidate_root == !ops->root_switched;
}

static bool config_ok(const struct um_config *c)
{
	if (!c || !ops_ok(c->ops) || !format_ok(c->format))
		return false;
	if ((unsigned)c->learn > UM_LEARN_BOUND)
		return false;
	if (c->options & ~(uint32_t)UM_OPT_ALL)
		return false;
	if (!c->max_gfn || c->max_gfn > FRAMES_MAX || c->prefetch > PREFETCH_MAX)
		return false;
	if (c->max_tables < UM_MIN_TABLES || c->max_tables > TABLES_MAX || !c->max_roots)
		return false;
	return c->user_end <= address_end(c->format);
}

/* ---- 2. um_size, um_init -------------------------------------------------------------------- */

static size_t round_up(size_t bytes)
{
	return (bytes + 63u) & ~(size_t)63u;
}

size_t um_size(const struct um_config *config)
{
	if (!config_ok(config))
		return 0;
	return round_up(sizeof(struct um)) +
	       round_up((config->max_tables + 1u) * sizeof(struct table)) +
	       round_up((size_t)config->max_gfn * sizeof(struct frame));
}

static void lay_out(struct um *um, const struct um_config *c)
{
	char *at = (char *)(void *)um + round_up(sizeof(*um));

	um->tables = (struct table *)(void *)at;
	at += round_up((c->max_tables + 1u) * sizeof(struct table));
	um->frames = (struct frame *)(void *)at;
	/* Never used yet: 1, 2, ... in order. */
	for (uint32_t id = c->max_tables; id > 0; id--) {
		um->tables[id].next_same = um->free_tables;
		um->free_tables = id;
	}
}

enum um_result um_init(void *memory, const struct um_config *config, struct um **out)
{
	struct um *um = memory;

	if (!config_ok(config) || !memory || (uintptr_t)memory % 16 || !out)
		return UM_EINVAL;
	um->ops = config->ops;
	um->user = config->user;
	um->heard = config->ops->enter;
	um->tagged = config->ops->invalidate_root;
	um->fmt = config->format;
	um->learn = config->learn == UM_LEARN_TOLD ? UM_LEARN_TOLD : UM_LEARN_TRACKED;
	um->bound = config->learn != UM_LEARN_TRACKED;
	um->options = config->options;
	um->prefetch = config->prefetch;
	um->max_gfn = (uint32_t)config->max_gfn;
	um->max_tables = um->budget = config->max_tables;
	um->max_roots = config->max_roots;
	um->limit = um->end = address_end(config->format);
	um->user_end = config->user_end;
	um->generation = 1;
	lay_out(um, config);
	*out = um;
	return UM_OK;
}

/* ---- 3. um_destroy -------------------------------------------------------------------------- */

void um_destroy(struct um *um)
{
	free_all_tables(um);
	free_window(um);
	release_spares(um);
	commit_invalidate(um);
}
