# Look: reads and writes nothing. Request lines, by first letter:
#   f PATH, c PATH (content too), k STAMP PATH (digest known), d DIR WAL, u UNIT,
#   p HEX (port), a ACCOUNT, s PATH (space), x STAMP (executable known), m (no systemd),
#   q NAME SECONDS BYTES UNIT PATH (a probe; "-" stands for nothing) and after it g ARG for its argv
set -- $(cat)
whole "$@"
files='' contents=$nl known=$nl dirs='' dots='' units='' ports='' accounts='' spaces='' exes=$nl systemd=yes probes=''
for r do
  v=${r#??}
  case $r in
  f"$tab"*) files=$files$v$nl ;;
  c"$tab"*) contents=$contents$v$nl ;;
  k"$tab"*) known=$known$v$nl ;;
  d"$tab"*)
    dirs=$dirs$v$nl
    v=${v%$tab*}
    dots=$dots$v/.$nl$v/..$nl
    ;;
  u"$tab"*) units=$units$v$nl ;;
  p"$tab"*) ports=$ports$v$nl ;;
  a"$tab"*) accounts=$accounts$v$nl ;;
  s"$tab"*) spaces=$spaces$v$nl ;;
  x"$tab"*) exes=$exes$v$nl ;;
  q"$tab"* | g"$tab"*) probes=$probes$r$nl ;;
  m) systemd='' ;;
  end) ;;
  *) die "unknown request: $r" ;;
  esac
