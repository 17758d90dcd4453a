# Move: one tree to another name, maybe on another file system. Request lines:
#   FOLDER and NAME that it has, FOLDER and NAME that it is to have, KEEP, "try" or "do", end.
# A NAME has one element or two. Answers "progress BYTES TOTAL" now and then, and at last "there" (nothing was
# left to do), "renamed" or "copied", and "aside PATH" of what a copy was made from.
# Never are both names there. A copy is made under a name of its own beside the new one; once it is durable and was
# compared it gets a second one, then what it was made from goes aside, then the copy has its name. So the same
# request finishes what a cut has left, and where the old name is gone, what has the second one is whole.
set -- $(cat)
whole "$@"
# A folder may be a link: what counts is where it leads.
real() {
  trust "$1"
  folder=$1
  [ ! -L "$1" ] || folder=$(readlink -f -- "$1") || die "$1 is a link that leads nowhere"
  [ "$folder" = "$1" ] || trust "$folder"
}
real "$1"
fd=$folder
real "$3"
td=$folder
from=$fd/$2 to=$td/$4 keep=$5 how=$6
fromup=${from%/*} toup=${to%/*}
copy=$toup/.${to##*/}.quorate-copy
copied=$toup/.${to##*/}.quorate-copied

exists() { [ -e "$1" ] || [ -L "$1" ]; }
plain() { [ -d "$1" ] && [ ! -L "$1" ]; }

own='' ticker=''
back() {
  [ -z "$ticker" ] || kill "$ticker" 2>/dev/null
  for x in $own; do chown -h "${x%%$tab*}" "${x#*$tab}"; done
}
trap back EXIT
trap 'exit 1' HUP INT TERM PIPE
# take has a folder be root's while root works in it: whose it is could put a link in the place of what is made there.
take() {
  [ -O / ] && plain "$1" || return 0
  case $nl$own in *"$tab$1$nl"*) return 0 ;; esac
  line=$(stat_n "$owned" "$1") || die "$line"
  own=${line##*$tab}$tab$1$nl$own
  out=$(chown -h 0:0 "$1" 2>&1) || die "$out"
}

# tree lists what is below $1: files and folders, as paths from there. What is neither cannot be moved by a
# copy, nor what is on a file system of its own at all.
tree() {
  files='' folders=.$nl left=.$nl
  while [ -n "$left" ]; do
    d=${left%%$nl*} left=${left#*$nl}
    set +f
    set -- "$1" "$1/$d"/* "$1/$d"/.[!.]* "$1/$d"/..?*
    set -f
    top=$1
    shift
    for x do
      exists "$x" || continue
      case $x in *"$nl"*) die "$top has an entry with a line break in its name" ;; esac
      if plain "$x"; then
        left=$left$d/${x##*/}$nl folders=$folders$d/${x##*/}$nl
      elif [ -f "$x" ] && [ ! -L "$x" ]; then
        files=$files$d/${x##*/}$nl
      else
        die "$x is neither a file nor a folder; put what it leads to in its place"
      fi
    done
    set -- "$top"
  done
  here=$(stat_l "$device" "$fd") || die "$here"
  for d in $(cd "$1" && stat_n "$device" $folders); do
    [ "$d" = "$here" ] || die "$1, or something in it, is a mount point, and cannot be moved; nothing was moved"
  done
}

# same tells whether what is in $1 and $2 has the same bytes, modes and owners.
same() {
  a=$(cd "$1" && stat_n "$rights" $files $folders && { [ -z "$files" ] || sha $files; }) || die "$a"
  b=$(cd "$2" && stat_n "$rights" $files $folders && { [ -z "$files" ] || sha $files; }) || die "$b"
  [ "$a" = "$b" ]
}

# room sets size to the bytes that $1 takes on its file system.
room() {
  out=$(du -sk "$1" 2>&1) || die "$out"
  size=$((${out%%[!0-9]*} * 1024))
}

finish() {
  out=$(mv -- "$copied" "$to" 2>&1) || die "$out"
  flush "$toup"
}

# leave removes the folder below .aside that the tree has left, if nothing else is in it.
leave() {
  case $from in
  "$fd"/.aside/*/*) ;;
  *) return 0 ;;
  esac
  if [ "$how" = do ] && plain "$fd/.aside" && rmdir "$fromup" 2>/dev/null; then flush "$fd/.aside"; fi
}

if [ "$how" = do ]; then
  take "$fd"
  take "$td"
fi
if ! exists "$from"; then
  if exists "$to"; then
    [ "$how" = try ] || flush "$toup" $([ ! -d "$fromup" ] || printf %s "$fromup") # a cut may have come before this
    echo there
  elif exists "$copied"; then
    [ "$how" = try ] || finish
    echo copied
  else
    die "neither $from nor $to is there"
  fi
  leave
  echo end
  exit
fi
exists "$to" && die "$from and $to are both there, and which of them is the member's is not known here"
plain "$from" || die "$from is no folder"
[ -w "$fromup" ] || die "$fromup cannot be written to"
if ! plain "$toup"; then
  [ "$how" = try ] || die "$toup is not there"
elif [ ! -w "$toup" ]; then
  die "$toup cannot be written to"
fi
tree "$from"
nearest "$toup"
there=$(stat_l "$device" "$near") || die "$there"
# The numbers of bind mounts of one file system are the same, and nothing can be renamed from one to the other.
# What can be renamed can be linked.
rename=''
if [ "$there" = "$here" ]; then
  rename=yes
  if [ "$how" = do ]; then
    rm -f "$fromup/.quorate-link" "$toup/.quorate-link.to"
    (set -C; true >"$fromup/.quorate-link") || die "$fromup cannot be written to"
    ln "$fromup/.quorate-link" "$toup/.quorate-link.to" 2>/dev/null || rename=''
    rm -f "$fromup/.quorate-link" "$toup/.quorate-link.to"
  fi
fi
if [ "$how" = do ]; then rm -rf "$copy" "$copied"; fi # of a request that was cut before
if [ -n "$rename" ]; then
  if [ "$how" = do ]; then
    out=$(mv -- "$from" "$to" 2>&1) || die "$out"
    flush "$toup" "$fromup"
    leave
  fi
  echo renamed
  echo end
  exit
fi
room "$from"
total=$size
free_bytes "$toup"
[ "$free" -ge $((total + 1048576)) ] || die "$toup has $((free / 1048576)) MiB free, a copy of $from needs $((total / 1048576 + 1)) MiB"
if [ "$how" = try ]; then
  echo copied
  echo end
  exit
fi
(
  exec 8>&- # the lock is not this one's to keep
  while sleep 1 </dev/null >/dev/null 2>&1; do
    out=$(du -sk "$copy" 2>/dev/null) || continue
    printf 'progress\t%s\t%s\n' $((${out%%[!0-9]*} * 1024)) "$total" || exit 0
  done
) &
ticker=$!
out=$(cp -pPR -- "$from" "$copy" 2>&1) || { rm -rf "$copy"; die "$out"; }
(cd "$copy" && { [ -z "$files" ] || flush $files; } && flush $folders) || die "cannot make $copy durable"
same "$from" "$copy" || { rm -rf "$copy"; die "what was copied of $from is not what is there: something else writes to it, or a disk is bad"; }
kill "$ticker" 2>/dev/null
ticker=''
out=$(mv -- "$copy" "$copied" 2>&1) || die "$out"
flush "$toup"
aside=$fd/.aside/$keep
for x in "$fd/.aside" "$aside"; do
  if exists "$x" && ! plain "$x"; then die "$x is no folder"; fi
  if plain "$x"; then
    take "$x"
  else
    out=$(mkdir "$x" 2>&1) || die "$out"
    case $own in *"$tab$fd$nl"*) o=${own%"$tab$fd$nl"*} own=${o##*$nl}$tab$x$nl$own ;; esac
  fi
done
there=$(stat_l "$device" "$aside") || die "$there"
[ "$there" = "$here" ] || die "$aside is on another file system than $fd"
if exists "$aside/${from##*/}"; then die "$aside/${from##*/} is there already"; fi
out=$(mv -- "$from" "$aside/" 2>&1) || die "$out"
flush "$aside" "$fd/.aside" "$fd" "$fromup"
finish
leave
printf 'aside\t%s\n' "$aside/${from##*/}"
echo copied
echo end
