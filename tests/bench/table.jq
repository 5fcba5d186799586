# SPDX-License-Identifier: BSD-2-Clause
#
# table.jq - the results of `rpc`, one object a run, as a table for people.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def left($w): tostring | . + " " * ([$w - length, 0] | max);
def right($w): tostring | " " * ([$w - length, 0] | max) + .;
def whole: round | tostring;
def tenths: (. * 10 | round) as $t | "\($t / 10 | floor).\($t % 10)";
def hundredths: (. * 100 | round) as $h
	| "\($h / 100 | floor).\($h % 100 | tostring | if length < 2 then "0" + . else . end)";

# the median of one figure of one kind of run, or null when there was none
def figure($runs; $mode; f): [$runs[] | select(.mode == $mode) | f]
	| if length > 0 then median else null end;
def ratio($a; $b): if $a == null or $b == null or $b == 0 then "-"
	else ($a / $b | hundredths) end;
def show(f): if . == null then "-" else f end;

def rpc_cells($runs; $mode):
	(figure($runs; $mode; .rps) | show(whole) | right(10)),
	(figure($runs; $mode; .avg_us) | show(tenths) | right(8)),
	(figure($runs; $mode; .p50_us) | show(tenths) | right(8)),
	(figure($runs; $mode; .p99_us) | show(tenths) | right(8)),
	(figure($runs; $mode; .p99_99_us) | show(tenths) | right(8));

def rpc_row: . as $runs
	| [ (.[0].conns | right(5)), " |", rpc_cells($runs; "linux"), " |",
	    rpc_cells($runs; "taspilot"), " |",
	    (ratio(figure($runs; "taspilot"; .rps); figure($runs; "linux"; .rps)) | right(6)),
	    (ratio(figure($runs; "taspilot"; .avg_us); figure($runs; "linux"; .avg_us)) | right(7)),
	    (ratio(figure($runs; "taspilot"; .p99_99_us); figure($runs; "linux"; .p99_99_us))
	     | right(7)) ]
	| join("");

def head: ["requests/s", "avg", "p50", "p99", "p99.99"]
	| (.[0] | right(10)) + (.[1:] | map(right(8)) | join(""));

def line($name; $runs; f; g): [ ($name | left(34)),
	(figure($runs; "linux"; f) | show(g) | right(9)),
	(figure($runs; "taspilot"; f) | show(g) | right(10)),
	(ratio(figure($runs; "taspilot"; f); figure($runs; "linux"; f)) | right(8)) ] | join("");

def of($kind): map(select(.kind == $kind));

(of("rpc") | if length > 0 then
	"conns |" + ("Linux" | right(42)) + " |" + ("taspilot" | right(42)) + " |  taspilot/Linux",
	"      |" + head + " |" + head + " |  rps    avg p99.99",
	(group_by(.conns)[] | rpc_row),
	""
else empty end),
(if of("setup_time") | length > 0 then
	("" | left(34)) + "    Linux  taspilot   ratio",
	line("set-up, median us"; of("setup_time"); .setup.p50_us; tenths),
	line("set-up, p99 us"; of("setup_time"); .setup.p99_us; tenths),
	line("connect+close per second"; of("connect_close"); .per_s; whole),
	line("connect+echo+close per second"; of("connect_echo_close"); .per_s; whole),
	""
else empty end),
(map(select((.lost // 0) + (.wrong // 0) + (.broken // 0) + (.starved // 0) + (.failed // 0) > 0))
	| if length > 0 then "BROKEN: " + (map("\(.mode) \(.kind)\(if .conns then " \(.conns)" else "" end)") | unique | join(", "))
	else "no request and no connection was lost" end)