done
# Each program that is run costs a host more than all of what the shell does
# itself, so the effective user comes from /proc where there is one.
uid=''
if [ -r /proc/self/status ]; then
  while read -r line; do
    case $line in
    Uid:"$tab"*)
      uid=${line#*$tab}
      uid=${uid#*$tab}
      uid=${uid%%$tab*}
      break
      ;;
    esac
  done </proc/self/status
fi
[ -n "$uid" ] || uid=$(id -u)

# gone reports whether $1 is really not there: not root and a folder on the way
# that cannot be searched means that we do not know.
gone() {
  [ "$uid" = 0 ] && return
  nearest "$1"
  [ ! -d "$near" ] || [ -x "$near" ] || die "$near: Permission denied"
}

printf 'facts\t%s\t%s\t%s\t%s\n' "$os" "$machine" "$uid" "$nodename"
id=''
if [ -r /etc/machine-id ]; then read -r id </etc/machine-id; fi
[ -z "$id" ] || printf 'machine\t%s\n' "$id"
lacks=''
for t in base64 df grep gzip stat timeout; do
  command -v $t >/dev/null || lacks=$lacks$t$nl
done
command -v sha256sum >/dev/null || command -v shasum >/dev/null || lacks=${lacks}sha256sum$nl
[ "$os" = Darwin ] || command -v flock >/dev/null || lacks=${lacks}flock$nl
for t in $lacks; do
  # Without these nothing can be seen.
  case $t in df | grep | sha256sum | stat) die "the host lacks $t; install it there" ;; esac
  printf 'missing\t%s\n' $t
done

if [ -n "$systemd" ] && [ -d /run/systemd/system ]; then
  version=''
  set +f
  for so in /usr/lib/systemd/libsystemd-shared-*.so /usr/lib/*/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so; do
    [ ! -e "$so" ] || version=${so##*-shared-}
  done
  set -f
  if [ -z "$version" ]; then
    version=$(systemctl --version 2>/dev/null)
    version=${version%%$nl*} version=${version#systemd }
  fi
  version=${version%%[!0-9]*}
  printf 'systemd\t%s\n' "$version"
else
  systemd=''
fi

# Files and folders: one stat for all, then one digest for those that are not known.
hash='' raw='' seen=$nl owners=$nl links=''
if [ -n "$files$dots" ]; then
  out=$(stat_n "$full" $files $dots)
  for line in $out; do
    case $line in
    *"$tab"*) ;;
    *'No such file'* | *'Not a directory'*) continue ;;
    *) die "$line" ;;
    esac
    printf 'file\t%s\n' "$line"
    case $line in 8*) ;; a*) links=$links${line##*$tab}$nl; continue ;; *) continue ;; esac
    path=${line##*$tab} rest=${line%$tab*}
    s=${rest##*$tab} rest=${rest%$tab*}
    size=${rest##*$tab} rest=${rest%$tab*}
    seen=$seen$s$nl
    owner=${rest%$tab*}
    owner=${owner##*$tab}
    case $owners in *"$nl$owner$nl"*) ;; *) owners=$owners$owner$nl ;; esac
    case $known in *"$nl$s$tab$path$nl"*) ;; *) hash=$hash$path$nl ;; esac
    case $contents in *"$nl$path$nl"*) [ "$size" -gt 1048576 ] || raw=$raw$path$nl ;; esac
  done
fi
# Where links lead, and the folders on the way there.
ways=''
for p in $links; do
  to=$(readlink -f -- "$p") || continue
  printf 'real\t%s\t%s\n' "$to" "$p"
  while [ -n "$to" ]; do
    ways=$ways$to$nl
    to=${to%/*}
  done
done
if [ -n "$ways" ]; then
  for line in $(stat_n "$full" $ways); do
    case $line in *"$tab"*) printf 'file\t%s\n' "$line" ;; esac
  done
fi

pids='' busy=$nl
if [ -n "$units" ] && [ -n "$systemd" ]; then
  show_units $units
  printf 'units\n%s\n\nunits-end\n' "$out"
  # The blocks come in the order asked for; within one the order is systemd's.
  set -- $units
  for l in $out; do
    case $l in
    MainPID=0 | MainPID=) shift ;;
    MainPID=*) pids=$pids${l#*=}$nl busy=$busy$1$nl; shift ;;
    esac
  done
  set -- $units
  for l in $out; do
    case $l in
    ActiveState=failed | ActiveState=activating) log_of "$1"; shift ;;
    ActiveState=*) shift ;;
    esac
  done
fi
if [ -n "$pids" ]; then
  links='' envs='' fds=''
  for p in $pids; do links=$links/proc/$p/exe$nl envs=$envs/proc/$p/environ$nl fds=$fds/proc/$p/fd$nl; done
  out=$(stat_l "$ident" $links)
  for line in $out; do
    case $line in
    *"$tab"*) ;;
    *'No such '*) continue ;; # it ended meanwhile
    *) die "$line" ;;
    esac
    printf 'exe\t%s\n' "$line"
    s=${line%%$tab*}
    case $seen$exes in *"$nl$s$nl"*) ;; *) hash=$hash${line##*$tab}$nl ;; esac
  done
  for line in $(stat_n '%N' $links); do
    case $line in *' -> '*) printf 'link\t%s\n' "$line" ;; esac
  done
  printf 'env\n'
  grep -Hazs '^QUORATE_CONFIG_DIGEST=' $envs
  printf '\nenv-end\n'
fi
if [ -n "$hash" ]; then
  out=$(sha $hash)
  for line in $out; do
    case $line in
    *'No such '*) ;;
    *:\ *) die "$line" ;;
    *) printf 'sha\t%s\n' "$line" ;;
    esac
  done
fi

# names prints what is in the folder: a few names, and how many there are.
names() {
  n=0
  for x do
    [ -e "$x" ] || [ -L "$x" ] || continue
    case ${x##*/} in
    lost+found | .aside) continue ;;
    *"$tab"* | *"$nl"*) x=/? ;;
    esac
    n=$((n + 1))
    [ $n -gt 10 ] || printf 'entry\t%s\n' "${x##*/}"
  done
  count=$((count + n))
}

