# Write: folders and small files. Request lines:
#   o (owners do not matter), a ACCOUNT, d MODE OWNER PATH, f MODE OWNER DIGEST PATH
# and after an f the content in base64 on a line of its own. "-" stands for nothing.
# Answers: "changed PATH" for what was changed, "stat STAMP PATH" for every path.
set -- $(cat)
whole "$@"
set -C # a temporary file must be new
owners=yes account='' targets='' dirs='' pending=''
for r do
  if [ -n "$pending" ]; then pending=''; continue; fi
  case $r in
  o) owners='' ;;
  a"$tab"*) account=${r#*$tab} ;;
  d"$tab"*) dirs=$dirs${r##*$tab}$nl ;;
  f"$tab"*) targets=$targets${r##*$tab}$nl pending=yes ;;
  end) ;;
  *) die 'unknown request' ;;
  esac
done

trust $targets $dirs
if [ -n "$account" ] && ! id -u "$account" >/dev/null 2>&1; then
  shell=/bin/false
  for s in /usr/sbin/nologin /sbin/nologin; do [ ! -x $s ] || shell=$s; done
  if command -v useradd >/dev/null; then
    group=--user-group
    if grep -qs "^$account:" /etc/group; then group=--gid=$account; fi
    out=$(useradd --system $group --no-create-home --home-dir / --shell $shell "$account" 2>&1) || die "cannot make the account $account: $out"
  elif command -v adduser >/dev/null; then
    grep -qs "^$account:" /etc/group || out=$(addgroup -S "$account" 2>&1) || die "cannot make the group $account: $out"
    out=$(adduser -S -D -H -h / -s $shell -G "$account" "$account" 2>&1) || die "cannot make the account $account: $out"
  else
    die "cannot make the account $account: neither useradd nor adduser is installed"
  fi
fi

# What is there: "TAB path TAB type mode owner numbers" by line.
there=$nl sums=$nl regular=''
if [ -n "$targets" ]; then
  out=$(stat_n "$owned" $targets)
  for line in $out; do
    case $line in
    "$tab"*) there=$there$line$nl ;;
    *'No such file'* | *'Not a directory'*) continue ;;
    *) die "$line" ;;
    esac
    path=${line#$tab} rest=${line#$tab*$tab}
    path=${path%%$tab*}
    case $rest in 8*) regular=$regular$path$nl ;; esac
  done
fi
if [ -n "$dirs" ]; then
  for line in $(stat_l "$owned" $dirs); do
    case $line in "$tab"*) there=$there$line$nl ;; esac
  done
fi
if [ -n "$regular" ]; then
  out=$(sha $regular) || die "$out"
  sums=$nl$out$nl
fi

# state sets type, mode and the two owners of $1; type is empty if it is not there.
state() {
  type='' mode='' named='' numbered=''
  case $there in *"$nl$tab$1$tab"*) ;; *) return ;; esac
  rest=${there#*"$nl$tab$1$tab"}
  rest=${rest%%$nl*}
  type=${rest%%$tab*} rest=${rest#*$tab}
  mode=${rest%%$tab*} rest=${rest#*$tab}
  named=${rest%%$tab*} numbered=${rest#*$tab}
}

expect='' temps='' renames='' parents='' touched=''
clean() { [ -z "$temps" ] || rm -f $temps; }
trap clean EXIT
trap 'exit 1' HUP INT TERM PIPE

# parent notes a folder whose entries changed.
parent() {
  case $nl$parents in *"$nl${1:-/}$nl"*) ;; *) parents=$parents${1:-/}$nl ;; esac
}

# folder makes or mends one folder from its request line.
folder() {
  IFS=$tab
  set -- $1
  IFS=$nl
  state "$4"
  case $type in
  '')
    out=$(umask 022; mkdir -p "$4" 2>&1) || die "$out"
    out=$(chmod "$2" "$4" 2>&1) || die "$out"
    if [ -n "$owners" ] && [ "$3" != - ]; then
      wanted_owner "$3"
      out=$(chown "$want" "$4" 2>&1) || die "$out"
    fi
    touched=$touched$4$nl
    parent "${4%/*}"
    ;;
  4*)
    if [ "$mode" != "$2" ]; then
      out=$(chmod "$2" "$4" 2>&1) || die "$out"
      touched=$touched$4$nl
    fi
    if [ -n "$owners" ]; then
      wanted_owner "$3"
      if [ "$named" != "$want" ] && [ "$numbered" != "$want" ]; then
        out=$(chown "$want" "$4" 2>&1) || die "$out"
        touched=$touched$4$nl
      fi
    fi
    ;;
  *) die "$4 is not a folder" ;;
  esac
}

# stage writes one file beside its target, unless the target is as asked.
# $1 is the request line, $2 the content.
stage() {
  content=$2
  IFS=$tab
  set -- $1
  IFS=$nl
  path=$5
  state "$path"
  [ ! -d "$path" ] || [ -L "$path" ] || die "$path is a folder"
  want=''
  if [ -n "$owners" ]; then wanted_owner "$3"; fi
  case $type in
  8*)
    case $sums in *"$nl$4  $path$nl"*)
      if [ "$mode" = "$2" ] && { [ -z "$want" ] || [ "$named" = "$want" ] || [ "$numbered" = "$want" ]; }; then return; fi
      ;;
    esac
    ;;
  esac
  dir=${path%/*}
  if [ ! -d "${dir:-/}" ]; then
    out=$(umask 022; mkdir -p "$dir" 2>&1) || die "$out"
  fi
  temp=$dir/.${path##*/}.quorate-
  set +f
  for old in "$temp"*; do [ ! -e "$old" ] || rm -f "$old"; done
  set -f
  temp=$temp$$
  temps=$temps$temp$nl
  if [ "$content" = - ]; then
    out=$( (true >"$temp") 2>&1) || die "cannot write $path: $out"
  else
    out=$( (printf %s "$content" | unbase64 >"$temp") 2>&1) || die "cannot write $path: $out"
  fi
  if [ -n "$want" ] && [ "$3" != - ]; then
    out=$(chown "$want" "$temp" 2>&1) || die "$out"
  fi
  if [ "$2" != 600 ]; then
    out=$(chmod "$2" "$temp" 2>&1) || die "$out"
  fi
  expect=$expect$4$tab$temp$nl
  renames=$renames$path$nl
  parent "$dir"
}

for r do
  if [ -z "$pending" ]; then
    case $r in
    d"$tab"*) folder "$r" ;;
    f"$tab"*) pending=$r ;;
    esac
  else
    stage "$pending" "$r"
    pending=''
  fi
done
if [ -n "$temps" ]; then
  out=$nl$(sha $temps)$nl
  for e in $expect; do
    case $out in *"$nl${e%%$tab*}  ${e#*$tab}$nl"*) ;; *) die "what was written to ${e#*$tab} is not what was sent" ;; esac
  done
  flush $temps
  for path in $renames; do
    out=$(mv -f "${path%/*}/.${path##*/}.quorate-$$" "$path" 2>&1) || die "$out"
    touched=$touched$path$nl
  done
fi
[ -z "$parents" ] || flush $parents
for p in $touched; do printf 'changed\t%s\n' "$p"; done
if [ -n "$targets$dirs" ]; then
  out=$(stat_l "$ident" $targets $dirs) || die "$out"
  for line in $out; do printf 'stat\t%s\n' "$line"; done
fi
echo end
