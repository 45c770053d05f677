/* SPDX-License-Identifier: MIT */
/*
 * scope/page/test.js - the page looks at itself: page.html#test writes TAP into its <pre id="test">.
 *
 * What a reader does with mouse and keyboard is done by events, and what must be there then is looked for.
 */

function test(page) {
	const results = [], view = page.view, space = page.space, map = document.getElementById("map");
	const check = (name, holds) => results.push((holds ? "ok " : "not ok ") + (results.length + 1) + " - " + name);
	const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
	const text = (id) => document.getElementById(id).textContent;
	const pixels = () => map.toDataURL();

	check("nothing was loaded", performance.getEntriesByType("resource").length === 0);
	check("no trouble", document.getElementById("trouble").hidden);
	check("every control has a name", [...document.querySelectorAll("button, input, select, canvas:not([aria-hidden]), [role=region]")].every((e) =>
		e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim() || (e.labels && e.labels.length)));
	check("the map is as wide as it is high", map.width === map.height && map.width > 100);
	testMap(page, check, press, pixels);
	if (space)
		testSpace(page, check, text);
	if (page.trace)
		testTrace(page, check, press, text);
	const report = document.querySelector("#reports .report");
	if (report) {
		const link = report.querySelector(".link");
		check("a report is shown", report.querySelector("h3").textContent !== "" && !/\[object/.test(report.textContent));
		if (link) {
			link.click();
			check("... and leads to its address", hex(view.selected * 4096).slice(0, 5) === link.textContent.slice(0, 5));
		}
	}
	testThemes(check, pixels);
	/* (Whether :focus-visible applies now is the browser's to say: it knows no keys of a script's.) */
	const rules = [...document.styleSheets[0].cssRules];
	map.focus();
	check("what has the focus is seen to have it", document.activeElement === map &&
		rules.some((rule) => rule.selectorText === ":focus-visible" && /outline: [2-9]px solid/.test(rule.cssText)) &&
		!rules.some((rule) => /outline(-style)?: (none|0)/.test(rule.cssText)));
	view.zoomTo(0);
	const began = performance.now();
	for (let k = 0; k < 10; k++)
		view.draw();
	const took = (performance.now() - began) / 10;
	check("4 GiB are drawn in less than 100 ms (" + Math.round(took) + ")", took < 100);
	check("text does not overflow sideways", document.documentElement.scrollWidth <= window.innerWidth);
	const pre = document.getElementById("test");
	pre.textContent = "1.." + results.length + "\n" + results.join("\n") + "\n";
	document.documentElement.dataset.tested = results.every((line) => line.startsWith("ok")) ? "ok" : "not ok";
}

function testMap(page, check, press, pixels) {
	const view = page.view, map = document.getElementById("map");
	const all = view.groups.findLastIndex((group) => group !== NOTHING);
	check("all there is is in the first window", view.zoom === 0 || (view.start <= view.groups.findIndex((group) => group !== NOTHING) &&
		all < view.start + view.span));
	document.getElementById("zoom-all").click();
	check("... and a button leads to 4 GiB", view.zoom === 0 && document.getElementById("zoom-all").hidden);
	map.focus();
	page.select(0);
	press(map, "End");
	check("End goes to the last page", view.selected === PAGES - 1);
	press(map, "Home");
	check("Home goes to the first", view.selected === 0);
	press(map, "ArrowRight");
	check("an arrow key moves by a dot", view.selected === 16);
	press(map, "ArrowDown");
	check("... by a row", view.selected === 16 + 16 * 256);
	press(map, "ArrowUp");
	press(map, "ArrowLeft");
	check("... and back", view.selected === 0);
	press(map, "n");
	const first = view.groups.findIndex((group) => group !== NOTHING);
	check("n goes to where something is", first < 0 || view.groups[view.selected] !== NOTHING);
	const before = pixels(), span = view.span;
	press(map, "Enter");
	check("Enter zooms in", view.span === span / 4 && view.cellOf(view.selected) >= 0);
	for (let k = 0; k < 8; k++)
		press(map, "+");
	check("... as far as 256 pages", view.span === 256 && document.getElementById("zoom-in").disabled);
	press(map, "Backspace");
	check("Backspace zooms out", view.span === 1024);
	for (let k = 0; k < 8; k++)
		press(map, "-");
	check("... as far as 4 GiB, which look as before", view.span === PAGES && pixels() === before);
	document.querySelector("[data-layout=hilbert]").click();
	const seen = new Set();
	let neighbours = true;
	for (let n = 0; n < 4096; n++) {
		const [x, y] = hilbert(n, 64), [px, py] = n ? hilbert(n - 1, 64) : [x, y - 1];
		seen.add(y * 64 + x);
		neighbours = neighbours && Math.abs(x - px) + Math.abs(y - py) === 1;
	}
	check("the curve meets each place once, and goes from neighbour to neighbour", seen.size === 4096 && neighbours);
	check("the curve is another picture", first < 0 || pixels() !== before);
	const [x, y] = view.placeOf(view.cellOf(view.selected)), selected = view.selected;
	press(map, x + 1 < view.side ? "ArrowRight" : "ArrowLeft");
	const [nx, ny] = view.placeOf(view.cellOf(view.selected));
	check("arrow keys move by place there", Math.abs(nx - x) === 1 && ny === y && view.selected !== selected);
	document.querySelector("[data-layout=rows]").click();
	document.getElementById("goto").value = "C0101ABC";
	document.getElementById("tools").requestSubmit();
	check("go to", view.selected === 0xc0101 && document.getElementById("address").textContent === "c0101abc");
	document.getElementById("goto").value = "nowhere";
	document.getElementById("tools").requestSubmit();
	check("... refuses what is no address", view.selected === 0xc0101 && document.getElementById("goto-wrong").textContent !== "");
	const button = document.querySelector("#legend button:not([hidden])");
	if (button) {
		button.click();
		check("the legend shows one kind alone", view.only >= 0 && document.querySelector("#legend [aria-pressed=true]") !== null);
		document.querySelector("#legend [aria-pressed=true]").click();
	}
}

function testSpace(page, check, text) {
	const space = page.space, view = page.view;
	let present = -1, absent = -1, agrees = true, all = 0;
	for (let number = 0; number < PAGES; number++) {
		const is = (space.classes[number] & C.PRESENT) !== 0;
		if (is && present < 0)
			present = number;
		if (!is && absent < 0)
			absent = number;
		all += is ? 1 : 0;
		if (number % 61 === 0 || is && number % 7 === 0) {
			const w = space.walk(number * 4096);
			agrees = agrees && w.present === is && (!is || (w.writable === ((space.classes[number] & C.WRITABLE) !== 0) &&
				w.user === ((space.classes[number] & C.USER) !== 0)));
		}
	}
	check("the page's own walk agrees with umbra's", agrees);
	for (const colour of ["kind", "rights"]) {
		page.chooseColour(colour);
		const shown = [...document.querySelectorAll("#legend button:not([hidden])")].length;
		check("colour by " + colour + " has a legend", all === 0 || shown > 0);
	}
	if (present >= 0) {
		page.select(present);
		check("a present page is explained", /succeeds/.test(text("explain")) && text("spoken").includes(hex(present * 4096)));
		check("... level by level", !space.paging || /PDE \d+/.test(text("explain")));
		check("... with six accesses", document.querySelectorAll("#explain .accesses tbody tr").length === 6);
		check("... beside the shadow", document.querySelectorAll("#explain .sides tbody tr").length >= 4);
	}
	if (absent >= 0) {
		page.select(absent);
		check("an absent page is explained", /#PF/.test(text("explain")) && /is not present \(P = 0\)|reserved|no memory/.test(text("explain")));
	}
	check("the map can be clicked", (() => {
		const map = document.getElementById("map"), box = map.getBoundingClientRect();
		map.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }));
		const cell = view.cellOf(view.selected), [x, y] = view.placeOf(cell);
		return Math.abs(x - view.side / 2) <= 1 && Math.abs(y - view.side / 2) <= 1;
	})());
}