for d in $dirs; do
  wal=${d##*$tab} d=${d%$tab*}
  if [ ! -d "$d" ]; then
    gone "$d"
    printf 'dir\tno\t0\t-\t%s\n' "$d"
    continue
  fi
  [ -r "$d" ] && [ -x "$d" ] || die "$d: Permission denied"
  count=0 member=-
  set +f
  names "$d"/*
  names "$d"/.[!.]* "$d"/..?*
  for x in "$d"/.aside/*; do [ ! -d "$x" ] || printf 'aside\t%s\n' "$x"; done
  for x in "$wal"/*.wal; do [ ! -e "$x" ] || member=member; done
  set -f
  if [ $member = - ] && [ -d "$wal" ]; then
    [ -r "$wal" ] && [ -x "$wal" ] || die "$wal: Permission denied"
  elif [ $member = - ]; then
    gone "$wal"
  fi
  printf 'dir\tyes\t%s\t%s\t%s\n' $count $member "$d"
done

# Sockets, addresses and mounts: what the kernel says of them, in one reading.
if [ -r /proc/self/mountinfo ]; then
  set --
  for p in $ports; do set -- "$@" -e ":$p [0-9A-F]*:[0-9A-F]* 0A "; done
  out=$(grep -Hs "$@" -e ' - ' -e '^[0-9a-f]* [0-9a-f][0-9a-f] ' -e '|-- ' -e '/32 host LOCAL' \
    /proc/net/tcp /proc/net/tcp6 /proc/net/if_inet6 /proc/net/fib_trie /proc/self/mountinfo)
  printf 'kernel\n%s\nkernel-end\n' "$out"
fi
# Listeners: who listens only for ports that were asked for.
if [ -n "$ports" ]; then
  if [ -r /proc/net/tcp ]; then
    echo listeners
    sockets=''
    for line in $out; do
      case $line in
      /proc/net/tcp*)
        IFS=' '
        set -- ${line#*:} # sl local remote st queues timer retransmits uid timeout inode
        IFS=$nl
        printf 'tcp\t%s\t%s\t%s\n' "${2#*:}" "${2%:*}" "${10}"
        sockets="$sockets ${10}"
        ;;
      esac
    done
    # whose looks for the sockets below the folders given, and keeps those it did not find
    whose() {
      left=''
      out=$(ls -l "$@" 2>/dev/null)
      IFS=' '
      for s in $sockets; do
        case $out in
        *"socket:[$s]"*)
          head=${out%%"socket:[$s]"*}
          pid=${head%/fd:*}
          pid=${pid##*/proc/}
          name=''
          if [ -r "/proc/$pid/comm" ]; then read -r name <"/proc/$pid/comm"; fi
          printf 'owner\t%s\t%s\t%s\n' "$s" "$pid" "$name"
          ;;
        *) left="$left $s" ;;
        esac
      done
      IFS=$nl
      sockets=$left
    }
    if [ -n "$sockets" ]; then
      if [ -n "$pids" ]; then whose $fds /proc/self/fd; fi
      if [ -n "$sockets" ]; then
        set +f
        whose /proc/[0-9]*/fd
        set -f
      fi
    fi
  elif [ "$os" = Darwin ]; then
    out=$(netstat -anp tcp 2>&1) && {
      echo listeners
      for line in $out; do
        case $line in *LISTEN*) printf 'bsd\t%s\n' "$line" ;; esac
      done
    }
  fi
fi

for a in $accounts; do
  # Whose name a file's owner has is known to the host.
  case $owners in *"$nl$a$nl"*) echo "account${tab}yes$tab$a"; continue ;; esac
  if id -u "$a" >/dev/null 2>&1; then echo "account${tab}yes$tab$a"; else echo "account${tab}no$tab$a"; fi
done
if [ -n "$spaces" ]; then
  nears=''
  for p in $spaces; do
    nearest "$p"
    nears=$nears$near$nl
  done
  out=$(df -Pk $nears 2>&1) || die "$out"
  set -- $spaces
  for line in ${out#*$nl}; do
    point=${line##*% }
    available "$line"
    printf 'space\t%s\t%s\nmount\t%s\t%s\n' "$free" "$1" "$point" "$1"
    shift
  done
fi

# probe runs one probe if its conditions hold. Standard output and error come
# as lines of base64, since neither may be mistaken for the answer's own
# lines; the exit code stands in the first between two #.
some() { head -c "$bytes"; cat >/dev/null; }
probe() {
  [ -n "$spec" ] || return 0
  name=${spec%%$tab*} path=${spec##*$tab} rest=${spec#*$tab}
  seconds=${rest%%$tab*} rest=${rest#*$tab}
  bytes=${rest%%$tab*} unless=${rest#*$tab}
  unless=${unless%$tab*}
  if [ "$path" != - ] && [ ! -e "$path" ]; then return; fi
  case $busy in *"$nl$unless$nl"*) return ;; esac
  limit=''
  if command -v timeout >/dev/null; then limit="timeout$nl-s${nl}KILL$nl$seconds"; fi
  said=$(
    exec 4>&1
    err=$({ { $limit "$@" 2>&3 3>&- 4>&- </dev/null; printf '#%s#' $? >&4; } | some | base64 >&4; } 3>&1 | some | base64)
    printf '\n-\n%s\n' "$err"
  )
  printf 'probe\t%s\n%s\nprobe-end\n' "$name" "$said"
}
spec=''
set --
for r in $probes; do
  case $r in
  q"$tab"*)
    probe "$@"
    spec=${r#??}
    set --
    ;;
  *) set -- "$@" "${r#??}" ;;
  esac
done
probe "$@"

printf 'clock\t%s\n' "$(date +%s.%N)"
for p in $raw; do printf 'content\t%s\n' "$p"; done
printf 'raw\n'
[ -z "$raw" ] || cat -- $raw
printf '\nend\n'
