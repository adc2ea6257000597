#!/usr/bin/env bash
# What the Compose file relies on of the official image's entry point: the first start makes the user and the database, and runs
# the scripts of /docker-entrypoint-initdb.d against a server that nobody else reaches.
set -euo pipefail

[[ $1 == postgres ]] || exec "$@"
if [[ $(id -u) == 0 ]]; then
  chown postgres "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  # There is no LLVM here, which the server would want for larger queries.
  initdb -U "$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") -E UTF8 "$PGDATA"
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  printf "unix_socket_directories = '/tmp'\nlisten_addresses = '*'\njit = off\n" >>"$PGDATA/postgresql.conf"
  export PGHOST=/tmp
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
  for script in /docker-entrypoint-initdb.d/*.sh; do
    . "$script"
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
