# Lock: $1 file, $2 seconds to wait, $3 the holder as one line of JSON without "from",
# $4 where from if this host cannot tell, $5 a request for a look or nothing, $6 the line after its answer.
# Prints "held" and the holder's line, or "locked" once nothing of an earlier run is
# under way, and what the look said; then holds the lock until
# standard input ends, or stays silent for 45 seconds (the other side says
# something every 10): a lost operator does not keep the lock.
path=$1 wait=$2 holder=$3
command -v flock >/dev/null || die 'flock is not installed (util-linux)'
dir=${path%/*}
if [ ! -d "${dir:-/}" ]; then
  out=$(mkdir -p "$dir" 2>&1) || die "$out"
fi
trust "$path"
if [ -e "$path" ] || [ -L "$path" ]; then
  if [ -L "$path" ] || [ ! -f "$path" ] || [ ! -O "$path" ]; then die "$path is no lock file of ours: look at who made it, and remove it"; fi
fi
(: >>"$path") 2>/dev/null || die "cannot open $path"
exec 9>>"$path"
if ! flock -n 9; then
  deadline=$(($(date +%s) + wait))
  until [ "$wait" -gt 0 ] && flock -n 9; do
    if [ "$wait" -eq 0 ] || [ "$(date +%s)" -ge "$deadline" ]; then
      printf 'held\t'
      cat "$path"
      printf '\nend\n'
      exit 0
    fi
    sleep 0.1
  done
fi
from=${SSH_CONNECTION%% *}
from=${from:-$4}
printf '{"from":"%s",%s\n' "$from" "${holder#?}" >"$path" || die "cannot write $path"
# Nobody else's run can begin anything now; what one that died has begun (guard.sh) is waited for.
exec 8>>"$path.work"
tries=0
until flock -n 8; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || die 'what an earlier run began there is still under way; run again in a moment'
  sleep 0.1
done
exec 8>&-
printf 'locked\nend\n'
if [ -n "${5-}" ]; then
  printf '%s\n' "$5" | look
  printf '\n%s\n' "$6"
fi
if command -v timeout >/dev/null; then
  while x=$(timeout 45 head -n 1 9>&-) && [ -n "$x" ]; do :; done
else
  cat >/dev/null 9>&-
fi
