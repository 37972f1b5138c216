#!/usr/bin/env bash
# Starts pushd on its defaults, shows a message arriving at a held connection, and keeps pushd in the foreground.
# It needs nothing but bash: the connection is bash's own.
set -euo pipefail

bin/pushd "$@" &
pushd=$!
trap : INT # the terminal has told pushd as well
trap 'kill "$pushd" 2>/dev/null' TERM

for _ in {1..50}; do
  bin/pushstat --once --json >/dev/null 2>&1 && break
  kill -0 "$pushd" 2>/dev/null || { wait "$pushd"; exit $?; } # it said why
  sleep 0.1
done

exec 3<>/dev/tcp/127.0.0.1/7999
printf 'GET /events?channel=test HTTP/1.1\r\nHost: 127.0.0.1:7999\r\n\r\n' >&3
while read -r -t 5 line <&3 && [[ $line != retry:* ]]; do :; done # the connection is held

echo "holding GET /events?channel=test; now: pushpub test 'hello from make run'"
bin/pushpub test 'hello from make run'
while read -r -t 5 line <&3; do
  if [[ $line == data:* ]]; then
    echo "the held connection received: $line"
    break
  fi
done
[[ $line == data:* ]] || { echo "the message did not arrive" >&2; kill "$pushd"; exit 1; }
exec 3>&-

cat <<'TXT'

pushd keeps running until Ctrl-C. In other terminals, try:

  curl -N 'http://127.0.0.1:7999/events?channel=test'
  bin/pushpub test hello
  date | bin/pushpub -l test -
  bin/pushstat
  bin/pushpub bench --connections 1000
  bin/sysprep check -n 100k

TXT
until wait "$pushd"; do # a signal ends the wait, not pushd
  kill -0 "$pushd" 2>/dev/null || break
done
