#!/bin/sh
# How a new version goes live without slots, on one host that the role has set up: `ways.sh STEP APP RELEASE`, as root. The release is
# one that the role left on the disk. Prints the moments at which something went over to it, in seconds since 1970, one a line.
set -eu

step=$1 app=$2 release=$3
live=blue idle=green
if [ -e "/srv/$app/live/green" ]; then live=green idle=blue; fi
before=$(basename "$(readlink "/srv/$app/slots/$live")")
slots=/etc/$app/slots
upstream=/etc/nginx/conf.d/$app.$live.conf
beside=/etc/nginx/conf.d/$app.$idle.conf
pause=5 # seconds, in which requests in flight come to their end

ctl() { "$(echo /opt/tornado_app/environments/*/bin/supervisorctl)" --configuration "/etc/$app/supervisord.conf" "$@" >&2; }

ports() { sed --quiet 's/^ *server .*:\([0-9]*\)[ ;].*/\1/p' "$1"; }

# Wait until a process listens on each port of an upstream's file.
wait_for() {
    for port in $(ports "$1"); do
        until ss --no-header --listening --tcp --numeric "sport = :$port" | grep --quiet .; do sleep 0.1; done
    done
}

case $step in
# Restart one by one: an upstream with nginx's own defaults; new code in the place of the old; one process after the other.
use-defaults)
    sed --in-place=.role 's/ max_fails=0//' "$upstream"
    systemctl reload nginx
    ;;
restart)
    ln --symbolic --force --no-dereference "/srv/$app/releases/$release" "/srv/$app/slots/$live"
    sed --in-place "s/$before/$release/g" "$slots/$live.json"
    for port in $(ports "$upstream"); do
        date +%s.%N
        ctl restart "$app-$live:$port"
    done
    ;;
after-restart)
    mv "$upstream.role" "$upstream"
    systemctl reload nginx
    ;;

# Rewrite and reload: new processes beside the old; when all of them listen, the upstream is given to them; the old ones are stopped.
start-beside)
    ln --symbolic --force --no-dereference "/srv/$app/releases/$release" "/srv/$app/slots/$idle"
    first=$(ports "$beside" | head --lines=1)
    for kind in json conf; do
        install --group="$app" --mode=0640 /dev/null "$slots/$idle.$kind"
        sed "s/$before/$release/g; s/$live/$idle/g; s/numprocs_start = .*/numprocs_start = $first/" "$slots/$live.$kind" >"$slots/$idle.$kind"
    done
    ctl reread
    ctl add "$app-$idle"
    wait_for "$beside"
    ;;
reload)
    cp "$upstream" "$upstream.role"
    sed "s/$idle/$live/g" "$beside" >"$upstream"
    nginx -t -q
    date +%s.%N
    systemctl reload nginx
    sleep "$pause"
    ctl stop "$app-$live:*"
    ;;
after-reload)
    ctl start "$app-$live:*"
    mv "$upstream.role" "$upstream"
    systemctl reload nginx
    ctl stop "$app-$idle:*"
    rm "$slots/$idle.conf" "$slots/$idle.json"
    ctl reread
    ctl remove "$app-$idle"
    ;;

# The memory that the app's processes have, then all processes, in kB: pages that several share count in parts.
memory)
    cd /proc
    for pids in "$(pgrep --uid "$app")" "[0-9]*"; do
        for pid in $pids; do cat "$pid/smaps_rollup" || true; done 2>&- | awk '/^Pss:/ { sum += $2 } END { print sum }'
    done
    ;;
esac
