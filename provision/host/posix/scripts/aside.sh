# Aside: moves what is in a folder into DIR/.aside/NAME, lost+found excepted.
# Request lines: DIR, NAME, if not all is meant "only" and "n ENTRY" for each, end.
# Answers "moved NAME" and "aside PATH".
# Renames within one folder's file system only, so it works where the folder is
# a mount point, and what a cut run left is moved by the next one.
set -- $(cat)
whole "$@"
dir=$1 to=$1/.aside/$2 only=''
shift 2
[ "$1" != only ] || only=$nl"$*"$nl
[ -d "$dir" ] || { echo end; exit; }
trust "$dir"
[ -r "$dir" ] && [ -x "$dir" ] || die "$dir: Permission denied"
set +f
set -- "$dir"/* "$dir"/.[!.]* "$dir"/..?*
set -f
list=''
for x do
  [ -e "$x" ] || [ -L "$x" ] || continue
  case ${x##*/} in
  lost+found | .aside) continue ;;
  esac
  case $only in '' | *"${nl}n$tab${x##*/}$nl"*) ;; *) continue ;; esac
  case ${x##*/} in
  *.wal)
    # etcd's wal.renameWAL empties this folder whenever it makes a new log.
    die "$dir holds the files of a write-ahead log itself, and etcd deletes all there is in such a folder when it makes a new log; move the folder above it aside" ;;
  *"$nl"*) die "$dir has an entry with a line break in its name" ;;
  esac
  if [ -e "$to/${x##*/}" ] || [ -L "$to/${x##*/}" ]; then die "$to/${x##*/} is there already"; fi
  list=$list$x$nl
done
if [ -n "$list" ]; then
  here=$(stat_l "$owned" "$dir") || die "$here"
  owner=${here##*$tab}
  here=$(stat_l "$device" "$dir") || die "$here"
  out=$(stat_n "$device" $list) || die "$out"
  set -- $list
  for d in $out; do
    [ "$d" = "$here" ] || die "$1 is a mount point, and cannot be moved; nothing was moved"
    shift
  done
  # While root works in it, the folder is root's: whose it is could put a link in the place of what is made here.
  own=''
  back() { [ -z "$own" ] || chown -h "$owner" $own; }
  if [ -O / ]; then
    trap back EXIT
    trap 'exit 1' HUP INT TERM PIPE
    own=$dir
    out=$(chown 0:0 "$dir" 2>&1) || die "$out"
  fi
  for x in "$dir/.aside" "$to"; do
    if [ -L "$x" ] || { [ -e "$x" ] && [ ! -d "$x" ]; }; then die "$x is no folder"; fi
    [ -z "$own" ] || own=$own$nl$x
    [ ! -d "$x" ] || [ -z "$own" ] || chown -h 0:0 "$x" || die "cannot take $x"
    [ -d "$x" ] || out=$(mkdir "$x" 2>&1) || die "$out"
  done
  there=$(stat_l "$device" "$to") || die "$there"
  [ "$there" = "$here" ] || die "$to is on another file system than $dir; nothing was moved"
  out=$(mv -- $list "$to/" 2>&1) || die "$out"
  flush "$to" "$dir/.aside" "$dir"
  for x in $list; do printf 'moved\t%s\n' "${x##*/}"; done
fi
[ ! -d "$to" ] || printf 'aside\t%s\n' "$to"
echo end
