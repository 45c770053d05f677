/* SPDX-License-Identifier: MIT */
/*
 * scope/page/explain.js - one address, level by level: the guest beside the shadow, and what each access comes to.
 *
 *   1. Elements    text only, never markup
 *   2. Levels      entries with their bits by name
 *   3. Side by side
 *   4. Accesses    why each succeeds or faults (SDM vol. 3, 4.6, 4.7)
 *   5. All of it
 */

/* ---- 1. Elements ---------------------------------------------------------------------------- */

function element(name, className, ...children) {
	const e = document.createElement(name);
	if (className)
		e.className = className;
	for (const child of children)
		e.append(child);
	return e;
}

function row(...cells) {
	const tr = document.createElement("tr");
	for (const cell of cells)
		tr.append(cell instanceof Node && /^T[DH]$/.test(cell.nodeName) ? cell : element("td", "", cell));
	return tr;
}

function heading(scope, text) {
	const th = element("th", "", text);
	th.scope = scope;
	return th;
}

/* ---- 2. Levels ------------------------------------------------------------------------------ */

/* SDM vol. 3, figure 4-4. */
const BITS = [
	[1, "P", "present", "not present"], [2, "W", "writable", "read-only"], [4, "U", "user", "supervisor"],
	[8, "PWT", "write-through", ""], [16, "PCD", "not cached", ""], [32, "A", "accessed", "not accessed"],
	[64, "D", "dirty", "clean"], [128, "PS", "4 MiB page", ""], [256, "G", "global", ""],
];

function bits(entry, level, space) {
	const list = element("ul", "bits");
	for (const [mask, name, set, clear] of BITS) {
		if (level === "directory" && !(entry & P.LARGE) && (mask === 64 || mask === 256))
			continue; /* ignored there */
		if (level === "table" && mask === 128)
			continue; /* PAT, which does not exist here */
		const on = (entry & mask) !== 0;
		if (!on && !clear)
			continue;
		let word = on ? set : clear;
		if (mask === 128 && !space.pse)
			word = "ignored: CR4.PSE is clear";
		if (mask === 256 && on && !space.pge)
			word = "ignored: CR4.PGE is clear";
		const item = element("li", on ? "on" : "off", element("abbr", "", name), " ", word);
		list.append(item);
		if (mask === 1 && !on)
			break; /* the other bits are the guest's own */
	}
	return list;
}

function level(title, where, entry, name, space, note) {
	const e = element("section", "level", element("h4", "", title),
		element("p", "entry", element("span", "at", "at " + hex(where)), element("code", "", hex(entry))),
		bits(entry, name, space));
	if (note)
		e.append(element("p", "note", note));
	return e;
}

function levels(space, address, w) {
	const out = [], top = address >>> 22, low = address >>> 12 & 1023;
	if (!space.paging)
		return [element("p", "note", "CR0.PG is clear: every address is its own.")];
	const large = w.pde & P.PRESENT && w.large;
	let note = "";
	if (large)
		note = "Leads to the 4 MiB at " + hex((w.pde & 0xffc00000) >>> 0) + ".";
	else if (w.pde & P.PRESENT)
		note = "Leads to the table at " + hex((w.pde & ~0xfff) >>> 0) + ".";
	if (w.reserved)
		note += " A reserved bit is set: each access faults.";
	out.push(level("Directory entry " + top, w.pdeAt, w.pde, "directory", space, note));
	if (w.levels < 2)
		return out;
	if (w.outside) {
		out.push(element("p", "note wrong", "There is no memory at " + hex(w.pteAt) + ", where the table would be."));
		return out;
	}
	note = w.pte & P.PRESENT ? "Leads to the page at " + hex((w.pte & ~0xfff) >>> 0) + "."
		: w.pte ? "The guest keeps something of its own in a page that is not present." : "";
	out.push(level("Table entry " + low, w.pteAt, w.pte, "table", space, note));
	return out;
}

/* ---- 3. Side by side ------------------------------------------------------------------------ */

const yes = (is) => is ? "yes" : "no";

function why(space, page, w, s) {
	const state = space.state(page);
	const words = SHADOW_WORDS[state];
	if (!space.data.live)
		return "There is no shadow: this is memory alone.";
	if (!s && w.present)
		return words ? "Shadow: " + words + "." : "Not yet filled.";
	if (!s)
		return "Neither has it.";
	return words ? "Shadow: " + words + "." : "";
}

