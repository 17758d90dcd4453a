# Move within one file system. Request lines: FROM, TO, end.
set -- $(cat)
whole "$@"
from=$1 to=$2
trust "$from" "$to"
[ -e "$from" ] || [ -L "$from" ] || die "$from is not there"
if [ -e "$to" ] || [ -L "$to" ]; then die "$to is there already"; fi
dir=${to%/*}
[ -d "${dir:-/}" ] || die "the folder $dir is not there"
a=$(stat_n "$device" "$from") || die "$a"
b=$(stat_l "$device" "${dir:-/}") || die "$b"
[ "$a" = "$b" ] || die "$from and $dir are on different file systems; nothing was moved, since copying could not be undone by halves"
out=$(mv "$from" "$to" 2>&1) || die "$out"
old=${from%/*}
flush "${dir:-/}" "${old:-/}"
echo end
