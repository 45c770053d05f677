/* SPDX-License-Identifier: MIT */
/*
 * scope/page/map.js - four gigabytes on a square: drawn from a group a page, in rows or along a Hilbert curve.
 *
 *   1. Places     where the n-th cell of a square is
 *   2. Drawing    some 65,000 cells at most, whatever the pages
 *   3. Moving     by address in rows, by place on the curve
 */

/* ---- 1. Places ------------------------------------------------------------------------------ */

/* The n-th cell along the curve through a square of `side` (a power of two). */
function hilbert(n, side) {
	let x = 0, y = 0;
	for (let s = 1; s < side; s *= 2) {
		const right = n >> 1 & 1, up = (n ^ right) & 1;
		if (!up) {
			if (right) {
				x = s - 1 - x;
				y = s - 1 - y;
			}
			[x, y] = [y, x];
		}
		x += s * right;
		y += s * up;
		n >>= 2;
	}
	return [x, y];
}

const places = new Map();

/* at[n]: y * side + x; and back. */
function placesOf(layout, side) {
	const key = layout + side;
	if (!places.has(key)) {
		const at = new Uint32Array(side * side), back = new Uint32Array(side * side);
		for (let n = 0; n < side * side; n++) {
			let place = n;
			if (layout === "hilbert") {
				const [x, y] = hilbert(n, side);
				place = y * side + x;
			}
			at[n] = place;
			back[place] = n;
		}
		places.set(key, { at, back });
	}
	return places.get(key);
}

/* ---- 2. Drawing ----------------------------------------------------------------------------- */

const SIDE_MAX = 256, ZOOM_MAX = 6;

function parseColour(text) {
	const digits = text.trim().replace("#", "");
	return [0, 2, 4].map((k) => parseInt(digits.substr(k, 2), 16));
}

class MapView {
	constructor(canvas, axis) {
		this.canvas = canvas;
		this.axis = axis;
		this.cells = document.createElement("canvas");
		this.groups = new Uint8Array(PAGES).fill(NOTHING);
		this.names = [];
		this.layout = "rows";
		this.zoom = 0;
		this.start = 0;
		this.selected = 0;
		this.only = -1;
	}

	get span() { return PAGES >> 2 * this.zoom; }
	get side() { return Math.min(SIDE_MAX, 1024 >> this.zoom); }
	get perCell() { return this.span / (this.side * this.side); }

	show(groups, names) {
		this.groups = groups;
		this.names = names;
		if (this.only >= names.length)
			this.only = -1;
		this.draw();
	}

	/* A cell is the mean of what its pages are, the paler the less of them there is. */
	paint(colours, paper) {
		const side = this.side, per = this.perCell, { at } = placesOf(this.layout, side);
		const image = new ImageData(side, side), pixel = image.data;
		for (let n = 0, page = this.start; n < side * side; n++) {
			let all = 0, red = 0, green = 0, blue = 0;
			for (let k = 0; k < per; k++, page++) {
				const group = this.groups[page];
				if (group === NOTHING || (this.only >= 0 && group !== this.only))
					continue;
				all++;
				red += colours[group][0];
				green += colours[group][1];
				blue += colours[group][2];
			}
			const share = all ? 0.5 + 0.5 * all / per : 0, to = at[n] * 4, mean = [red, green, blue];
			for (let c = 0; c < 3; c++)
				pixel[to + c] = all ? paper[c] + (mean[c] / all - paper[c]) * share : paper[c];
			pixel[to + 3] = 255;
		}
		this.cells.width = this.cells.height = side;
		this.cells.getContext("2d").putImageData(image, 0, 0);
	}

	draw() {
		const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
		const size = Math.max(1, Math.round(box.width * ratio)), style = getComputedStyle(document.documentElement);
		const colour = (name) => parseColour(style.getPropertyValue(name));
		this.paint(this.names.map(([key]) => colour("--g-" + key)), colour("--map"));
		if (this.canvas.width !== size)
			this.canvas.width = this.canvas.height = size;
		const draw = this.canvas.getContext("2d");
		draw.imageSmoothingEnabled = false;
		draw.drawImage(this.cells, 0, 0, size, size);
		this.drawLines(draw, size, style.getPropertyValue("--line"), ratio);
		this.drawMark(draw, size, style, ratio);
		this.drawAxis();
	}

	drawLines(draw, size, colour, ratio) {
		const parts = this.side <= 32 ? this.side : this.layout === "hilbert" ? 4 : 8;
		draw.strokeStyle = colour;
		draw.lineWidth = Math.max(1, Math.floor(ratio));
		draw.beginPath();
		for (let k = 1; k < parts; k++) {
			const at = Math.round(size * k / parts) + 0.5;
			draw.moveTo(0, at);
			draw.lineTo(size, at);
			if (this.layout === "hilbert" || this.side <= 32) {
				draw.moveTo(at, 0);
				draw.lineTo(at, size);
			}
		}
		draw.stroke();
	}

