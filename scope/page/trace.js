/* SPDX-License-Identifier: MIT */
/*
 * scope/page/trace.js - a trace beside the map: a moment in it, its events, who did most up to then.
 *
 *   1. Words      an event in a few
 *   2. Time       how much happened when
 *   3. Events     a window on them
 *   4. Places     the code that faults most, that writes most
 */

/* ---- 1. Words ------------------------------------------------------------------------------- */

const FAULTS = ["fill", "fault"], WRITES = ["table-write", "set-pte", "set-pde"];

function milliseconds(ns) {
	return (ns / 1e6).toFixed(3);
}

function accessWord(event) {
	return (event[F.ACCESS] & A.USER ? "user " : "kernel ") +
		(event[F.ACCESS] & A.WRITE ? "write" : event[F.ACCESS] & A.FETCH ? "fetch" : "read");
}

function rightsWord(event) {
	return (event[F.RIGHTS] & A.USER ? "user" : "kernel") + (event[F.RIGHTS] & A.WRITE ? ", writable" : ", read-only");
}

function describe(trace, event) {
	const cause = (trace.data.causes[event[F.CAUSE]] || "").replaceAll("-", " ");
	switch (trace.kind(event)) {
	case "fill": return (cause ? accessWord(event) + ": " + cause + "; " : "") + "now " + rightsWord(event);
	case "prefetch": return "now " + rightsWord(event);
	case "fault": return accessWord(event) + ": " + cause + "; #PF " + hex(event[F.ERROR], 4) + ", entry " + hex(event[F.VALUE]);
	case "table-write": return event[F.FLAGS] & FLAG.HOST ? "by a device or the host: " + hex(event[F.VALUE])
		: hex(event[F.OLD]) + " \u2192 " + hex(event[F.VALUE]);
	case "switch": return "to " + hex(event[F.CR3]) + (event[F.VALUE] ? "" : ", no shadow yet");
	case "sync": return event[F.VALUE] + " entries dropped or changed";
	case "evict": return "a table of level " + event[F.VALUE];
	case "interrupt": return "vector " + event[F.VALUE];
	case "set-pte": return "entry " + hex(event[F.VALUE]);
	case "set-pde": return "index " + event[F.VALUE];
	default: return "";
	}
}

function codeOf(trace, event) {
	if (event[F.FLAGS] & FLAG.HOST)
		return "";
	const name = trace.name(event[F.EIP]);
	return (event[F.FLAGS] & FLAG.EXACT ? "" : "~") + hex(event[F.EIP]) + (name ? " " + name : "");
}

/* What is too long is cut off, and said whole by its title. */
function clipped(name, text) {
	const e = element(name, "clipped", text);
	e.title = text;
	return e;
}

function addressOf(event) {
	return event[F.FLAGS] & FLAG.LINEAR ? hex(event[F.LINEAR]) : event[F.FLAGS] & FLAG.GPA ? "p" + hex(event[F.GPA]) : "";
}

/* ---- 2. Time -------------------------------------------------------------------------------- */

const ROWS = 120, TOP = 8;

class TraceView {
	constructor(trace, onMoment, onSelect) {
		this.trace = trace;
		this.onSelect = onSelect;
		this.last = trace.events.length - 1;
		this.page = -1;
		this.slider = document.getElementById("slider");
		this.slider.max = String(Math.max(0, this.last));
		this.slider.value = this.slider.max;
		this.slider.addEventListener("input", () => onMoment(Number(this.slider.value)));
		this.kindChoice = document.getElementById("kind");
		this.filter = document.getElementById("filter");
		this.here = document.getElementById("here");
		this.makeKinds();
		for (const e of [this.kindChoice, this.filter, this.here])
			e.addEventListener("input", () => this.drawRows());
		this.makeFacts();
	}

	makeKinds() {
		const counts = new Array(this.trace.kinds.length).fill(0);
		for (const event of this.trace.events)
			counts[event[F.KIND]]++;
		counts.forEach((n, k) => {
			if (n) {
				const option = element("option", "", this.trace.kinds[k] + " (" + count(n) + ")");
				option.value = String(k);
				this.kindChoice.append(option);
			}
		});
	}

	makeFacts() {
		const events = this.trace.events, n = events.length;
		let text = count(n) + " events";
		if (n)
			text += ", " + milliseconds(events[n - 1][F.NS] - events[0][F.NS]) + " ms, " +
				count(events[n - 1][F.INSNS] - events[0][F.INSNS]) + " instructions";
		if (this.trace.data.left)
			text += "; " + count(this.trace.data.left) + " before them are not on this page";
		if (this.trace.data.lost)
			text += "; " + count(this.trace.data.lost) + " were lost";
		document.getElementById("trace-facts").textContent = text;
	}

