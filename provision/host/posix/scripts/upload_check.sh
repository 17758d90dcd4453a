# Before an upload. Request lines: PATH, DIGEST, MODE, OWNER, bytes needed at the target, bytes
# needed for staging, folder to stage in, known STAMP of that digest, owners (yes or no), end.
# Answers "same STAMP", or "send".
set -- $(cat)
whole "$@"
path=$1 digest=$2 fmode=$3 owner=$4 need=$5 need_stage=$6 where=$7 known=$8 owners=$9

if [ -d "$path" ] && [ ! -L "$path" ]; then die "$path is a folder"; fi
if [ -f "$path" ] && [ ! -L "$path" ]; then
  out=$(stat_n "$ident" "$path") || die "$out"
  same=''
  if [ "${out%%$tab*}" = "$known" ]; then
    same=yes
  else
    sum=$(sha "$path") || die "$sum"
    [ "${sum%% *}" != "$digest" ] || same=yes
  fi
  if [ -n "$same" ]; then
    line=$(stat_n "$owned" "$path") || die "$line"
    line=${line#$tab*$tab} # type mode named numbered
    line=${line#*$tab}
    if [ "${line%%$tab*}" != "$fmode" ]; then
      out=$(chmod "$fmode" "$path" 2>&1) || die "$out"
      echo changed
    fi
    if [ "$owners" = yes ]; then
      wanted_owner "$owner"
      line=${line#*$tab}
      if [ "${line%%$tab*}" != "$want" ] && [ "${line#*$tab}" != "$want" ]; then
        out=$(chown "$want" "$path" 2>&1) || die "$out"
        echo changed
      fi
    fi
    out=$(stat_n "$ident" "$path") || die "$out"
    printf 'same\t%s\nend\n' "${out%%$tab*}"
    exit 0
  fi
fi
command -v gzip >/dev/null || die 'gzip is not installed'

free_bytes "$path"
target_free=$free target_near=$near
[ "$target_free" -ge "$need" ] || die "no space left for $path: its file system has $target_free bytes free, $need are needed"
free_bytes "$where"
[ "$free" -ge "$need_stage" ] || die "no space left in $where: $free bytes free, $need_stage are needed to stage $path"
devices=$(stat_l "$device" "$target_near" "$where")
if [ "${devices%%$nl*}" = "${devices#*$nl}" ] && [ "$free" -lt $((need + need_stage)) ]; then
  die "no space left for $path: its file system has $free bytes free, $((need + need_stage)) are needed"
fi
# What a killed run staged stays behind (of earlier versions a folder); nothing takes two hours.
if [ -d "$where" ]; then
  find "$where" -maxdepth 1 \( -name '.quorate-??????????????????????????' -type f -o -name '.quorate-*' -type d \) -mmin +120 -exec rm -rf {} + 2>/dev/null
else
  out=$(mkdir -p "$where" 2>&1) || die "$out"
fi
printf 'send\nend\n'
