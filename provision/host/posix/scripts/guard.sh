# Goes before whatever changes a host while its lock is held: $1 the lock's file, $2 the run that
# holds it, as in the file's line. Who takes the lock next waits until $1.work is free: what a run
# that died began is over before the next one looks. What begins later sees that the lock is another's.
exec 8>>"$1.work"
held=''
if flock -s -n 8; then read -r held <"$1"; fi
case $held in
*"\"run\":\"$2\""*) ;;
*)
  echo 'the lock was lost, and somebody else may hold it now; run again' >&2
  exit 75
  ;;
esac
shift 2
