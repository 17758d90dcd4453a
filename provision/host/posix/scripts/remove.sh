# Remove. Request lines: "t PATH" whole trees, "f PATH" files or empty folders, end.
# An entry of a folder is a tree here; which ones may be asked for is the Go side's to say.
set -- $(cat)
whole "$@"
parents='' paths=''
for r do
  case $r in end) break ;; esac
  p=${r#??}
  paths=$paths${p%/*}$nl # whose folder it is in may be the member's: what is there is removed as it is, links too
done
trust $paths
for r do
  p=${r#??}
  case $r in
  t"$tab"*)
    [ -e "$p" ] || [ -L "$p" ] || continue
    if ! out=$(rm -rf -- "$p" 2>&1); then
      # A mount point stays; that it is empty is what was asked.
      set +f
      for x in "$p"/* "$p"/.[!.]* "$p"/..?*; do
        if [ -e "$x" ] || [ -L "$x" ]; then die "$out"; fi
      done
      set -f
      [ -d "$p" ] || die "$out"
    fi
    ;;
  f"$tab"*)
    if [ -d "$p" ] && [ ! -L "$p" ]; then
      out=$(rmdir -- "$p" 2>&1) || {
        [ -d "$p" ] || continue
        case $out in *[Bb]usy*) continue ;; esac # a mount point stays
        set +f
        for x in "$p"/* "$p"/.[!.]* "$p"/..?*; do
          if [ -e "$x" ] || [ -L "$x" ]; then continue 2; fi
        done
        die "cannot remove the empty folder $p"
      }
    elif [ -e "$p" ] || [ -L "$p" ]; then
      out=$(rm -f -- "$p" 2>&1) || die "$out"
    else
      continue
    fi
    ;;
  end) break ;;
  *) die "unknown request: $r" ;;
  esac
  printf 'removed\t%s\n' "$p"
  parent=${p%/*}
  [ ! -d "${parent:-/}" ] || parents=$parents${parent:-/}$nl
done
[ -z "$parents" ] || flush $parents
echo end
