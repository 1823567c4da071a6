# Run a command of root's while no other one has its lock: sh -c "$(cat alone.sh)" sh LOCK COMMAND [ARGUMENT ...]
# The command does not inherit the lock: what it leaves behind could hold it for ever, and may be an app's own.
lock=$1
shift
if [ -L "$lock" ] || { [ -e "$lock" ] && [ ! -f "$lock" ]; }; then
    echo "$lock is not a file: remove it" >&2
    exit 1
fi
umask 077
exec 9<>"$lock"
if ! flock --wait 900 9; then
    echo "$lock was held for 900 s by $(cat "$lock"); wait for its end, or end it and its children" >&2
    exit 1
fi
echo "process $$ ($*)" >"$lock"
"$@" 9>&-
exit $? # some shells give their own place to the command in the last line, and the lock would go with them
