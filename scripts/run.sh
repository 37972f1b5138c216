#!/usr/bin/env bash
# Starts pushd, on its defaults unless options are given, shows a message arriving at a held
# connection, and keeps pushd in the foreground. It needs only bash and coreutils: the connection is
# bash's own.
set -euo pipefail

log=$(mktemp)
pushd= # its process
trap 'rm -f "$log"; [[ -z $pushd ]] || kill "$pushd" 2>/dev/null || :' EXIT
bin/pushd "$@" 2> >(tee -i "$log" >&2) &
pushd=$!
trap : INT # the terminal has told pushd as well
trap 'kill "$pushd" 2>/dev/null' TERM

# Only pushd's own log says that it is this pushd that serves, and where.
until started=$(grep -m1 -F 'pushd started' "$log"); do
  kill -0 "$pushd" 2>/dev/null || { wait "$pushd"; exit $?; } # it said why
  sleep 0.1
done
[[ $started =~ listen=\"?\[([^ ]+):([0-9]+) ]] || {
  echo "run.sh: cannot read pushd's address: give no --log-format" >&2
  kill "$pushd"
  exit 1
}
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
case $host in '[::]' | 0.0.0.0) host=127.0.0.1 ;; esac
[[ $started =~ socket=([^ ]+) ]]
export PUSHD_SOCKET=${BASH_REMATCH[1]}

exec 3<>"/dev/tcp/${host//[\[\]]/}/$port"
printf 'GET /events?channel=test HTTP/1.1\r\nHost: %s:%s\r\n\r\n' "$host" "$port" >&3
while read -r -t 5 line <&3 && [[ $line != retry:* ]]; do :; done # the connection is held

echo "holding GET /events?channel=test; now: bin/pushpub test 'hello from make run'"
bin/pushpub test 'hello from make run'
while read -r -t 5 line <&3; do
  if [[ $line == data:* ]]; then
    echo "the held connection received: $line"
    break
  fi
done
[[ $line == data:* ]] || { echo "the message did not arrive" >&2; kill "$pushd"; exit 1; }
exec 3>&-

other=
[[ $# -eq 0 ]] || other="  export PUSHD_SOCKET=$PUSHD_SOCKET"$'\n'
cat <<TXT

pushd keeps running until Ctrl-C. In other terminals, try:

${other}  curl -N 'http://$host:$port/events?channel=test'
  bin/pushpub test hello
  date | bin/pushpub -l test -
  bin/pushstat
  bin/pushpub bench --connections 1000
  bin/sysprep check -n 100k

TXT
until wait "$pushd"; do # a signal ends the wait, not pushd
  kill -0 "$pushd" 2>/dev/null || break
done
