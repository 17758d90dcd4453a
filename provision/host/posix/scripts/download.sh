# Download: reads, and writes nothing. Request lines: PATH, FROM, end. Answers "size BYTES", and then the file from byte
# FROM on, with nothing after it: so all that comes is the file's, wherever it ends, and the exit code says whether
# that was the end. Where there is no such file it answers "missing".
set -- $(cat)
whole "$@"
path=$1 from=$2
# seen takes apart what stat told: the kind, device and inode, and the size.
seen() {
  case $1 in *"$tab"*) ;; *) die "$1" ;; esac
  case $1 in 8*) kind='' ;; a*) kind=link ;; 4*) kind=folder ;; 1*) kind=FIFO ;; c*) kind=socket ;; *) kind=device ;; esac
  rest=${1%$tab*}
  rest=${rest##*$tab} # device:inode:size:…
  same=${rest%%:*} rest=${rest#*:}
  same=$same:${rest%%:*} rest=${rest#*:}
  size=${rest%%:*}
}
line=$(stat_n "$full" "$path")
case $line in
*"$tab"*) ;;
*': No such file or directory' | *': Not a directory')
  printf 'missing\nend\n'
  exit 0
  ;;
esac
seen "$line"
[ -z "$kind" ] || die "$path is a $kind, not a regular file"
[ -r "$path" ] || die "$path: Permission denied"
was=$same
exec <"$path"
# What was opened is what was looked at, and nothing that was put in its place in between, such as a link.
case $os in
Darwin) seen "$(stat_n "$full")" ;; # of its standard input
*) seen "$(stat_l "$full" /proc/self/fd/0)" ;;
esac
[ "$same" = "$was" ] || die "$path was replaced while it was opened; try again"
[ "$from" -le "$size" ] || die "$path has $size bytes, and was to be read from byte $from on"
# dd that is asked for no block seeks, and the place in the file is this shell's and its children's too. tail would
# read all that comes before (busybox), or copy byte by byte what comes after (BSD).
if [ "$from" -gt 0 ]; then
  out=$(dd bs=4096 "skip=$((from / 4096))" count=0 2>&1) || die "$out"
  rest=$((from % 4096))
  [ $rest = 0 ] || out=$(dd "bs=$rest" count=1 of=/dev/null 2>&1) || die "$out"
fi
printf 'size\t%s\n' "$size"
exec cat
