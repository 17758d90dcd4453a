# Goes before the scripts that ask systemd about units.

# show_units sets out to what systemd says of the units given, one block each.
show_units() {
  out=$(systemctl show --no-pager -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,DropInPaths \
    -p MainPID,ExecMainStartTimestamp,NRestarts,Result,ExecMainStatus \
    -p ActiveEnterTimestamp,ActiveExitTimestamp,InactiveEnterTimestamp,InactiveExitTimestamp -- "$@" 2>&1) || die "systemctl show: $out"
}

# log_of prints the end of a unit's log, of a few starts that failed at most.
log_of() {
  printf 'journal\t%s\n' "$1"
  for l in $(journalctl -u "$@" -n 500 --no-pager -o cat 2>/dev/null | cut -b 1-4000 | tail -c 65536); do printf 'log\t%s\n' "$l"; done
}
