# Runs a PostgreSQL cluster for whoever holds the other end of the standard input, and removes it when that is gone.
# Each line says what to do: start, stop, or kill, which leaves it as a loss of power would. Each is answered by a line
# that says ok; in front of it stands what went wrong before.
set -eu
bin=$1 port=$2 settings=$3
umask 077
trap '' INT TERM HUP
dir=$(mktemp -d "${TMPDIR:-/tmp}/crosstalk-pg.XXXXXX" 2>/dev/null || mktemp -d /tmp/crosstalk-pg.XXXXXX)

ctl() {
	"$bin/pg_ctl" -D "$dir/data" -w -s "$@" >>"$dir/log" 2>&1 </dev/null
}
end() {
	ctl -m immediate stop || :
	rm -rf "$dir"
}
trap end EXIT

# The sort order of the cluster is that of a language: what must not depend on it shows here.
locale=
if "$bin/initdb" --help | grep -q -e --locale-provider; then locale='--locale-provider=icu --icu-locale=en'; fi
try() {
	"$bin/initdb" -D "$dir/data" -U crosstalk --auth=trust --encoding=UTF8 --no-sync "$@" >"$dir/initdb" 2>&1 </dev/null
}
try --locale=C $locale || { rm -rf "$dir/data" && try --locale=C; } || { cat "$dir/initdb"; exit 1; }
cat >>"$dir/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = $port
max_connections = 300
shared_buffers = '64MB'
max_wal_size = '256MB'
autovacuum_naptime = '10min'
$settings
END

while read -r what; do
	case $what in
	start) ctl -l "$dir/log" start || { cat "$dir/log"; echo failed; continue; } ;;
	stop) ctl -m fast stop || echo 'it did not stop' ;;
	kill) ctl -m immediate stop || echo 'it did not stop' ;;
	*) echo "cannot $what" ;;
	esac
	echo ok
done
