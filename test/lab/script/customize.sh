# Runs once, outside the new root ($1), after its packages are in place.
set -eu
root=$1

# What must differ from host to host is made at each host's birth.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"

# Chores of a long-lived machine, and a login prompt nobody looks at.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	fstrim.timer console-getty.service getty@tty1.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl --quiet enable systemd-networkd.service

# ops: sudo without a password. opspw: sudo with one. nobodyadm: no sudo.
for user in ops opspw nobodyadm; do
	chroot "$root" useradd --create-home --shell /bin/bash "$user"
done
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ops"
echo 'opspw ALL=(ALL:ALL) ALL' >"$root/etc/sudoers.d/opspw"
chmod 0440 "$root/etc/sudoers.d/ops" "$root/etc/sudoers.d/opspw"

# Without it PAM complains at every login.
[ -e "$root/etc/default/locale" ] || echo LANG=C.UTF-8 >"$root/etc/default/locale"
