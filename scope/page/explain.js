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
	out.push(level("PDE " + top + ", directory entry", w.pdeAt, w.pde, "directory", space, note));
	if (w.levels < 2)
		return out;
	if (w.outside) {
		out.push(element("p", "note wrong", "There is no memory at " + hex(w.pteAt) + ", where the table would be."));
		return out;
	}
	note = w.pte & P.PRESENT ? "Leads to the page at " + hex((w.pte & ~0xfff) >>> 0) + "."
		: w.pte ? "The guest keeps something of its own in a page that is not present." : "";
	out.push(level("PTE " + low + ", table entry", w.pteAt, w.pte, "table", space, note));
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

/* In the words of umbra pt (scope/pt_why.c).  "PDE 772 and PTE 257": the levels that lack this bit. */
function lacks(address, w, bit) {
	return [["PDE", w.pde, address >>> 22], ["PTE", w.pte, address >>> 12 & 1023]].slice(0, w.levels)
		.filter(([, entry]) => !(entry & bit)).map(([name, , index]) => name + " " + index).join(" and ");
}

function absent(address, w) {
	const pde = "PDE " + (address >>> 22);
	if (w.reserved)
		return pde + " has a reserved bit set (13-21 of a 4 MiB page)";
	if (w.outside)
		return pde + " leads to where there is no memory: reads as not present";
	return (w.levels > 1 ? "PTE " + (address >>> 12 & 1023) : pde) + " is not present (P = 0)";
}

/* What the guest is told: the error code of #PF, or null where the access succeeds; and why. */
function judge(space, address, w, access, user) {
	const code = (access === "write" ? A.WRITE : 0) | (user ? A.USER : 0);
	if (!w.present)
		return { code: code | (w.reserved ? 9 : 0), why: absent(address, w) };
	if (user && !w.user)
		return { code: code | 1, why: lacks(address, w, P.USER) + ": the kernel's (U/S = 0)" };
	if (access === "write" && !w.writable) {
		const denied = user || space.wp, why = lacks(address, w, P.WRITABLE) + ": read-only (R/W = 0)";
		return { code: denied ? code | 1 : null, why: why + (user ? "" : denied ? ", and CR0.WP = 1" : ", but CR0.WP = 0") };
	}
	return { code: null, why: access === "fetch" ? "what can be read can be executed: no bit against it" : "all levels permit it" };
}

function errorText(code) {
	return "#PF(" + code + (code & 1 ? " P" : "") + (code & A.WRITE ? " W" : "") + (code & A.USER ? " U" : "") + (code & 8 ? " RSVD" : "") + ")";
}

/* What comes of it in the shadow. */
function hidden(space, page, access, user, ok) {
	const s = space.entry(page), permits = s && (access !== "write" || s.writable) && (!user || s.user);
	if (space.state(page) === "window")
		return "the host's window";
	if (!ok)
		return permits ? "STALE: permits it" : "faults";
	if ([MEMORY_WORDS.device, MEMORY_WORDS.nowhere].includes(space.memory(page)))
		return "to the device";
	if (space.state(page) === "stale")
		return permits ? "STALE: old page" : "fills";
	if (permits)
		return "permits it";
	return access === "write" && s && s.tracked ? "to the core" : "fills";
}

function accesses(space, address, w) {
	const body = element("tbody"), page = address >>> 12;
	for (const [name, user] of [["kernel", false], ["user", true]])
		for (const access of ["read", "write", "fetch"]) {
			const v = judge(space, address, w, access, user), ok = v.code === null;
			const tr = row(heading("row", name + " " + access), element("td", ok ? "verdict yes" : "verdict no", ok ? "succeeds" : errorText(v.code)));
			if (space.data.live)
				tr.append(element("td", "", hidden(space, page, access, user, ok)));
			tr.append(element("td", "", v.why));
			body.append(tr);
		}
	const head = element("thead", "", row(heading("col", "access"), heading("col", "comes to"), ...(space.data.live ? [heading("col", "shadow")] : []),
		heading("col", "because")));
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