	/* How many events each sliver of the slider has, by what they are. */
	drawDensity() {
		const canvas = document.getElementById("density"), box = canvas.getBoundingClientRect();
		const ratio = window.devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
		const bars = Math.max(1, Math.floor(box.width / 3)), events = this.trace.events;
		const sums = Array.from({ length: bars }, () => [0, 0, 0]);
		events.forEach((event, k) => {
			const kind = this.trace.kind(event);
			sums[Math.floor(k * bars / events.length)][FAULTS.includes(kind) ? 0 : WRITES.includes(kind) ? 1 : 2]++;
		});
		canvas.width = Math.round(box.width * ratio);
		canvas.height = Math.round(box.height * ratio);
		const draw = canvas.getContext("2d"), most = Math.max(1, ...sums.map((s) => s[0] + s[1] + s[2]));
		const colours = ["--g-fill", "--g-tracked", "--quiet"].map((name) => style.getPropertyValue(name));
		sums.forEach((sum, k) => {
			let y = canvas.height;
			sum.forEach((n, c) => {
				const height = n / most * canvas.height;
				draw.globalAlpha = k * events.length / bars <= this.last ? 1 : 0.3;
				draw.fillStyle = colours[c];
				draw.fillRect(k * canvas.width / bars, y - height, canvas.width / bars - ratio, height);
				y -= height;
			});
		});
	}

	moveTo(last) {
		const event = this.trace.events[last];
		this.last = last;
		this.slider.value = String(last);
		const text = event ? "event " + event[F.SEQ] + " at " + milliseconds(event[F.NS]) + " ms: " + [this.trace.kind(event),
			addressOf(event)].join(" ").trim() + ", CR3 " + hex(event[F.CR3]) + "; " + count(event[F.ENTRIES]) + " entries in " + event[F.TABLES] + " tables" : "";
		this.slider.setAttribute("aria-valuetext", text);
		document.getElementById("moment").textContent = text;
		this.drawDensity();
		this.drawRows();
		this.drawTop("faulting", FAULTS);
		this.drawTop("writing", WRITES);
	}

	/* ---- 3. Events ---------------------------------------------------------------------- */

	matches(event, text, kind) {
		if (kind !== "" && event[F.KIND] !== Number(kind))
			return false;
		if (this.here.checked && !(event[F.FLAGS] & FLAG.LINEAR && event[F.LINEAR] >>> 12 === this.page))
			return false;
		return !text || [this.trace.kind(event), addressOf(event), codeOf(this.trace, event), describe(this.trace, event),
			hex(event[F.CR3])].join(" ").toLowerCase().includes(text);
	}

	/* The last ones up to the moment, the newest first. */
	drawRows() {
		const text = this.filter.value.trim().toLowerCase().replace(/^0x/, ""), kind = this.kindChoice.value;
		const rows = [], events = this.trace.events;
		let k = this.last;
		for (; k >= 0 && rows.length < ROWS; k--)
			if (this.matches(events[k], text, kind))
				rows.push(this.rowOf(events[k], k));
		document.getElementById("rows").replaceChildren(...rows);
		document.getElementById("rows-note").textContent = rows.length === ROWS && k >= 0 ? "The last " + ROWS + " up to this moment."
			: rows.length ? "" : "None up to this moment.";
	}

	rowOf(event, k) {
		const button = element("button", "link", String(event[F.SEQ])), address = addressOf(event);
		button.type = "button";
		button.setAttribute("aria-label", "Event " + event[F.SEQ] + ": go to " + (address || "its moment"));
		button.addEventListener("click", () => this.onSelect(event, k));
		const tr = row(button, element("td", "number", milliseconds(event[F.NS])), this.trace.kind(event), element("code", "", address),
			clipped("code", codeOf(this.trace, event)), describe(this.trace, event));
		if (k === this.last)
			tr.className = "now";
		return tr;
	}

	/* ---- 4. Places ---------------------------------------------------------------------- */

	drawTop(id, kinds) {
		const counts = new Map(), events = this.trace.events;
		for (let k = 0; k <= this.last && k < events.length; k++)
			if (kinds.includes(this.trace.kind(events[k])) && !(events[k][F.FLAGS] & FLAG.HOST))
				counts.set(events[k][F.EIP], (counts.get(events[k][F.EIP]) || 0) + 1);
		const top = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, TOP);
		document.getElementById(id).replaceChildren(...top.map(([eip, n]) => {
			const button = element("button", "link", hex(eip));
			button.type = "button";
			button.setAttribute("aria-label", "Show the events of " + hex(eip));
			button.addEventListener("click", () => {
				this.filter.value = hex(eip);
				this.drawRows();
			});
			return row(element("td", "number", count(n)), button, clipped("td", this.trace.name(eip)));
		}));
		if (!top.length)
			document.getElementById(id).replaceChildren(row(element("td", "facts", "none so far")));
	}
}
