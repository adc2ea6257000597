#!/bin/sh
# Checks the echo server from inside its network: validar-echo-server.sh [host=server] [port=12345] [message]
#
# Netcat runs in a throw-away busybox container, so the host needs nothing but Docker and no port is published.
# NC_TIMEOUT (default 3) is how many seconds the server has. Prints one line, and the reason of a failure on standard
# error; exits with 0 on success, 1 otherwise.
set -u

host=${1:-server}
port=${2:-12345}
message=${3-"hola, quiniela: $$"}
seconds=${NC_TIMEOUT:-3}

fail() {
  echo "action: test_echo_server | result: fail"
  printf 'validar-echo-server.sh: %s\n' "$*" >&2
  exit 1
}

command -v docker >/dev/null || fail "there is no docker: install Docker"

# A container can be on several networks; any of them leads to it. Its address there also works on Docker's default
# network, which knows no names.
place=$(docker container inspect --format \
  '{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.IPAddress}}{{"\n"}}{{end}}' \
  -- "$host" 2>/dev/null | head -n 1)
network=${place%% *}
address=${place#* }
[ -n "$network" ] || docker info >/dev/null 2>&1 || fail "the Docker engine does not answer: start it, or see docker info"
[ -n "$network" ] || fail "no container $host is on a network: start it with make docker-compose-up"

# In the container. The line is kept apart from the connection's end, because a server may close at a half-closed
# connection or hold it open for ever: netcat's input stays open for a second, and what has come is looked at meanwhile.
# The answer must be the message, no more and no less (a missing line feed at its end is forgiven), and stay so for a
# moment. When this shell ends, the container ends, and netcat with it.
# shellcheck disable=SC2016
check='
  [ "$TIMEOUT" -gt 0 ] && cd /tmp || exit 1
  printf "%s" "$MESSAGE" >bare
  printf "%s\n" "$MESSAGE" >line
  same() { [ -s answer ] && { cmp -s line answer || cmp -s bare answer; }; }
  : >answer
  { { cat line; sleep 1; } | nc -w "$TIMEOUT" "$HOST" "$PORT" >answer 2>/dev/null; : >ended; } &
  ticks=$((TIMEOUT * 10))
  until same || [ -e ended ] || [ "$ticks" -eq 0 ]; do
    sleep 0.1
    ticks=$((ticks - 1))
  done
  sleep 0.1
  same
'

docker run --rm --network "$network" --cap-drop ALL --security-opt no-new-privileges \
  --env MESSAGE="$message" --env HOST="${address:-$host}" --env PORT="$port" --env TIMEOUT="$seconds" \
  busybox:latest sh -c "$check" >/dev/null 2>&1
case $? in
  0) echo "action: test_echo_server | result: success" ;;
  125) fail "docker cannot run busybox:latest: see docker run --rm busybox:latest" ;;
  *) fail "$host:$port did not send the message back within $seconds seconds" ;;
esac