function compare(space, address, w) {
	const page = address >>> 12, s = space.entry(page);
	const body = element("tbody");
	const line = (name, guest, shadow) => {
		const differs = s !== null && w.present && guest !== shadow && shadow !== "";
		const tr = row(heading("row", name), guest);
		if (space.data.live)
			tr.append(element("td", "", s || name === "present" ? shadow : ""));
		if (differs) {
			tr.className = "differs";
			tr.lastChild.append(element("span", "unseen", " (differs)"));
		}
		body.append(tr);
	};
	line("present", yes(w.present), space.data.live ? yes(s !== null) : "");
	if (w.present || s) {
		line("writable", w.present ? yes(w.writable) : "", s ? yes(s.writable) : "");
		line("user", w.present ? yes(w.user) : "", s ? yes(s.user) : "");
		line("frame", w.present ? hex((w.target & ~0xfff) >>> 0) : "", s ? hex(s.frame * 4096) : "");
		line("accessed", w.present ? yes(w.accessed) : "", "");
		line("dirty", w.present ? yes(w.dirty) : "", "");
		line("global", w.present ? yes(w.global) : "", "");
	}
	const head = element("thead", "", row(element("td"), heading("col", "guest"), space.data.live ? heading("col", "shadow") : ""));
	const table = element("table", "sides", element("caption", "unseen", "Guest and shadow"), head, body);
	return [table, element("p", "note", why(space, page, w, s))];
}

/* ---- 4. Accesses ---------------------------------------------------------------------------- */

/* What the guest is told, if anything: the error code of #PF; null: the access succeeds. */
function fault(space, w, access, user) {
	const code = (access === "write" ? A.WRITE : 0) | (user ? A.USER : 0);
	if (!w.present)
		return { code: code | (w.reserved ? 9 : 0), text: w.reserved ? "a reserved bit is set" : w.outside ?
			"its table is where no memory is" : !(w.pde & P.PRESENT) ? "the directory entry is not present"
				: "the table entry is not present" };
	if (user && !w.user)
		return { code: code | 1, text: (w.pde & P.USER) === 0 ? "U is clear in the directory entry" : "U is clear in the table entry" };
	if (access === "write" && !w.writable && (user || space.wp))
		return { code: code | 1, text: (w.pde & P.WRITABLE) === 0 ? "W is clear in the directory entry" : "W is clear in the table entry" };
	return null;
}

function hidden(space, page, w, access, user) {
	const s = space.entry(page);
	if (!space.data.live)
		return "";
	if (space.memory(page) === MEMORY_WORDS.device)
		return "goes to the device";
	if (!s || (user && !s.user))
		return "after a fill";
	if (access === "write" && !s.writable)
		return s.tracked ? "by the core: a table is in it" : "after a fill";
	return "at once";
}

function accesses(space, address, w) {
	const body = element("tbody"), page = address >>> 12;
	for (const [name, user] of [["kernel", false], ["user", true]])
		for (const access of ["read", "write", "fetch"]) {
			const f = fault(space, w, access, user);
			const text = f ? f.text : !user && access === "write" && !w.writable ? "CR0.WP is clear; " + hidden(space, page, w, access, user)
				: hidden(space, page, w, access, user);
			body.append(row(heading("row", name + " " + access),
				element("td", f ? "verdict no" : "verdict yes", f ? "#PF " + hex(f.code, 4) : "succeeds"), text));
		}
	const head = element("thead", "", row(heading("col", "access"), heading("col", "comes to"), heading("col", "because")));
	return element("table", "accesses", element("caption", "unseen", "What each access comes to"), head, body);
}

/* ---- 5. All of it --------------------------------------------------------------------------- */

function explain(space, address, into) {
	const w = space.walk(address), page = address >>> 12;
	const title = element("h2", "", element("code", "", hex(address)));
	title.id = "address";
	const where = w.present ? "guest-physical " + hex(w.target) + ", " + space.memory(page) : "not mapped";
	const name = address === space.data.eip ? space.data.at : "";
	into.replaceChildren(title, element("p", "where", (name ? name + ", " : "") + where), ...levels(space, address, w),
		...compare(space, address, w), accesses(space, address, w));
}

/* A sentence, for who does not see the map. */
function sentence(space, address) {
	const w = space.walk(address);
	if (!w.present)
		return hex(address) + ": not mapped" + (space.state(address >>> 12) === "stale" ? ", stale in the shadow" : "");
	return hex(address) + " to " + hex(w.target) + ", " + (w.user ? "user" : "kernel") + ", " +
		(w.writable ? "writable" : "read-only") + ", shadow: " + (SHADOW_WORDS[space.state(address >>> 12)] || "none");
}
