/* SPDX-License-Identifier: MIT */
/*
 * scope/page/model.js - the data, as the page asks for it.
 *
 *   1. Words        addresses, sizes
 *   2. Map          a class for each page (scope/html_map.c), the guest's entries, the shadow's
 *   3. Colours      a page's group, for each way of colouring
 *   4. Trace        events; what they have made of the shadow up to one of them
 */

/* ---- 1. Words ------------------------------------------------------------------------------- */

const PAGES = 1 << 20;

function hex(value, digits = 8) {
	return value.toString(16).padStart(digits, "0");
}

function bytes(pages) {
	if (pages >= 262144)
		return trim(pages / 262144) + " GiB";
	return pages >= 256 ? trim(pages / 256) + " MiB" : pages * 4 + " KiB";
}

function trim(number) {
	return number >= 100 ? String(Math.round(number)) : String(Math.round(number * 10) / 10);
}

function count(number) {
	return String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/* ---- 2. Map --------------------------------------------------------------------------------- */

const C = { PRESENT: 1, WRITABLE: 2, USER: 4, LARGE: 8, GLOBAL: 16, ACCESSED: 32, DIRTY: 64, RESERVED: 128,
	OUTSIDE: 256, SPLIT: 512 };
const P = { PRESENT: 1, WRITABLE: 2, USER: 4, ACCESSED: 32, DIRTY: 64, LARGE: 128, GLOBAL: 256 };
const S = { WRITABLE: 2, USER: 4, TRACKED: 8, PREFETCHED: 16 };
const CR0 = { WP: 0x10000, PG: 0x80000000 }, CR4 = { PSE: 16, PGE: 128 };

/* [count, value, step, ...] or eight digits each, to 1,024 numbers. */
function entries(packed) {
	const out = new Uint32Array(1024);
	let at = 0;
	if (typeof packed === "string")
		for (; at < 1024; at++)
			out[at] = parseInt(packed.substr(at * 8, 8), 16);
	else if (packed)
		for (let k = 0; k + 2 < packed.length; k += 3)
			for (let n = 0; n < packed[k] && at < 1024; n++)
				out[at++] = packed[k + 1] + n * packed[k + 2];
	return out;
}

class AddressSpace {
	constructor(data) {
		this.data = data;
		this.paging = (data.cr0 & CR0.PG) !== 0;
		this.wp = (data.cr0 & CR0.WP) !== 0;
		this.pse = (data.cr4 & CR4.PSE) !== 0;
		this.pge = (data.cr4 & CR4.PGE) !== 0;
		this.classes = new Uint32Array(PAGES);
		for (let k = 0, page = 0; k + 1 < data.pages.length; k += 2) {
			this.classes.fill(data.pages[k + 1], page, page + data.pages[k]);
			page += data.pages[k];
		}
		this.directory = data.directory ? entries(data.directory) : null;
		this.tables = new Map();
		this.shadow = data.shadow || [];
	}

	memory(page) { return MEMORY_WORDS[this.data.memories[this.classes[page] >> 10 & 7]]; }
	state(page) { return this.data.shadows[this.classes[page] >> 13 & 15]; }

	table(frame) {
		if (!this.tables.has(frame))
			this.tables.set(frame, this.data.tables[frame] ? entries(this.data.tables[frame]) : null);
		return this.tables.get(frame);
	}

	/* SDM vol. 3, 4.3. */
	walk(address) {
		const w = { pde: 0, pte: 0, pdeAt: 0, pteAt: 0, levels: 0 };
		if (!this.paging)
			return Object.assign(w, { present: true, writable: true, user: true, target: address });
		const top = address >>> 22, low = address >>> 12 & 1023;
		w.pdeAt = (this.data.cr3 & ~0xfff) + top * 4 >>> 0;
		w.pde = this.directory[top];
		w.levels = 1;
		w.present = w.writable = w.user = false;
		if (!(w.pde & P.PRESENT))
			return w;
		w.writable = (w.pde & P.WRITABLE) !== 0;
		w.user = (w.pde & P.USER) !== 0;
		w.large = (w.pde & P.LARGE) !== 0 && this.pse;
		let leaf = w.pde;
		if (w.large) {
			w.reserved = (w.pde & 0x3fe000) !== 0;
			w.target = ((w.pde & 0xffc00000) | (address & 0x3fffff)) >>> 0;
		} else {
			const table = this.table(w.pde >>> 12);
			w.pteAt = (w.pde & ~0xfff) + low * 4 >>> 0;
			w.levels = 2;
			w.outside = !table || (this.classes[address >>> 12] & C.OUTSIDE) !== 0;
			if (w.outside)
				return w;
			leaf = w.pte = table[low];
			if (!(leaf & P.PRESENT))
				return w;
			w.writable = w.writable && (leaf & P.WRITABLE) !== 0;
			w.user = w.user && (leaf & P.USER) !== 0;
			w.target = ((leaf & ~0xfff) | (address & 0xfff)) >>> 0;
		}
		w.accessed = (leaf & P.ACCESSED) !== 0;
		w.dirty = (leaf & P.DIRTY) !== 0;
		w.global = (leaf & P.GLOBAL) !== 0 && this.pge;
		w.present = !w.reserved;
		return w;
	}

	/* The shadow's entry for a page, by bisection of [page, count, frame, flags, ...]; null: none. */
	entry(page) {
		let low = 0, high = this.shadow.length / 4;
		while (low < high) {
			const middle = low + high >> 1;
			if (this.shadow[middle * 4] <= page)
				low = middle + 1;
			else
				high = middle;
		}
		const at = (low - 1) * 4;
		if (low === 0 || page - this.shadow[at] >= this.shadow[at + 1])
			return null;
		const flags = this.shadow[at + 3];
		return { frame: this.shadow[at + 2] + page - this.shadow[at], writable: (flags & S.WRITABLE) !== 0,
			user: (flags & S.USER) !== 0, tracked: (flags & S.TRACKED) !== 0,
			prefetched: (flags & S.PREFETCHED) !== 0 };
	}
}

/* ---- 3. Colours ----------------------------------------------------------------------------- */

/* Each way of colouring: its groups, in the legend's order, and the group of a page; -1 is nothing. */
const NOTHING = 255;
const COLOURS = {
	rights: {
		groups: [["kr", "kernel, read-only"], ["kw", "kernel, writable"], ["ur", "user, read-only"], ["uw", "user, writable"],
			["bad", "present, but faults (reserved bit)"], ["stale", "gone, still in the shadow"]],
		of(space, page) {
			const c = space.classes[page];
			if (c & C.RESERVED)
				return 4;
			if (!(c & C.PRESENT))
				return c >> 13 & 15 && /stale/.test(space.state(page)) ? 5 : NOTHING;
			return (c & C.USER ? 2 : 0) + (c & C.WRITABLE ? 1 : 0);
		},
	},
	shadow: {
		groups: [], /* from the data: the words of umbra pt */
		of(space, page) {
			const c = space.classes[page], shadow = c >> 13 & 15;
			return shadow ? shadow - 1 : NOTHING;
		},
	},
	kind: {
		groups: [["ram", "memory"], ["large", "memory, 4 MiB page"], ["table", "a page table"], ["device", "a device"],
			["nowhere", "beyond memory"], ["bad", "its table is where no memory is"]],
		of(space, page) {
			const c = space.classes[page], memory = c >> 10 & 7;
			if (c & C.OUTSIDE)
				return 5;
			if (!(c & C.PRESENT))
				return NOTHING;
			return memory === 0 ? (c & C.LARGE ? 1 : 0) : memory + 1;
		},
	},
	trace: {
		groups: [["fill", "filled on demand"], ["fillw", "... to be written"], ["ahead", "filled ahead"],
			["fault", "the guest's own fault"], ["gone", "flushed since"]],
		of: null, /* replay() */
	},
};
const SHADOW_WORDS = { unfilled: "not yet filled", rw: "filled, writable", ro: "filled, read-only",
	clean: "read-only until the first write", tracked: "read-only: a guest table is in it",
	so_far: "read-only so far: built ahead", not_user: "the kernel's alone for now (CR0.WP is clear)",
	stale: "stale: changed and not flushed", unmapped: "a device: never filled", window: "the host's window" };

const MEMORY_WORDS = { ram: "memory", table: "one of its own page tables", device: "a device", nowhere: "beyond memory" };

/* ---- 4. Trace ------------------------------------------------------------------------------- */

/* In the order of scope/html.c. */
const F = { SEQ: 0, NS: 1, INSNS: 2, KIND: 3, CR3: 4, CPL: 5, EIP: 6, FLAGS: 7, LINEAR: 8, GPA: 9, VALUE: 10, OLD: 11,
	ACCESS: 12, RIGHTS: 13, CAUSE: 14, ERROR: 15, ENTRIES: 16, TABLES: 17 };
const FLAG = { EXACT: 1, HOST: 2, LINEAR: 4, GPA: 8, ERROR: 16, SOFTWARE: 32, GLOBAL: 64 };
const A = { WRITE: 2, USER: 4, FETCH: 16 };

class Trace {
	constructor(data) {
		this.data = data;
		this.events = data.events;
		this.kinds = data.kinds.map((kind) => kind[0]);
		this.names = new Map();
		for (let k = 0; k + 1 < data.names.length; k += 2)
			this.names.set(data.names[k], data.names[k + 1]);
	}

	kind(event) { return this.kinds[event[F.KIND]]; }
	name(eip) { return this.names.get(eip) || ""; }

	/* What each page has come to, in the address space that is current at event `last`; and that one's CR3. */
	replay(last) {
		const groups = new Uint8Array(PAGES).fill(NOTHING);
		const cr3 = this.events.length ? this.events[last][F.CR3] : 0;
		let touched = []; /* pages since the last flush of everything */
		const set = (event, group) => {
			groups[event[F.LINEAR] >>> 12] = group;
			touched.push(event[F.LINEAR] >>> 12);
		};
		for (let k = 0; k <= last && k < this.events.length; k++) {
			const event = this.events[k], here = event[F.CR3] === cr3;
			switch (this.kind(event)) {
			case "fill":
				if (here || event[F.FLAGS] & FLAG.GLOBAL)
					set(event, event[F.RIGHTS] & A.WRITE ? 1 : 0);
				break;
			case "prefetch":
				if (here || event[F.FLAGS] & FLAG.GLOBAL)
					set(event, 2);
				break;
			case "fault":
				if (here)
					set(event, 3);
				break;
			case "flush-page":
				if (here && groups[event[F.LINEAR] >>> 12] !== NOTHING)
					groups[event[F.LINEAR] >>> 12] = 4;
				break;
			case "flush-user":
			case "flush-all":
				for (const page of touched)
					groups[page] = 4;
				touched = [];
				break;
			default:
				break;
			}
		}
		return { groups, cr3 };
	}
}
