#!/bin/sh
# SPDX-License-Identifier: MIT
# html.sh - the page to look at, in Chromium without a network: of a running guest, of a dump, of a trace, and of spaces that
# are full, random, recursive and empty.  The page tests itself (page.html#test, scope/page/test.js): by keyboard and mouse,
# in both themes, at two sizes of the window; nothing is loaded and nothing is said on the console.
. tests/lib/tap.sh
umbra=$build/umbra
hello=$build/guests/hello
[ -e "$hello" ] || skip_all "no 32-bit guests were built here"

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip_all "no Chromium here"
look() { # look WIDTH HEIGHT URL ARGUMENTS...
	width=$1 height=$2 url=$3
	shift 3
	timeout 100 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
		--disable-background-networking --disable-component-update --host-resolver-rules='MAP * ~NOTFOUND' \
		--user-data-dir="$tmp/browser" --window-size="$width,$height" --virtual-time-budget=8000 --enable-logging=stderr \
		"$@" "$url" 2>"$tmp/said"
}
echo '<!DOCTYPE html><p id=p><script>document.getElementById("p").textContent = 6 * 7</script>' >"$tmp/try.html"
look 800 600 "file://$tmp/try.html" --dump-dom >"$tmp/dom"
grep -q '<p id="p">42' "$tmp/dom" || skip_all "$browser does not run here"

tested() { # tested FILE [WIDTH HEIGHT]: each of the page's own checks holds
	look "${2-1280}" "${3-800}" "file://$1#test" --dump-dom >"$tmp/dom"
	sed -n '/<pre id="test"/,/<\/pre>/p' "$tmp/dom" >"$tmp/results"
	grep '^not ok' "$tmp/results" && return 1
	planned=$(sed -n 's/.*<pre id="test"[^>]*>1\.\.\([0-9]*\).*/\1/p' "$tmp/results")
	[ -n "$planned" ] && [ "$planned" -ge "${4-30}" ] && [ "$(grep -c '^ok' "$tmp/results")" = "$planned" ] &&
		! grep CONSOLE "$tmp/said" || { tail -n 5 "$tmp/results"; grep CONSOLE "$tmp/said"; return 1; }
}
holds() { grep -q "^ok [0-9]* - .*$1" "$tmp/results" || { echo "'$1' was not looked at"; return 1; }; }

live() { # a running guest, traced while processes come and go
	"$umbra" run -m 64 -kernel "$hello" -serial null -monitor none -qmp unix:"$tmp/q" -S </dev/null >"$tmp/guest" 2>&1 &
	guest=$!
	for i in $(seq 1 100); do
		timeout 20 "$umbra" trace "$tmp/q" start >/dev/null 2>&1 && break
		sleep 0.1
	done
	timeout 20 "$umbra" monitor "$tmp/q" cont >/dev/null && sleep 1 && timeout 20 "$umbra" pt "$tmp/q" --html "$tmp/live.html" &&
		timeout 20 "$umbra" monitor "$tmp/q" dump-guest-memory "$tmp/dump" && timeout 20 "$umbra" trace "$tmp/q" -jsonl "$tmp/t.jsonl"
	status=$?
	timeout 20 "$umbra" monitor "$tmp/q" quit >/dev/null 2>&1
	wait $guest
	[ $status = 0 ] && [ -s "$tmp/live.html" ] && [ -s "$tmp/t.jsonl" ] || { cat "$tmp/guest"; return 1; }
}
made() { "$build/tests/unit/scope_html" page "$1" "$tmp/$1.html"; }
picture() { # picture FILE: it draws something
	look 1280 800 "file://$1#layout=hilbert&theme=dark" --screenshot="$tmp/page.png" >/dev/null
	[ "$(wc -c <"$tmp/page.png")" -gt 20000 ] && [ "$(head -c 4 "$tmp/page.png" | tail -c 3)" = PNG ]
}

plan 15
check "a running guest's page" live
check "... tests itself" tested "$tmp/live.html" 1280 800 55
check "... keyboard" eval 'holds "End goes to the last page" && holds "Enter zooms in" && holds "n goes to where something is"'
check "... explanation" eval 'holds "a present page is explained" && holds "with six accesses" && holds "own walk agrees"'
check "... slider" eval 'holds "the slider goes to the first event" && holds "the filter filters"'
check "... both themes" eval 'holds "light: --ink on --paper" && holds "dark: --ink on --paper" && holds "light and dark differ"'
check "... no network" holds "nothing was loaded"
check "... on a small screen" tested "$tmp/live.html" 500 800 55
check "... is a picture" picture "$tmp/live.html"
check "a dump's page" eval 'timeout 20 "$umbra" pt "$tmp/dump" --html "$tmp/dump.html" && tested "$tmp/dump.html"'
check "a trace's page" eval 'timeout 20 "$umbra" trace "$tmp/t.jsonl" -html "$tmp/trace.html" && tested "$tmp/trace.html"'
for kind in full random recursive empty; do
	check "a space that is $kind" eval "made $kind && tested \"\$tmp/$kind.html\""
done