function testTrace(page, check, press, text) {
	const times = page.times, slider = document.getElementById("slider"), n = page.trace.events.length;
	const slide = (value) => {
		slider.value = String(value);
		slider.dispatchEvent(new Event("input"));
	};
	slide(0);
	check("the slider goes to the first event", times.last === 0 && document.querySelectorAll("#rows tr").length === Math.min(1, n));
	check("... and the map shows the trace", page.colour === "trace");
	const few = page.view.groups.reduce((sum, group) => sum + (group !== NOTHING ? 1 : 0), 0);
	slide(n - 1);
	const more = page.view.groups.reduce((sum, group) => sum + (group !== NOTHING ? 1 : 0), 0);
	check("... to the last, where more is filled", times.last === n - 1 && more >= few);
	press(document.body, "[");
	check("[ goes back by an event", times.last === Math.max(0, n - 2));
	press(document.body, "]");
	check("] and on again", times.last === n - 1);
	const filter = document.getElementById("filter"), count = document.querySelectorAll("#rows tr").length;
	filter.value = "nothing has this in it";
	filter.dispatchEvent(new Event("input"));
	check("the filter filters", document.querySelectorAll("#rows tr").length === 0 && text("rows-note") !== "");
	filter.value = "";
	filter.dispatchEvent(new Event("input"));
	check("... and lets all through again", document.querySelectorAll("#rows tr").length === count);
	check("code that faults is named", /[0-9a-f]{8}/.test(text("faulting")) || !page.trace.events.some((e) => FAULTS.includes(page.trace.kind(e))));
	const link = document.querySelector("#rows tr:last-child button");
	link.click();
	check("an event can be gone to", times.last < n);
	slide(n - 1);
}

/* WCAG 2.1, 1.4.3: 4.5 to 1 for text. */
function contrast(a, b) {
	const light = (colour) => parseColour(colour).map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
	const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
	return (high + 0.05) / (low + 0.05);
}

function testThemes(check, pixels) {
	const seen = new Set();
	for (const theme of ["light", "dark"]) {
		document.querySelector("[data-theme=" + theme + "]").click();
		const style = getComputedStyle(document.documentElement), value = (name) => style.getPropertyValue(name).trim();
		seen.add(getComputedStyle(document.body).backgroundColor + pixels());
		for (const ground of ["--paper", "--raised"])
			for (const ink of ["--ink", "--soft", "--accent", "--bad", "--good"])
				check(theme + ": " + ink + " on " + ground, contrast(value(ink), value(ground)) >= 4.5);
	}
	check("light and dark differ", seen.size === 2);
	document.querySelector("[data-theme=auto]").click();
}
