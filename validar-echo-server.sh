#!/bin/sh
# Checks the echo server from inside its network: validar-echo-server.sh [host=server] [port=12345] [message]
#
# Netcat runs in a temporary busybox container, so the host needs only Docker, and no port is published. NC_TIMEOUT
# (default 3) is the number of seconds that the server has. Prints one line, and the reason of a failure to standard
# error. Exits with 0 on success, otherwise with 1.
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

# A container can be on several networks, and any of them will do. Its address also works on Docker's default network,
# which has no name resolution.
place=$(docker container inspect --format \
  '{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.IPAddress}}{{"\n"}}{{end}}' \
  -- "$host" 2>/dev/null | head -n 1)
network=${place%% *}
address=${place#* }
[ -n "$network" ] || docker info >/dev/null 2>&1 || fail "the Docker engine does not answer: start it, or see docker info"
[ -n "$network" ] || fail "no container $host is on a network: start it with make docker-compose-up"

# This runs in the container. A server may close a half-closed connection before it answers, or never close it. So
# netcat's input stays open for a second after the line, and the answer is checked meanwhile. It must be exactly the
# message (with or without a line feed), and stay the same for a moment. The container and netcat end with this shell.
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
