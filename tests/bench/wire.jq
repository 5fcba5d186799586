# SPDX-License-Identifier: BSD-2-Clause
#
# wire.jq - the results of `wire`, one object a transfer, as a table for people.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
	else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def left($w): tostring | . + " " * ([$w - length, 0] | max);
def right($w): tostring | " " * ([$w - length, 0] | max) + .;
def fixed($digits): pow(10; $digits) as $k | (. * $k | round) as $n
	| "\($n / $k | floor).\($n % $k | tostring | "0" * ($digits - length) + .)";

# the median goodput of one mode, or null when it did not run
def goodput($mode): [.[] | select(.mode == $mode) | .mbps // 0]
	| if length > 0 then median else null end;
def show(f): if . == null then "-" else f end;

def row: goodput("linux") as $l | goodput("taspilot") as $t | .[0] |
	[ (.cc | left(8)), (.rate | left(6)), ("\(.rtt) ms" | right(7)), "  ", (.harm | left(18)),
	  (.role | left(10)), ($l | show(fixed(1)) | right(9)), ($t | show(fixed(1)) | right(11)),
	  (if $l == null or $t == null or $l == 0 then "-" else $t / $l | fixed(2) end | right(8)) ]
	| join("");

"cc      rate      rtt  harm              server       Linux   taspilot   ratio",
(group_by([.cc, .rate, .rtt, .harm, .role])[] | row),
"",
(map(select(.mode == "taspilot") | .fast) | if length > 0 then
	"taspilot: \(min * 100 | fixed(1))% of the segments received were fast in the worst transfer"
else empty end),
(map(select(.broken)) | if length == 0 then "every transfer arrived whole"
	else "BROKEN: " + (map("\(.mode) \(.rate) \(.rtt) ms \(.harm) \(.role)") | unique | join(", ")) end)
