# One systemd unit. Request lines: UNIT, VERB or "-", seconds to wait, then any of
# "reload", "enable", "disable", "x STAMP" (executable known), then end.
set -- $(cat)
whole "$@"
unit=$1 verb=$2 wait=$3
shift 3
[ -d /run/systemd/system ] || die 'this host does not run systemd'
ctl() { systemctl --no-ask-password --quiet "$@" 2>&1; }
show() {
  out=$(systemctl show --no-pager -p Id -p LoadState -p ActiveState -p SubState -p UnitFileState -p NeedDaemonReload \
    -p MainPID -p ExecMainStartTimestamp -- "$unit" 2>&1) || die "systemctl show: $out"
  active=${out#*ActiveState=}
  active=${active%%$nl*}
  loaded=${out#*LoadState=}
  loaded=${loaded%%$nl*}
}
# A reload takes systemd's generators a tenth of a second: enabling, which reloads
# too, leaves it to the one that is asked for. It reads the unit's file itself.
late=''
case $nl"$*"$nl in *"${nl}reload${nl}enable$nl"*) late=--no-reload ;; esac
exes=$nl cause=''
for r do
  case $r in
  reload) [ -n "$late" ] || out=$(ctl daemon-reload) || cause="daemon-reload: $out" ;;
  enable)
    [ -n "$cause" ] || out=$(ctl enable $late -- "$unit") || cause="cannot enable it: $out"
    [ -n "$cause" ] || [ -z "$late" ] || out=$(ctl daemon-reload) || cause="daemon-reload: $out"
    ;;
  disable)
    if [ -z "$cause" ] && ! out=$(ctl disable -- "$unit"); then
      case $out in *'does not exist'* | *'not loaded'* | *'No such file'*) ;; *) cause="cannot disable it: $out" ;; esac
    fi
    ;;
  x"$tab"*) exes=$exes${r#??}$nl ;;
  end) ;;
  *) die "unknown request: $r" ;;
  esac
done

# bounded runs systemctl for at most the seconds asked for; 124 is "not in time".
bounded() {
  if command -v timeout >/dev/null; then
    out=$(timeout "$wait" systemctl --no-ask-password --quiet "$@" 2>&1)
  else
    out=$(ctl --no-block "$@")
  fi
}
now() { date +%s; }

if [ -z "$cause" ]; then
  case $verb in
  start | restart)
    deadline=$(($(now) + wait))
    ctl reset-failed -- "$unit" >/dev/null
    if [ "$wait" -eq 0 ]; then
      out=$(ctl --no-block "$verb" -- "$unit") || cause=$out
      show
    else
      # It returns as soon as the job is done; the job goes on when the time is over.
      bounded "$verb" -- "$unit"
      rc=$? said=$out
      show
      # A job that failed while the unit restarts by itself is not the end of it.
      while case $active in activating | deactivating | reloading) ;; *) false ;; esac && [ $rc -ne 124 ]; do
        [ "$(now)" -lt "$deadline" ] || { rc=124; break; }
        sleep 0.05
        show
      done
      case $active in
      active) ;;
      failed) cause=failed ;;
      activating | deactivating | reloading) cause="timed out after ${wait}s" ;;
      *) cause=${said:-it did not stay up} ;;
      esac
    fi
    ;;
  stop)
    show
    if [ "$loaded" != not-found ] || [ "$active" != inactive ]; then
      if [ "$wait" -eq 0 ]; then
        out=$(ctl --no-block stop -- "$unit") || cause=$out
      else
        bounded stop -- "$unit"
        rc=$? said=$out
        show
        case $active in
        inactive | failed) ;;
        *) if [ $rc -eq 124 ]; then cause="timed out after ${wait}s"; else cause=${said:-it goes on}; fi ;;
        esac
      fi
    fi
    show
    ;;
  -) show ;;
  *) die "unknown verb $verb" ;;
  esac
else
  show
fi
printf 'units\n%s\n\nunits-end\n' "$out"
pid=${out#*MainPID=}
pid=${pid%%$nl*}
if [ "${pid:-0}" != 0 ]; then
  line=$(stat_l "$ident" "/proc/$pid/exe") && {
    printf 'exe\t%s\n' "$line"
    s=${line%%$tab*}
    case $exes in
    *"$nl$s$nl"*) ;;
    *) line=$(sha "/proc/$pid/exe") && printf 'sha\t%s\n' "$line" ;;
    esac
    line=$(stat_n %N "/proc/$pid/exe") && printf 'link\t%s\n' "$line"
  }
  printf 'env\n'
  grep -Hazs '^QUORATE_CONFIG_DIGEST=' "/proc/$pid/environ"
  printf '\nenv-end\n'
fi
if [ -n "$cause" ]; then
  for l in $cause; do printf 'cause\t%s\n' "$l"; done
  journalctl --sync >/dev/null 2>&1
  for l in $(journalctl -u "$unit" -n 20 --no-pager -o cat 2>/dev/null); do printf 'log\t%s\n' "$l"; done
fi
echo end
