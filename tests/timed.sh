#!/bin/sh
# Adds the seconds that a part of `make test` takes to the file $TIMES: timed.sh PART COMMAND ...
# Without arguments it prints them, longest first, and what failed. Parts run at the same time.
if [ $# = 0 ]; then
  [ -s "$TIMES" ] || exit 0
  echo
  sort "$TIMES" | awk '{ sum[$1] += $2 } END { for (part in sum) print sum[part], part }' | sort -rn |
    awk '{ line = line sprintf("%s%s %d s", NR > 1 ? ", " : "", $2, $1) } END { print "Parts: " line }'
  awk '$3 { print "Failed: " $1 }' "$TIMES" | sort -u
  exit
fi
part=$1
shift
begun=$(date +%s)
"$@"
status=$?
[ -z "$TIMES" ] || echo "$part $(($(date +%s) - begun)) $status" >>"$TIMES"
exit $status
