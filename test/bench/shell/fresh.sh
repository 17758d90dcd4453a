#!/bin/sh
# A fresh three-member TLS cluster as somebody would script it who knows the
# tools well and has tuned it: everything at once, one connection a host, the
# cheapest cipher, no compression on a fast network, keys made while the
# binary travels. What Quorate is measured against.
#
#   [STAGED=NAME=ADDRESS] fresh.sh SSH_CONFIG KVSERVER WORK NAME=ADDRESS…
#
# STAGED gets all that a member needs to join the others later, and is not started.
#
# It does what a cluster needs and no more: a CA, a server and a peer certificate
# per member, an own account, the binary, a unit that starts at boot, and a
# check that every member is healthy. It does not look first, cannot run twice,
# fsyncs nothing, hardens nothing, and its keys travel.
set -eu
config=$1 kvserver=$2 work=$3
shift 3
mkdir -p "$work"
cd "$work"

# The sockets lie where their path is short.
control=$(mktemp -d)
trap 'rm -rf "$control"' EXIT
on() {
	host=$1
	shift
	ssh -F "$config" -o BatchMode=yes -o ControlPath="$control/%h" -c aes128-gcm@openssh.com "$host" "$@"
}

initial=
for member; do
	initial="$initial,${member%%=*}=https://${member#*=}:2380"
done
initial=${initial#,}

ca() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
		-subj /CN=lab -keyout ca-key.pem -out ca.pem 2>/dev/null
}

# cert FILE NAME SANS: a key and its certificate, for both ends of a connection.
cert() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
		-addext "subjectAltName=$3" -addext extendedKeyUsage=serverAuth,clientAuth \
		-keyout "$1-key.pem" -out "$1.csr" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -set_serial "0x$(openssl rand -hex 8)" \
		-days 365 -copy_extensions copy -out "$1.pem" 2>/dev/null
}

# files NAME ADDRESS STATE: the folder that goes to the host as it is.
files() {
	d=$1/etc/etcd
	mkdir -p "$d" "$1/etc/systemd/system"
	sans=DNS:$1,DNS:localhost,IP:$2,IP:127.0.0.1
	cert "$d/server" "$1" "$sans" &
	cert "$d/peer" "$1" "$sans" &
	wait
	cp ca.pem "$d/"
	rm -f "$d"/*.csr
	cat >"$d/etcd.yaml" <<-END
		name: $1
		data-dir: /var/lib/etcd
		listen-client-urls: https://$2:2379,https://127.0.0.1:2379
		advertise-client-urls: https://$2:2379
		listen-peer-urls: https://$2:2380
		initial-advertise-peer-urls: https://$2:2380
		initial-cluster: $initial
		initial-cluster-state: $3
		initial-cluster-token: lab
		client-transport-security: {cert-file: /etc/etcd/server.pem, key-file: /etc/etcd/server-key.pem, trusted-ca-file: /etc/etcd/ca.pem, client-cert-auth: true}
		peer-transport-security: {cert-file: /etc/etcd/peer.pem, key-file: /etc/etcd/peer-key.pem, trusted-ca-file: /etc/etcd/ca.pem, client-cert-auth: true}
	END
	cat >"$1/etc/systemd/system/etcd.service" <<-END
		[Unit]
		After=network-online.target
		[Service]
		Type=notify
		User=etcd
		ExecStart=/usr/local/bin/kvserver serve --config-file /etc/etcd/etcd.yaml
		Restart=on-failure
		LimitNOFILE=65536
		[Install]
		WantedBy=multi-user.target
	END
}

# host NAME ADDRESS VERB: the binary first, which takes longest; the small files as
# soon as they are made. Starting returns when the member serves.
host() {
	on "$2" -o ControlMaster=yes -o ControlPersist=30 \
		'umask 022; useradd --system --home-dir /var/lib/etcd --create-home --shell /usr/sbin/nologin etcd & cat >/usr/local/bin/kvserver && chmod 755 /usr/local/bin/kvserver; wait' <"$kvserver"
	tries=0
	while [ ! -e "$1.done" ]; do
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || exit 1
		sleep 0.01
	done
	tar -C "$1" -cf - etc | on "$2" 'tar -C / --no-same-owner -xf - && chown -R etcd: /etc/etcd && chmod 600 /etc/etcd/*-key.pem &&
		systemctl daemon-reload && '"$3"
	ssh -F "$config" -o ControlPath="$control/%h" -O exit "$2" 2>/dev/null
}

pids=
for member; do
	host "${member%%=*}" "${member#*=}" 'systemctl enable --quiet --now etcd && systemctl is-active --quiet etcd' &
	pids="$pids $!"
done
ca
for member; do
	{ files "${member%%=*}" "${member#*=}" new && : >"${member%%=*}.done"; } &
done
if [ -n "${STAGED:-}" ]; then
	initial="$initial,${STAGED%%=*}=https://${STAGED#*=}:2380"
	{ files "${STAGED%%=*}" "${STAGED#*=}" existing && : >"${STAGED%%=*}.done"; } &
	host "${STAGED%%=*}" "${STAGED#*=}" true &
	pids="$pids $!"
fi
cert client client DNS:client
for pid in $pids; do wait "$pid"; done
pids=
for member; do
	curl --silent --fail --cacert ca.pem --cert client.pem --key client-key.pem "https://${member#*=}:2379/health" | grep -q '"health":"true"' &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
