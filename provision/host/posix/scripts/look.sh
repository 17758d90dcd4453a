# Look: reads and writes nothing. Request lines, by first letter:
#   f PATH, c PATH (content too), k STAMP PATH (digest known), d DIR, u UNIT,
#   p HEX (port), a ACCOUNT, s PATH (space), x STAMP (executable known), m (no systemd)
set -- $(cat)
whole "$@"
files='' contents=$nl known=$nl dirs='' units='' ports='' accounts='' spaces='' exes=$nl systemd=yes
for r do
  v=${r#??}
  case $r in
  f"$tab"*) files=$files$v$nl ;;
  c"$tab"*) contents=$contents$v$nl ;;
  k"$tab"*) known=$known$v$nl ;;
  d"$tab"*) dirs=$dirs$v$nl ;;
  u"$tab"*) units=$units$v$nl ;;
  p"$tab"*) ports="$ports $v" ;;
  a"$tab"*) accounts=$accounts$v$nl ;;
  s"$tab"*) spaces=$spaces$v$nl ;;
  x"$tab"*) exes=$exes$v$nl ;;
  m) systemd='' ;;
  end) ;;
  *) die "unknown request: $r" ;;
  esac
done
uid=$(id -u)

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
for t in base64 df grep gzip mktemp stat timeout; do
  command -v $t >/dev/null || printf 'missing\t%s\n' $t
done
command -v sha256sum >/dev/null || command -v shasum >/dev/null || printf 'missing\tsha256sum\n'
[ "$os" = Darwin ] || command -v flock >/dev/null || printf 'missing\tflock\n'

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

# Files: one stat for all, then one digest for those that are not known.
hash='' raw='' seen=$nl
if [ -n "$files" ]; then
  out=$(stat_n "$full" $files)
  for line in $out; do
    case $line in
    *"$tab"*) ;;
    *'No such file'* | *'Not a directory'*) continue ;;
    *) die "$line" ;;
    esac
    printf 'file\t%s\n' "$line"
    case $line in 8*) ;; *) continue ;; esac
    path=${line##*$tab} rest=${line%$tab*}
    s=${rest##*$tab} rest=${rest%$tab*}
    size=${rest##*$tab}
    seen=$seen$s$nl
    case $known in *"$nl$s$tab$path$nl"*) ;; *) hash=$hash$path$nl ;; esac
    case $contents in *"$nl$path$nl"*) [ "$size" -gt 1048576 ] || raw=$raw$path$nl ;; esac
  done
fi

pids=''
if [ -n "$units" ] && [ -n "$systemd" ]; then
  out=$(systemctl show --no-pager -p Id -p LoadState -p ActiveState -p SubState -p UnitFileState -p NeedDaemonReload \
    -p MainPID -p ExecMainStartTimestamp -- $units 2>&1) || die "systemctl show: $out"
  printf 'units\n%s\n\nunits-end\n' "$out"
  for l in $out; do
    case $l in MainPID=0 | MainPID=) ;; MainPID=*) pids=$pids${l#*=}$nl ;; esac
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

for d in $dirs; do
  if [ ! -d "$d" ]; then
    gone "$d"
    printf 'dir\tno\t-\t-\t%s\n' "$d"
    continue
  fi
  [ -r "$d" ] && [ -x "$d" ] || die "$d: Permission denied"
  state=empty member=-
  set +f
  for x in "$d"/* "$d"/.[!.]* "$d"/..?*; do
    if [ -e "$x" ] || [ -L "$x" ]; then state=full; break; fi
  done
  for x in "$d"/*.wal; do [ ! -e "$x" ] || member=member; done
  set -f
  if [ -d "$d/member/wal" ] || [ -d "$d/member/snap" ]; then member=member; fi
  printf 'dir\tyes\t%s\t%s\t%s\n' $state $member "$d"
done

# Listeners: the raw lines; who listens only for ports that were asked for.
if [ -n "$ports" ]; then
  if [ -r /proc/net/tcp ]; then
    out=$(grep -hs ' 0A [0-9A-F]*:' /proc/net/tcp /proc/net/tcp6)
    echo listeners
    sockets=''
    for line in $out; do
      IFS=' '
      set -- $line # sl local remote st queues timer retransmits uid timeout inode
      for p in $ports; do
        case $2 in *:"$p") printf 'tcp\t%s\t%s\t%s\n' "$p" "${2%:*}" "${10}"; sockets="$sockets ${10}" ;; esac
      done
      IFS=$nl
    done
    IFS=$nl
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
    available "$line"
    printf 'space\t%s\t%s\n' "$free" "$1"
    shift
  done
fi
printf 'clock\t%s\n' "$(date +%s.%N)"
for p in $raw; do printf 'content\t%s\n' "$p"; done
printf 'raw\n'
[ -z "$raw" ] || cat -- $raw
printf '\nend\n'
