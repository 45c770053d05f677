/* SPDX-License-Identifier: MIT */
/*
 * scope/page/report.js - what -check found: each place with who used it, who had changed it, what comes of it.
 *
 *   1. Words     what is known is a sentence, the rest a list
 *   2. Drawing
 */

/* ---- 1. Words ------------------------------------------------------------------------------- */

const IS_NUMBER = ["count", "instruction", "ring", "met"];

function codeAt(place) {
	return element("code", "", (place.exact === false ? "~" : "") + hex(place.eip) + (place.symbol ? " " + place.symbol : ""));
}

function valueOf(name, value) {
	if (typeof value === "boolean")
		return yes(value);
	return typeof value === "number" && !IS_NUMBER.includes(name) ? hex(name === "frame" ? value * 4096 : value) : String(value);
}

/* Objects in objects as "now pte", "held frame", ... */
function details(object, prefix, into) {
	for (const [name, value] of Object.entries(object)) {
		const words = prefix + name.replaceAll("_", " ");
		if (["check", "title", "outcome", "text", "access", "linear", "eip", "symbol", "exact"].includes(name) || value === null)
			continue;
		if (Array.isArray(value) && !value.length)
			continue;
		if (typeof value === "object" && !Array.isArray(value)) {
			details(value, words + " ", into);
			continue;
		}
		const shown = Array.isArray(value) ? value.map((v) => typeof v === "object" ? codeAt(v).textContent : valueOf(name, v)).join(", ") : valueOf(name, value);
		into.append(element("dt", "", words), element("dd", "", shown));
	}
	return into;
}

/* ---- 2. Drawing ----------------------------------------------------------------------------- */

function drawReport(report, onAddress) {
	const e = element("article", "report", element("h3", "", report.title || report.check || "report"));
	if (report.at && report.at.eip !== undefined) {
		const line = element("p", "", report.access ? report.access + " of " : "at ");
		if (report.linear !== undefined) {
			const button = element("button", "link", hex(report.linear));
			button.type = "button";
			button.setAttribute("aria-label", "Go to " + hex(report.linear));
			button.addEventListener("click", () => onAddress(report.linear));
			line.append(button, " by ");
		}
		line.append(codeAt(report.at));
		e.append(line);
	}
	if (report.writer && report.writer.eip !== undefined) {
		const apart = report.at && report.at.instruction - report.writer.instruction;
		e.append(element("p", "", "changed by ", codeAt(report.writer), apart >= 0 ? ", " + count(apart) + " instructions before" : ""));
	}
	if (report.text)
		e.append(element("pre", "", report.text));
	if (report.outcome)
		e.append(element("p", "note", report.outcome));
	const more = element("details", "", element("summary", "", "everything"), details(report, "", element("dl")));
	e.append(more);
	return e;
}

function drawReports(checks, onAddress) {
	if (!checks)
		return;
	document.getElementById("checks").hidden = false;
	const reports = checks.reports || [], into = document.getElementById("reports");
	into.replaceChildren(...reports.map((report) => drawReport(report, onAddress)));
	if (!reports.length)
		into.replaceChildren(element("p", "facts", "Nothing: " + (checks.checks || []).join(", ") + " found no fault."));
}
