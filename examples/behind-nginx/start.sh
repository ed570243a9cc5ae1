#!/usr/bin/env bash
# Starts the admin portal on a Unix socket and nginx in front of it, both as the user who calls this, on loopback. It ends
# when one of them does, or on Ctrl-C, and takes the other one along.
#
#   start.sh [-addr localhost:8443] [-data behind-nginx-data] [further flags of the admin portal]
#
# NGINX names another nginx than the one in PATH.
set -euo pipefail

addr=localhost:8443
data=behind-nginx-data
more=()
while [ $# -gt 0 ]; do
	case $1 in
	-addr | -data) [ $# -gt 1 ] || { echo "start.sh: $1 needs a value" >&2; exit 2; } ;;&
	-addr) addr=$2; shift 2 ;;
	-data) data=$2; shift 2 ;;
	*) more+=("$1"); shift ;;
	esac
done
if ! [[ $addr =~ ^([A-Za-z0-9.-]+):([1-9][0-9]{0,4})$ ]]; then
	echo "start.sh: -addr $addr is no name and port, such as localhost:8443" >&2
	exit 2
fi
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
PATH=$PATH:/usr/sbin # where Debian has nginx, and not everybody looks
command -v "${NGINX:=nginx}" >/dev/null || { echo "start.sh: nginx is missing: install the Debian package nginx-light" >&2; exit 1; }
command -v go >/dev/null || { echo "start.sh: go is missing: get it from https://go.dev/dl" >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
umask 077
mkdir -p "$data/nginx"
data=$(cd "$data" && pwd)
go build -C "$here/../.." -o "$data/" ./examples/adminportal ./cmd/sallyport

# By this token the portal tells what of a probe arrived, and nobody else.
[ -s "$data/probe-token" ] || od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' >"$data/probe-token"
SALLYPORT_PROBE_TOKEN=$(cat "$data/probe-token")
export SALLYPORT_PROBE_TOKEN

# Both end with this script.
portal='' nginx=''
end() {
	trap '' INT TERM
	for p in $nginx $portal; do
		kill -TERM "$p" 2>/dev/null || true
		wait "$p" || true
	done
	wait # for what is still being printed
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What the portal says is passed on, from "ready" on once nginx answers too.
rm -f "$data/said"
mkfifo "$data/said"
"$data/adminportal" -behind nginx -addr "$addr" -data "$data" ${more[@]+"${more[@]}"} >"$data/said" &
portal=$!
exec 3<"$data/said"
rm "$data/said"
ready=''
while IFS= read -r line <&3; do
	case $line in "ready "*) ready=$line; break ;; esac
	printf '%s\n' "$line"
done
if [ -z "$ready" ]; then # it has said why
	status=0
	wait "$portal" || status=$?
	portal=''
	exit "$status"
fi

user=''
[ "$(id -u)" != 0 ] || user='user root;' # nginx would give root up, and not get at the files of this folder
cd "$data/nginx"
sed -e "s/@ADDRESS@/127.0.0.1:$port/; s/@HOST@/$host/; s/@USER@/$user/" "$here/nginx.conf.template" >nginx.conf
rm -f nginx.pid
"$NGINX" -p "$PWD" -c "$PWD/nginx.conf" -e stderr -g 'daemon off;' &
nginx=$!
while [ ! -s nginx.pid ] && kill -0 "$nginx" 2>/dev/null; do # it writes this file when it has the port
	sleep 0.05
done
if [ -s nginx.pid ]; then
	printf '%s\n' "$ready"
	cat <&3 & # what to do next
fi

# Whichever ends first.
status=0
wait -n "$portal" "$nginx" || status=$?
echo "start.sh: the portal or nginx has ended" >&2
exit $((status ? status : 1))
