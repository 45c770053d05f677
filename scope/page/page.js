/* SPDX-License-Identifier: MIT */
/*
 * scope/page/page.js - the page, put together.
 *
 *   1. Choices     buttons of which one is chosen; the theme
 *   2. Legend      and totals
 *   3. The page    what is selected, from wherever
 *   4. Starting
 */

/* ---- 1. Choices ----------------------------------------------------------------------------- */

/* Buttons [data-NAME] of a radiogroup: arrow keys go from one to the next, as in any. */
function choice(name, apply) {
	const buttons = [...document.querySelectorAll("[data-" + name + "]")];
	const choose = (button) => {
		for (const b of buttons) {
			b.setAttribute("aria-checked", String(b === button));
			b.tabIndex = b === button ? 0 : -1;
		}
		apply(button.dataset[name]);
	};
	for (const button of buttons) {
		button.tabIndex = button.getAttribute("aria-checked") === "true" ? 0 : -1;
		button.addEventListener("click", () => choose(button));
		button.addEventListener("keydown", (event) => {
			const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], usable = buttons.filter((b) => !b.hidden);
			if (!step)
				return;
			event.preventDefault();
			const next = usable[(usable.indexOf(button) + step + usable.length) % usable.length];
			next.focus();
			choose(next);
		});
	}
	return (value) => choose(buttons.find((b) => b.dataset[name] === value));
}

function setTheme(theme) {
	if (theme === "auto")
		delete document.documentElement.dataset.look;
	else
		document.documentElement.dataset.look = theme;
}

/* ---- 2. Legend ------------------------------------------------------------------------------ */

function drawLegend(view, onOnly) {
	const totals = new Array(view.names.length).fill(0);
	for (let page = 0; page < PAGES; page++)
		if (view.groups[page] !== NOTHING)
			totals[view.groups[page]]++;
	const items = view.names.map(([key, words], group) => {
		const swatch = element("span", "swatch"), button = element("button", "", swatch, element("span", "", words), element("span", "total",
			totals[group] ? bytes(totals[group]) : "none"));
		swatch.style.background = "var(--g-" + key + ")";
		button.type = "button";
		button.hidden = !totals[group] && view.only !== group;
		button.setAttribute("aria-pressed", String(view.only === group));
		button.addEventListener("click", () => onOnly(group));
		return button;
	});
	if (!totals.some((n) => n))
		items.push(element("span", "facts", "Nothing is there."));
	document.getElementById("legend").replaceChildren(...items);
}

/* ---- 3. The page ---------------------------------------------------------------------------- */

class Page {
	constructor(data) {
		this.space = data.map ? new AddressSpace(data.map) : null;
		this.trace = data.trace ? new Trace(data.trace) : null;
		this.view = new MapView(document.getElementById("map"), document.getElementById("axis"));
		this.colour = this.space ? "rights" : "trace";
		this.byColour = new Map();
		if (this.space)
			COLOURS.shadow.groups = this.space.data.shadows.slice(1).map((key) => [key, SHADOW_WORDS[key] || key]);
		this.chooseColour = choice("colour", (colour) => this.setColour(colour));
		choice("layout", (layout) => {
			this.view.layout = layout;
			this.redraw();
		});
		choice("theme", (theme) => {
			setTheme(theme);
			this.redraw();
		});
		this.makeTitle(data);
		this.makeTools();
		this.makeMap();
		if (this.trace)
			this.makeTrace();
		drawReports(data.checks, (address) => this.select(address >>> 12, address));
		this.hideWhatIsNot();
		this.chooseColour(this.colour);
		if (this.space)
			this.view.fit();
		this.select(this.firstAddress() >>> 12, this.firstAddress());
	}

	hideWhatIsNot() {
		document.querySelector("[data-colour=trace]").hidden = !this.trace;
		for (const colour of ["rights", "kind", "shadow"])
			document.querySelector("[data-colour=" + colour + "]").hidden = !this.space || (colour === "shadow" && !this.space.data.live);
	}

