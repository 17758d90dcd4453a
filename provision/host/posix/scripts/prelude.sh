# Goes before every script of this folder. POSIX sh: dash, bash, busybox ash.
# A request comes as lines on standard input, the last one "end"; the answer
# goes as lines, the last one "end", to standard output. Paths hold no control
# characters and no backslash (the Go side sees to it), so TAB separates fields.
LC_ALL=C TZ=UTC0 QUOTING_STYLE=literal
export LC_ALL TZ QUOTING_STYLE
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
set -f
nl='
'
tab='	'
IFS=$nl

# die gives up; its text may have several lines.
die() {
  for l in $*; do printf 'fail\t%s\n' "$l"; done
  echo end
  exit 0
}

# whole checks that a request arrived whole: a connection that dies while
# the request travels looks like the end of input here.
whole() {
  for last do :; done
  [ "${last-}" = end ] || die 'the request was cut short'
}

os=$(uname -snm)
nodename=${os#* } machine=${os##* }
nodename=${nodename% *} os=${os%% *}

if command -v sha256sum >/dev/null; then
  sha() { sha256sum -- "$@" 2>&1; }
else
  sha() { shasum -a 256 -- "$@" 2>&1; }
fi

# The stamp is device:inode:size:mtime:ctime.
case $os in
Darwin)
  stamp='%d:%i:%z:%Fm:%Fc'
  stat_n() { f=$1; shift; stat -n -f "$f$nl" -- "$@" 2>&1; }
  stat_l() { f=$1; shift; stat -L -n -f "$f$nl" -- "$@" 2>&1; }
  full="%Xp$tab%u$tab%g$tab%Su$tab%Sg$tab%z$tab$stamp$tab%N"
  owned="$tab%N$tab%Xp$tab%Lp$tab%Su:%Sg$tab%u:%g"
  rights="$tab%u$tab%g$tab%Xp$tab%N"
  ident="$stamp$tab%N"
  device=%d
  unbase64() { base64 -D; }
  ;;
*)
  stamp='%d:%i:%s:%y:%z'
  stat_n() { f=$1; shift; stat -c "$f" -- "$@" 2>&1; }
  stat_l() { f=$1; shift; stat -L -c "$f" -- "$@" 2>&1; }
  full="%f$tab%u$tab%g$tab%U$tab%G$tab%s$tab$stamp$tab%n"
  owned="$tab%n$tab%f$tab%a$tab%U:%G$tab%u:%g"
  rights="$tab%u$tab%g$tab%f$tab%n"
  ident="$stamp$tab%n"
  device=%d
  unbase64() { base64 -d; }
  [ "$os" = Linux ] || stat -c %n / >/dev/null 2>&1 || die "it runs $os; hosts have to run Linux"
  ;;
esac

# nearest sets near to the closest existing parent of $1, or $1 itself.
nearest() {
  near=$1
  while [ -n "$near" ] && [ ! -e "$near" ] && [ ! -L "$near" ]; do near=${near%/*}; done
  near=${near:-/}
}

# available sets free to the bytes that a line of df -Pk calls available: the
# field before the last percentage; names may hold spaces on either side.
available() {
  line=${1%\%*}
  line=${line% *}
  while case $line in *' ') ;; *) false ;; esac; do line=${line% }; done
  free=$((${line##* } * 1024))
}

# free_bytes sets free to the bytes available where $1 is or would be.
free_bytes() {
  nearest "$1"
  line=$(df -Pk "$near" 2>&1) || die "$line"
  available "${line##*$nl}"
}

# flush makes files and folders durable. coreutils' sync takes names since
# 8.24; any other sync is the whole machine's.
flush() { sync "$@" 2>/dev/null || sync; }

# wanted_owner sets want to user:group as chown "$1" would leave it.
wanted_owner() {
  case $1 in
  -) want=${caller:=$(id -un):$(id -gn)} ;;
  *:*) want=$1 ;;
  "$memo_owner") want=$memo_want ;;
  *)
    g=$(id -gn "$1" 2>&1) || die "owner $1: $g"
    want=$1:$g memo_owner=$1 memo_want=$1:$g
    ;;
  esac
}
memo_owner=''

# trust gives up unless everything on the way to the paths given, each with its own folder's entry left
# out, can be exchanged by nobody but root and ourselves: what is written, given away or removed by path
# then is where it was meant to be. A folder for all may be on the way if it is sticky. A link counts by
# who made it and by where it leads. A look tells the same of folders (answer.go): the plan says it first.
me=''
trust() {
  chain='' links=''
  for p do
    p=${p%/*}
    while [ -n "$p" ]; do
      case $nl$chain in *"$nl$p$nl"*) break ;; esac
      chain=$chain$p$nl
      p=${p%/*}
    done
  done
  [ -n "$chain" ] || return 0
  for line in $(stat_n "$rights" $chain); do
    case $line in
    "$tab"*) ;;
    *'No such file'* | *'Not a directory'*) continue ;; # we make it, or say so elsewhere
    *) die "$line" ;;
    esac
    line=${line#$tab} p=${line##*$tab}
    user=${line%%$tab*} line=${line#*$tab}
    group=${line%%$tab*} line=${line#*$tab}
    mode=$((0x${line%%$tab*}))
    if [ "$user" != 0 ] && [ "$user" != "${me:=$(id -u)}" ]; then
      die "$p belongs to somebody else, who could put another in its place: give it to root, or take another folder"
    fi
    case $((mode >> 12)) in
    10) links=$links$p$nl ;;
    *)
      if [ $((mode & 512)) -eq 0 ] && { [ $((mode & 2)) -ne 0 ] || { [ $((mode & 16)) -ne 0 ] && [ "$group" != 0 ]; }; }; then
        die "others may write to $p, and could put something else in the place of what is in it: chmod go-w $p"
      fi
      ;;
    esac
  done
  for p in $links; do
    to=$(readlink -f -- "$p") || die "$p is a link that leads nowhere"
    [ "$to" = "$p" ] || trust "$to/."
  done
}
