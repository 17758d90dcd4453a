# Upload. Request lines: PATH, DIGEST, MODE, OWNER, bytes needed at the target, known STAMP of that digest,
# the stream's form (gzip or plain), owners (yes or no), a word for the temporary file's name, end. The stream follows: at once, or, after "wait" in
# the place of the end, when "progress send" has been answered. Answers "same STAMP", or "done STAMP".
# The header is read line by line, and read takes no more than a line: what follows is the stream.
next() { IFS= read -r "$1" || die 'the request was cut short'; }
for v in path digest fmode owner need known form owners tag last; do next $v; done
case $last in
end | wait) ;;
*) die 'the request was cut short' ;;
esac
trust "$path"
if [ -d "$path" ] && [ ! -L "$path" ]; then die "$path is a folder"; fi
if [ -f "$path" ] && [ ! -L "$path" ]; then
  out=$(stat_n "$ident" "$path") || die "$out"
  same=''
  if [ "${out%%$tab*}" = "$known" ]; then
    same=yes
  else
    sum=$(sha "$path") || die "$sum"
    [ "${sum%% *}" != "$digest" ] || same=yes
  fi
  if [ -n "$same" ]; then
    line=$(stat_n "$owned" "$path") || die "$line"
    line=${line#$tab*$tab} # type mode named numbered
    line=${line#*$tab}
    if [ "${line%%$tab*}" != "$fmode" ]; then
      out=$(chmod "$fmode" "$path" 2>&1) || die "$out"
      echo changed
    fi
    if [ "$owners" = yes ]; then
      wanted_owner "$owner"
      line=${line#*$tab}
      if [ "${line%%$tab*}" != "$want" ] && [ "${line#*$tab}" != "$want" ]; then
        out=$(chown "$want" "$path" 2>&1) || die "$out"
        echo changed
      fi
    fi
    out=$(stat_n "$ident" "$path") || die "$out"
    printf 'same\t%s\nend\n' "${out%%$tab*}"
    exit 0
  fi
fi
[ "$form" != gzip ] || command -v gzip >/dev/null || die 'gzip is not installed'
free_bytes "$path"
[ "$free" -ge "$need" ] || die "no space left for $path: its file system has $free bytes free, $need are needed"

set -C # the temporary file must be new
dir=${path%/*}
temp=''
clean() { [ -z "$temp" ] || rm -f "$temp"; }
trap clean EXIT
trap 'exit 1' HUP INT TERM PIPE
if [ ! -d "${dir:-/}" ]; then
  out=$(umask 022; mkdir -p "$dir" 2>&1) || die "$out"
fi
set +f
for old in "$dir/.${path##*/}.quorate-"*; do [ ! -e "$old" ] || rm -f "$old"; done
set -f
temp=$dir/.${path##*/}.quorate-$tag
[ "$last" = end ] || printf 'progress\tsend\n'
unpack() { if [ "$form" = gzip ]; then gzip -dc; else cat; fi; }
if ! out=$( (unpack >"$temp") 2>&1); then
  rm -f "$temp"
  free_bytes "$dir"
  die "cannot unpack beside $path ($free bytes free there): $out"
fi
sum=$(sha "$temp") || die "$sum"
[ "${sum%% *}" = "$digest" ] || die "what arrived for $path has digest ${sum%% *}, not $digest"
if [ "$owners" = yes ] && [ "$owner" != - ]; then
  wanted_owner "$owner"
  out=$(chown "$want" "$temp" 2>&1) || die "$out"
fi
out=$(chmod "$fmode" "$temp" 2>&1) || die "$out"
flush "$temp"
[ ! -d "$path" ] || [ -L "$path" ] || die "$path is a folder"
out=$(mv -f "$temp" "$path" 2>&1) || die "$out"
flush "${dir:-/}"
out=$(stat_n "$ident" "$path") || die "$out"
printf 'done\t%s\nend\n' "${out%%$tab*}"
