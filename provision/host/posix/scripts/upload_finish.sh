# After an upload was staged: unpack beside the target, check, put in place.
# Request lines: PATH, DIGEST, MODE, OWNER, staged file, its form
# (gzip or plain), owners (yes or no), end.
set -- $(cat)
whole "$@"
set -C # the temporary file must be new
path=$1 digest=$2 fmode=$3 owner=$4 staged=$5 form=$6 owners=$7
dir=${path%/*}
temp=''
clean() {
  rm -f "$staged"
  [ -z "$temp" ] || rm -f "$temp"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM PIPE
trust "$path"
if [ ! -d "${dir:-/}" ]; then
  out=$(umask 022; mkdir -p "$dir" 2>&1) || die "$out"
fi
set +f
for old in "$dir/.${path##*/}.quorate-"*; do [ ! -e "$old" ] || rm -f "$old"; done
set -f
temp=$dir/.${path##*/}.quorate-$$
unpack() { if [ "$form" = gzip ]; then gzip -dc; else cat; fi; }
if ! out=$( (unpack <"$staged" >"$temp") 2>&1); then
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
