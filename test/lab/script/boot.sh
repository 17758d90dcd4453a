# Puts itself into a cgroup of its own ($1) in every hierarchy there is, then
# becomes the rest of its arguments. Without that all hosts would share one
# "payload" group, and the systemd of one would see the services of another.
set -eu
group=$1
shift
# v2 is one hierarchy; else each folder is one (v1, and v2 in "unified").
tops=/sys/fs/cgroup
[ -e /sys/fs/cgroup/cgroup.controllers ] || tops=$(echo /sys/fs/cgroup/*)
for top in $tops; do
	[ -e "$top/cgroup.procs" ] || continue
	mkdir -p "$top/$group"
	if [ -e "$top/cpuset.mems" ] && [ ! -e "$top/cgroup.controllers" ]; then
		# cgroup v1 takes no process into a set without CPUs and memory.
		for set in "$top/${group%/*}" "$top/$group"; do
			cat "$top/cpuset.cpus" >"$set/cpuset.cpus"
			cat "$top/cpuset.mems" >"$set/cpuset.mems"
		done
	fi
	echo $$ >"$top/$group/cgroup.procs"
done
exec "$@"
