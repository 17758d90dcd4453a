# One systemd unit. Request lines: UNIT, VERB or "-", seconds to wait, then any of
# "reload", "enable", "disable", "x STAMP" (executable known), then end.
# Says "progress ACTIVE SUB RESTARTS PID" while it waits: at each change, and every 5 seconds.
set -- $(cat)
whole "$@"
unit=$1 verb=$2 wait=$3
shift 3
[ -d /run/systemd/system ] || die 'this host does not run systemd'
ctl() { systemctl --no-ask-password --quiet "$@" 2>&1; }
# value sets v to a property of what show has read.
value() {
  v=${out#*"$1="}
  v=${v%%$nl*}
}
show() {
  show_units "$unit"
  out=$nl$out
  value ${nl}ActiveState; active=$v
  value ${nl}SubState; sub=$v
  value ${nl}LoadState; loaded=$v
  value ${nl}NRestarts; restarts=${v:-0}
  value ${nl}MainPID; pid=${v:-0}
  out=${out#$nl}
}
now() { date +%s; }
began=$(now)
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

# bounded runs systemctl for at most $1 seconds; 124 is "not in time".
bounded() {
  s=$1
  shift
  if command -v timeout >/dev/null; then
    out=$(timeout "$s" systemctl --no-ask-password --quiet "$@" 2>&1)
  else
    out=$(ctl --no-block "$@")
  fi
}

# tell says how the unit is, if that is new or was said 5 seconds ago.
told='' told_at=0
tell() {
  t=$(now)
  [ "$active$sub$restarts$pid" != "$told" ] || [ $((t - told_at)) -ge 5 ] || return 0
  told=$active$sub$restarts$pid told_at=$t
  printf 'progress\t%s\t%s\t%s\t%s\n' "$active" "$sub" "$restarts" "$pid"
}

# exits sets n to how often the unit's process has ended by itself: resetting
# the unit has set NRestarts to 0, and a restart that is due is not in it yet.
exits() {
  n=$restarts
  case $sub in auto-restart | *-before-auto-restart) n=$((n + 1)) ;; esac
}

if [ -z "$cause" ]; then
  case $verb in
  start | restart)
    deadline=$(($(now) + wait))
    ctl reset-failed -- "$unit" >/dev/null
    if [ "$wait" -eq 0 ]; then
      out=$(ctl --no-block "$verb" -- "$unit") || cause=$out
      show
    else
      # It returns as soon as the job is done; the job goes on when the time is
      # over, and whoever asks again for a start waits for the same job.
      step=2
      while :; do
        left=$((deadline - $(now)))
        [ $left -lt $step ] || left=$step
        [ $left -gt 0 ] || left=1
        bounded $left "$verb" -- "$unit"
        rc=$? said=$out
        exec 8>&- # it is done, what follows only waits (guard.sh)
        show
        case $rc$active in 124active) rc=0 ;; esac
        [ $rc -eq 124 ] || break
        tell
        [ "$(now)" -lt $deadline ] || break
        verb=start step=5
      done
      # A job that failed while the unit restarts by itself is not the end of
      # it, unless it does so again and again.
      looping='' pause=0.05 tries=0
      while case $active in activating | deactivating | reloading) ;; *) false ;; esac; do
        exits
        [ $n -lt 3 ] || { looping=$n; break; }
        [ "$(now)" -lt $deadline ] || break
        tell
        tries=$((tries + 1))
        [ $tries -lt 20 ] || pause=0.2
        [ $tries -lt 50 ] || pause=1
        sleep $pause
        show
      done
      case $active in
      active) ;;
      failed) cause=failed ;;
      activating | deactivating | reloading)
        if [ -n "$looping" ]; then cause="it ended $looping times"; else cause="timed out after ${wait}s"; fi
        ;;
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
        deadline=$(($(now) + wait)) step=2
        while :; do
          left=$((deadline - $(now)))
          [ $left -lt $step ] || left=$step
          [ $left -gt 0 ] || left=1
          bounded $left stop -- "$unit"
          rc=$? said=$out
          exec 8>&-
          show
          [ $rc -eq 124 ] || break
          tell
          [ "$(now)" -lt $deadline ] || break
          step=5
        done
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
if [ "$pid" != 0 ]; then
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
  log_of "$unit" --since "@$began"
fi
echo end