	/* Where the guest is, or where anything is. */
	firstAddress() {
		if (this.space && this.space.data.eip && this.space.walk(this.space.data.eip).present)
			return this.space.data.eip;
		if (!this.space && this.trace.events.length)
			return this.trace.events[this.trace.events.length - 1][F.EIP];
		return Math.max(0, this.view.groups.findIndex((group) => group !== NOTHING)) * 4096;
	}

	/* What the address of the page asks for, so that one can point at something: #at=c0101000&zoom=3&theme=dark */
	obey(words) {
		const given = new URLSearchParams(words);
		for (const name of ["theme", "layout", "colour"])
			for (const button of document.querySelectorAll("[data-" + name + "]"))
				if (!button.hidden && button.dataset[name] === given.get(name))
					button.click();
		if (this.times && /^\d+$/.test(given.get("event") || ""))
			this.moment(this.trace.events.findIndex((event) => event[F.SEQ] >= Number(given.get("event"))));
		if (given.has("at"))
			this.goTo(given.get("at"));
		if (/^[0-6]$/.test(given.get("zoom") || ""))
			this.zoom(Number(given.get("zoom")) - this.view.zoom);
	}

	makeTitle(data) {
		const d = this.space && this.space.data;
		const title = d ? "Address space " + hex(d.cr3) : "A trace of the shadow", facts = [];
		if (d) {
			facts.push(this.space.paging ? "paging" + (this.space.wp ? ", WP" : "") + (this.space.pse ? ", PSE" : "") + (this.space.pge ? ", PGE" : "")
				: "no paging", bytes(d.ram / 4096) + " of memory");
			if (d.eip)
				facts.push("at " + hex(d.eip) + (d.at ? " " + d.at : "") + ", ring " + d.cpl);
			if (d.shadowCut)
				facts.push("the shadow is shown in part: it has too many runs");
		}
		if (data.source)
			facts.unshift(data.source);
		if (data.when)
			facts.push(new Date(data.when * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC");
		document.title = "umbra: " + title + (data.source ? ", " + data.source : "");
		document.getElementById("title").textContent = title;
		document.getElementById("facts").textContent = facts.join(" \u00b7 ");
	}

	groupsOf(colour) {
		if (colour === "trace")
			return this.trace.replay(this.times.last).groups;
		if (!this.byColour.has(colour)) {
			const groups = new Uint8Array(PAGES), of = COLOURS[colour].of;
			for (let page = 0; page < PAGES; page++)
				groups[page] = this.space.classes[page] ? of(this.space, page) : NOTHING;
			this.byColour.set(colour, groups);
		}
		return this.byColour.get(colour);
	}

	setColour(colour) {
		if (colour !== this.colour)
			this.view.only = -1;
		this.colour = colour;
		this.view.show(this.groupsOf(colour), COLOURS[colour].groups);
		this.redraw();
	}

	redraw() {
		const v = this.view;
		v.draw();
		drawLegend(v, (group) => {
			v.only = v.only === group ? -1 : group;
			this.redraw();
		});
		document.getElementById("window").textContent = hex(v.start * 4096) + "\u2013" + hex((v.start + v.span) * 4096 - 1) + ", " + bytes(v.span) +
			(v.perCell > 1 ? ", a dot is " + v.perCell + " pages" : ", a dot is a page") +
			(v.hasAll() && this.colour !== "trace" ? "; nothing is mapped elsewhere" : "") +
			(this.colour === "trace" && this.trace.events.length ? "; CR3 " + hex(this.trace.events[this.times.last][F.CR3]) + " at this moment" : "");
		document.getElementById("zoom-in").disabled = v.zoom === ZOOM_MAX;
		document.getElementById("zoom-out").disabled = v.zoom === 0;
		document.getElementById("zoom-all").hidden = v.zoom === 0;
		if (this.times)
			this.times.drawDensity();
	}

	select(page, address = page * 4096) {
		this.view.select(page);
		this.redraw();
		const into = document.getElementById("explain");
		if (this.space) {
			explain(this.space, address, into);
			document.getElementById("spoken").textContent = sentence(this.space, address);
		} else {
			const title = element("h2", "", element("code", "", hex(address)));
			title.id = "address";
			into.replaceChildren(title, element("p", "note", "There is no map here, only a trace: umbra pt has both."));
			document.getElementById("spoken").textContent = hex(address);
		}
		if (this.times) {
			this.times.page = page;
			if (this.times.here.checked)
				this.times.drawRows();
		}
	}

	goTo(text) {
		const digits = text.trim().replace(/^0x/i, ""), wrong = document.getElementById("goto-wrong");
		const fits = /^[0-9a-f]{1,8}$/i.test(digits);
		wrong.textContent = fits ? "" : "a hexadecimal address";
		document.getElementById("goto").setAttribute("aria-invalid", String(!fits));
		if (!fits)
			return;
		const address = parseInt(digits, 16);
		this.select(address >>> 12, address);
	}

	zoom(step) {
		this.view.zoomTo(this.view.zoom + step);
		this.redraw();
	}

	makeTools() {
		document.getElementById("zoom-in").addEventListener("click", () => this.zoom(1));
		document.getElementById("zoom-out").addEventListener("click", () => this.zoom(-1));
		document.getElementById("zoom-all").addEventListener("click", () => this.zoom(-this.view.zoom));
		document.getElementById("tools").addEventListener("submit", (event) => {
			event.preventDefault();
			this.goTo(document.getElementById("goto").value);
		});
	}

	key(event) {
		const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, v = this.view;
		if (event.ctrlKey || event.altKey || event.metaKey)
			return;
		if (moves[event.key])
			v.move(...moves[event.key]);
		else if (event.key === "Enter" || event.key === "+" || event.key === "=")
			this.zoom(1);
		else if (event.key === "Backspace" || event.key === "-" || event.key === "Escape")
			this.zoom(-1);
		else if (event.key === "n" || event.key === "p")
			v.leap(event.key === "n" ? 1 : -1);
		else if (event.key === "Home" || event.key === "End")
			v.select(event.key === "Home" ? 0 : PAGES - 1);
		else if (event.key === "PageUp" || event.key === "PageDown")
			v.select(v.selected + (event.key === "PageUp" ? -v.span : v.span));
		else
			return;
		event.preventDefault();
		this.select(v.selected);
	}

	makeMap() {
		const map = document.getElementById("map");
		map.addEventListener("keydown", (event) => this.key(event));
		map.addEventListener("click", (event) => {
			map.focus();
			this.select(this.view.pageUnder(event));
		});
		map.addEventListener("dblclick", () => this.zoom(1));
		map.addEventListener("mousemove", (event) => {
			const page = this.view.pageUnder(event);
			document.getElementById("hover").textContent = this.space ? sentence(this.space, page * 4096) : hex(page * 4096);
		});
		map.addEventListener("mouseleave", () => document.getElementById("hover").textContent = "");
		new ResizeObserver(() => this.redraw()).observe(map);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
		document.addEventListener("keydown", (event) => {
			if (event.target.matches("input, select") || event.ctrlKey || event.altKey || event.metaKey)
				return;
			if (event.key === "g") {
				event.preventDefault();
				document.getElementById("goto").select();
			} else if (this.times && (event.key === "[" || event.key === "]")) {
				this.moment(this.times.last + (event.key === "[" ? -1 : 1));
			}
		});
	}

	moment(last) {
		last = Math.min(this.trace.events.length - 1, Math.max(0, last));
		this.times.moveTo(last);
		this.chooseColour("trace");
	}

	makeTrace() {
		document.getElementById("trace").hidden = document.getElementById("keys-trace").hidden = false;
		this.times = new TraceView(this.trace, (last) => this.moment(last), (event, last) => {
			this.moment(last);
			if (event[F.FLAGS] & FLAG.LINEAR)
				this.select(event[F.LINEAR] >>> 12, event[F.LINEAR]);
		});
		this.times.moveTo(this.times.last);
	}
}

/* ---- 4. Starting ---------------------------------------------------------------------------- */

try {
	const page = new Page(JSON.parse(document.getElementById("data").textContent));
	if (location.hash === "#test")
		test(page);
	else
		page.obey(location.hash.slice(1));
} catch (error) {
	const trouble = document.getElementById("trouble");
	trouble.textContent = "The data in this page cannot be shown: " + error.message;
	trouble.hidden = false;
	throw error;
}