	drawMark(draw, size, style, ratio) {
		const cell = this.cellOf(this.selected);
		if (cell < 0)
			return;
		const [x, y] = this.placeOf(cell), step = size / this.side, grow = Math.max(0, (9 * ratio - step) / 2);
		/* At the edge it stays inside. */
		const wide = step + 2 * grow, inside = (at) => Math.min(size - wide - 1.5 * ratio, Math.max(1.5 * ratio, at * step - grow));
		for (const [width, colour] of [[3, "--paper"], [1.5, "--ink"]]) {
			draw.lineWidth = width * ratio;
			draw.strokeStyle = style.getPropertyValue(colour);
			draw.strokeRect(inside(x), inside(y), wide, wide);
		}
	}

	/* Addresses beside the rows; on the curve, of its sixteen parts, in them. */
	drawAxis() {
		const labels = [], parts = this.layout === "rows" ? 8 : 16;
		for (let k = 0; k < parts; k++) {
			const label = element("span", "", hex(this.start * 4096 + this.span * 4096 / parts * k));
			if (this.layout === "rows") {
				label.style.top = k * 100 / 8 + "%";
			} else {
				const [x, y] = hilbert(k, 4);
				label.style.top = y * 25 + "%";
				label.style.left = x * 25 + "%";
				label.hidden = this.isUnder(x / 4, y / 4);
			}
			labels.push(label);
		}
		this.axis.className = "axis " + this.layout;
		this.axis.replaceChildren(...labels);
	}

	/* Would a label there, a tenth of the map wide and a thirtieth high, hide what is selected? */
	isUnder(x, y) {
		const cell = this.cellOf(this.selected), [cx, cy] = cell < 0 ? [-1, -1] : this.placeOf(cell).map((at) => at / this.side);
		return cx >= x - 0.01 && cx < x + 0.11 && cy >= y - 0.01 && cy < y + 0.03;
	}

	/* ---- 3. Moving ---------------------------------------------------------------------- */

	cellOf(page) {
		const into = page - this.start;
		return into >= 0 && into < this.span ? Math.floor(into / this.perCell) : -1;
	}

	placeOf(cell) {
		const place = placesOf(this.layout, this.side).at[cell];
		return [place % this.side, Math.floor(place / this.side)];
	}

	/* The page that a place stands for: the first that has something. */
	pageAt(x, y) {
		const cell = placesOf(this.layout, this.side).back[y * this.side + x], first = this.start + cell * this.perCell;
		for (let page = first; page < first + this.perCell; page++)
			if (this.groups[page] !== NOTHING && (this.only < 0 || this.groups[page] === this.only))
				return page;
		return first;
	}

	pageUnder(event) {
		const box = this.canvas.getBoundingClientRect();
		const at = (value, size) => Math.min(this.side - 1, Math.max(0, Math.floor(value / size * this.side)));
		return this.pageAt(at(event.clientX - box.left, box.width), at(event.clientY - box.top, box.height));
	}

	/* The window of this zoom that has the selected page in it. */
	follow() {
		this.start = Math.floor(this.selected / this.span) * this.span;
	}

	/* The smallest window that has all there is in it, [first, last]; an empty space is shown whole. */
	fit() {
		const first = this.groups.findIndex((group) => group !== NOTHING), last = this.groups.findLastIndex((group) => group !== NOTHING);
		this.all = [first, last];
		let zoom = 0;
		while (first >= 0 && zoom < ZOOM_MAX - 1 && Math.floor(first / (PAGES >> 2 * (zoom + 1))) === Math.floor(last / (PAGES >> 2 * (zoom + 1))))
			zoom++;
		this.selected = Math.max(0, first);
		this.zoomTo(zoom);
	}

	/* Is there nothing outside this window? */
	hasAll() {
		return this.all && this.zoom > 0 && this.start <= this.all[0] && this.all[1] < this.start + this.span;
	}

	zoomTo(zoom) {
		this.zoom = Math.min(ZOOM_MAX, Math.max(0, zoom));
		this.follow();
	}

	select(page) {
		this.selected = Math.min(PAGES - 1, Math.max(0, page));
		if (this.cellOf(this.selected) < 0)
			this.follow();
	}

	move(dx, dy) {
		const cell = this.cellOf(this.selected);
		if (this.layout === "rows") {
			const to = this.start + (cell + dx + dy * this.side) * this.perCell;
			if (to >= 0 && to < PAGES)
				this.select(to);
			return;
		}
		const [x, y] = this.placeOf(cell);
		if (x + dx >= 0 && x + dx < this.side && y + dy >= 0 && y + dy < this.side)
			this.selected = this.start + placesOf(this.layout, this.side).back[(y + dy) * this.side + x + dx] * this.perCell;
	}

	/* To the next or previous page where another group begins. */
	leap(step) {
		const groups = this.groups;
		let page = this.selected;
		if (step < 0)
			while (page > 0 && groups[page - 1] === groups[page])
				page--; /* to where this one begins */
		const from = groups[page];
		do
			page += step;
		while (page > 0 && page < PAGES - 1 && (groups[page] === NOTHING || groups[page] === from && step > 0 && groups[page - 1] === from));
		if (page < 0 || page >= PAGES || groups[page] === NOTHING)
			return;
		while (step < 0 && page > 0 && groups[page - 1] === groups[page])
			page--;
		this.select(page);
	}
}
