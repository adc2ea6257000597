# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_quiniela_global_optspecs
    string join \n h/help V/version
end

function __fish_quiniela_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_quiniela_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_quiniela_using_subcommand
    set -l cmd (__fish_quiniela_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c quiniela -n "__fish_quiniela_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_needs_command" -s V -l version -d 'Print version'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "server" -d 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "agency" -d 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "echo-check" -d 'Sends a line to an echo server, and checks that it comes back unchanged'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "health" -d 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container\'s health check'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "gen-compose" -d 'Writes a Docker Compose file with the central and N agencies'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "gen-data" -d 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "keys" -d 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "draw" -d 'Holds the draw of a lottery that was begun with --winning-number later'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "status" -d 'Shows how a running central fares: its phase, its seal, each agency\'s bets, and how fast they are acknowledged'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "demo" -d 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "backup" -d 'Copies a central\'s store, which may be in use: all of its files as they were at one moment'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "recover" -d 'Repairs a store after a crash or a power loss as the start of a central does, and closes it'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "audit" -d 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "ticket" -d 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "migrate" -d 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "export" -d 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder\'s central has them'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "completions" -d 'Prints the completion script of a shell'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "man" -d 'Prints the manual pages of all commands, one after another, or writes them to a folder'
complete -c quiniela -n "__fish_quiniela_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l config -d 'The configuration file, an ini file with the section DEFAULT; only the default may be missing [default: config.ini]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l port -d 'TCP port to listen on; 0 takes a free one, and the log says which [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l bind -d 'Address of this machine to listen on; 0.0.0.0 is all of them [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l backlog -d 'Connections that may wait to be accepted; the kernel may allow fewer [env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l log-level -d 'Minimum level to log, by Python\'s or Go\'s name [env: LOGGING_LEVEL] [file: LOGGING_LEVEL] [default: INFO]' -r -f -a "CRITICAL\t''
ERROR\t''
WARNING\t''
NOTICE\t''
INFO\t''
DEBUG\t''
TRACE\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l log-format -d 'Form of the log: text as the exercises have it, or json with one object a line [env: LOGGING_FORMAT] [file: LOGGING_FORMAT] [default: text]' -r -f -a "text\t''
json\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l client-amount -d 'Agencies 1 to N take part; auto detects N; with 0 there is no lottery, only the echo server [env: CLIENT_AMOUNT] [file: CLIENT_AMOUNT] [default: 5]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l store -d 'Folder of bets.csv and its journal; or postgres://USER@HOST,HOST/NAME, which several centrals share [env: STORE_DIR] [file: STORE_DIR] [default: .]' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l db-password-file -d 'File of the password for the database, so that it stands in no list of processes [env: DB_PASSWORD_FILE] [file: DB_PASSWORD_FILE]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l draw -d 'Which of the draws of the database [env: DRAW] [file: DRAW] [default: default]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l keys -d 'Folder with this party\'s certificate and key, as quiniela keys makes it; connections then use TLS [env: TLS_KEYS] [file: TLS_KEYS]' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l tls-ca -d 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: TLS_CA] [file: TLS_CA]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l tls-cert -d 'Our own certificate, in PEM, instead of cert.pem in --keys [env: TLS_CERT] [file: TLS_CERT]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l tls-key -d 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: TLS_KEY] [file: TLS_KEY]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l tls-crl -d 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: TLS_CRL] [file: TLS_CRL]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l plain -d 'With keys, what connections without TLS get: echo sends lines back, none closes them [env: TLS_PLAIN] [file: TLS_PLAIN] [default: echo]' -r -f -a "echo\t''
none\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l winning-number -d 'Number that wins the draw; later lets `quiniela draw` hold the draw, after betting is closed and sealed [default: 7574]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l workers -d 'Threads that answer requests [default: 64]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l queue -d 'Connections with something to read that may wait for a worker; more are refused [default: 4096]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l max-connections -d 'Connections open at once; more are refused [default: 20000]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l max-connections-per-address -d 'Connections open at once from one address; more are refused; auto is a quarter of all, and at least 64 [default: auto]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l peer-memory -d 'Memory in MiB for what all peers have begun or not read; beyond it, those that hold most for longest are refused [default: 64]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l frame-deadline -d 'Time from a frame\'s first byte to its last, and for a peer to take its replies, such as 10s or 500ms [default: 10s]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l stop-timeout -d 'Time that a stop may take, such as 5s or 500ms [default: 5s]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l quiet-time -d 'With --client-amount auto: time without a new agency before the draw, such as 5s or 500ms [default: 5s]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l unbalanced -d 'What becomes of a DONE that declares other bets than are stored: refuse, or accept and say so in the acta [default: refuse]' -r -f -a "refuse\t''
accept\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l http -d 'Address and port of this machine for metrics, readiness and pages over HTTP, such as 127.0.0.1:7574; off if not given [env: HTTP] [file: HTTP]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l print-config -d 'Print every setting and where its value came from, and exit'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l json -d 'With --print-config, print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l require-signed -d 'Take an agency\'s DONE only with its signature over what it has sent; this needs --keys'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l require-standby -d 'Take only a database whose commits wait for a standby, instead of warning of another'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -l stop-on-eof -d 'Stop when standard input ends, as the demo\'s processes do'
complete -c quiniela -n "__fish_quiniela_using_subcommand server" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l config -d 'The configuration file, in YAML; only the default may be missing [default: config.yaml]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l id -d 'The agency\'s number, from 1 [env: CLI_ID]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l server -d 'The central, as host:port; several that share a ledger with commas between them [env: CLI_SERVER_ADDRESS] [file: server.address] [default: server:12345]' -r -f -a "(__fish_print_hostnames)"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l keys -d 'Folder with this party\'s certificate and key, as quiniela keys makes it; connections then use TLS [env: CLI_TLS_KEYS] [file: tls.keys]' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l tls-ca -d 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: CLI_TLS_CA] [file: tls.ca]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l tls-cert -d 'Our own certificate, in PEM, instead of cert.pem in --keys [env: CLI_TLS_CERT] [file: tls.cert]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l tls-key -d 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: CLI_TLS_KEY] [file: tls.key]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l tls-crl -d 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: CLI_TLS_CRL] [file: tls.crl]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l lottery -d 'The id of the only lottery to take part in, which the central has to tell [env: CLI_LOTTERY] [file: lottery]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l mode -d 'lottery sends every bet of the file and gets the winners; bet sends one bet, from NOMBRE, APELLIDO, DOCUMENTO, NACIMIENTO and NUMERO; echo sends lines to the echo server [env: CLI_MODE] [default: lottery]' -r -f -a "lottery\t''
bet\t''
echo\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l data -d 'Folder of the lottery\'s file, agency-<id>.csv [env: CLI_DATA] [default: .data]' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l follow -d 'Send the file\'s bets as it grows, until SIGUSR1, a line #cierre in it, or --close-at; yes or no, yes if it stands alone [env: CLI_FOLLOW] [file: data.follow] [default: no]' -r -f -a "yes\t''
no\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l close-at -d 'With --follow, the local time from which on the file gets no more bets: 20:30 today, or 2026-12-31T20:30 [env: CLI_CLOSE_AT] [file: data.closeAt]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l loop-amount -d 'Lines that the mode echo sends [env: CLI_LOOP_AMOUNT] [file: loop.amount] [default: 5]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l loop-period -d 'Wait between two messages, such as 100ms, 5s or 1m30s; the lottery waits only if this is set [env: CLI_LOOP_PERIOD] [file: loop.period] [default: 5s]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l log-level -d 'Minimum level to log, by Python\'s or Go\'s name [env: CLI_LOG_LEVEL] [file: log.level] [default: INFO]' -r -f -a "CRITICAL\t''
ERROR\t''
WARNING\t''
NOTICE\t''
INFO\t''
DEBUG\t''
TRACE\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l log-format -d 'Form of the log: text as the exercises have it, or json with one object a line [env: CLI_LOG_FORMAT] [file: log.format] [default: text]' -r -f -a "text\t''
json\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l batch-max -d 'Maximum bets in a batch; since a batch must fit 8192 bytes, it never holds more than 430 [env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l batch-period -d 'Wait between two messages of the lottery, instead of --loop-period; with 0s several batches are in flight [env: CLI_BATCH_PERIOD] [file: batch.period]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l in-flight -d 'Maximum batches sent and not yet acknowledged, if the lottery does not wait between messages [default: 256]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l retry-for -d 'Time to keep retrying without progress, such as 60s or 500ms [default: 60s]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l winners -d 'File to write the winners\' documents to, one a line' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l receipt -d 'File to keep the receipt of the seal in, which nobody but you should read [env: CLI_RECEIPT]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l print-config -d 'Print every setting and where its value came from, and exit'
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l json -d 'With --print-config, print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l force -d 'Let --winners and --receipt replace a file of another kind'
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -l stop-on-eof -d 'Stop when standard input ends, as the demo\'s processes do'
complete -c quiniela -n "__fish_quiniela_using_subcommand agency" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l timeout -d 'Time limit for the whole check, such as 3s or 500ms' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l keys -d 'Folder with the keys of an agency or of the operator; the check then uses TLS' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l tls-ca -d 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l tls-cert -d 'Our own certificate, in PEM, instead of cert.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l tls-key -d 'The private key of our certificate, in PEM, instead of key.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l tls-crl -d 'List of revoked certificates, in PEM, instead of crl.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand echo-check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l config -d 'The central\'s configuration file; only the default may be missing [default: config.ini]' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l port -d 'TCP port that the central listens on [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l bind -d 'Address that the central listens on; 0.0.0.0 and :: are asked at 127.0.0.1, then at ::1 [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l keys -d 'Folder with the keys of an agency or of the operator; the check then uses TLS' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l tls-ca -d 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l tls-cert -d 'Our own certificate, in PEM, instead of cert.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l tls-key -d 'The private key of our certificate, in PEM, instead of key.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l tls-crl -d 'List of revoked certificates, in PEM, instead of crl.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -l json -d 'Print one JSON object, where otherwise nothing is printed'
complete -c quiniela -n "__fish_quiniela_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -s o -l output -d 'File to write, whole or not at all; standard output if not given' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l exercise -d 'Exercise to run: 1 to 4 run the echo loop, 5 sends one bet from each agency, 6 to 8 run the lottery' -r -f -a "1\t''
2\t''
3\t''
4\t''
5\t''
6\t''
7\t''
8\t''"
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l centrals -d 'Number of centrals, which share a ledger if there are several' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l keys-dir -d 'With --tls, the folder of the keys, as quiniela keys init makes it; made if it is missing or empty' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l subnet -d 'Network of the containers' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l persist -d 'Keep the bets on a named volume, which survives the central\'s container'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l postgres -d 'Keep the bets in a PostgreSQL with a synchronous standby, in two containers more; for exercises 5 to 8'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l tls -d 'Run the exercise, 5 to 8, over TLS: each container gets the keys of its party, and no other\'s'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l force -d 'Replace an existing file even if it is not a Compose file of this lottery'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -l json -d 'With --output, print one JSON object about the file that was written'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-compose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l agencies -d 'Number of files to write; the bets are split unevenly between them' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l bets -d 'Number of bets to write, in total' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l seed -d 'Seed of the generator' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l winners -d 'Exact number of bets on the winning number; if not given, it is random' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l winning-number -d 'The winning number, whose bets --winners counts' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l force -d 'Replace existing files, and remove those of agencies beyond the last'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand gen-data" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "init" -d 'Makes an authority, and a folder with a key and a certificate for each party'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "request" -d 'Makes a key that stays here, and a request to have it certified'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "sign" -d 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "renew" -d 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "revoke" -d 'Revokes all certificates that a party has so far, or one of them'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "show" -d 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and not __fish_seen_subcommand_from init request sign renew revoke show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -l agencies -d 'Agencies, 1 to N' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -l server-name -d 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -l days -d 'Days that certificates are valid, but no longer than the authority' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -l force -d 'Replace all keys and certificates that are there, and remove those of agencies behind the last'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -l agency -d 'Agency ID' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -l central -d 'The central'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -l operator -d 'The operator, who may ask for the status and hold a draw'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -l force -d 'Replace a key and a request that are there'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from request" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l agency -d 'Agency ID' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l server-name -d 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l days -d 'Days that certificates are valid, but no longer than the authority' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l central -d 'The central'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l operator -d 'The operator, who may ask for the status and hold a draw'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l agency -d 'Agency ID' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l server-name -d 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l days -d 'Days that certificates are valid, but no longer than the authority' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l central -d 'The central'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l operator -d 'The operator, who may ask for the status and hold a draw'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l agency -d 'Agency ID' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l serial -d 'The certificate with this serial number' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l central -d 'The central'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l operator -d 'The operator, who may ask for the status and hold a draw'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "init" -d 'Makes an authority, and a folder with a key and a certificate for each party'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "request" -d 'Makes a key that stays here, and a request to have it certified'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revokes all certificates that a party has so far, or one of them'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "show" -d 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
complete -c quiniela -n "__fish_quiniela_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l seal -d 'The seal over which the draw is held, 64 hexadecimal digits' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l server -d 'The central, as host:port' -r -f -a "(__fish_print_hostnames)"
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l store -d 'The central\'s store, a folder or postgres://USER@HOST,HOST/NAME, for a central without keys on this machine' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l draw -d 'Which of the draws of a database; a folder holds one alone' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l db-password-file -d 'File of the password for a database, so that it stands in no list of processes' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l timeout -d 'Time limit for the whole command, such as 60s or 500ms' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l keys -d 'Folder with the keys of an agency or of the operator; the check then uses TLS' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l tls-ca -d 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l tls-cert -d 'Our own certificate, in PEM, instead of cert.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l tls-key -d 'The private key of our certificate, in PEM, instead of key.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l tls-crl -d 'List of revoked certificates, in PEM, instead of crl.pem in --keys' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand draw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand status" -l server -d 'Where the central serves HTTP' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand status" -l watch -d 'Show it again each second, in place on a terminal, until Ctrl-C'
complete -c quiniela -n "__fish_quiniela_using_subcommand status" -l json -d 'Print the object alone, as JSON in one line'
complete -c quiniela -n "__fish_quiniela_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -l agencies -d 'Agencies to run, at most 500' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -l data -d 'Folder of the files agency-1.csv, agency-2.csv and so on; default .data, or generated files if that has too few' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -l tls -d 'Make keys for the central and each agency, and run the lottery over TLS, in which every party proves who it is'
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -l keep -d 'Keep the folder with the central\'s files, the logs and the keys, and print its path'
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -l json -d 'Print one JSON object at the end, and nothing before it'
complete -c quiniela -n "__fish_quiniela_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand backup" -l rate -d 'Most MiB to copy in a second, so that the central keeps its speed; 0 is no limit' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand backup" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand recover" -l json -d 'Print one JSON object'
complete -c quiniela -n "__fish_quiniela_using_subcommand recover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l draw -d 'Which of the draws of a database; a folder holds one alone' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l db-password-file -d 'File of the password for a database, so that it stands in no list of processes' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l agency -d 'Check the file of this agency against the acta' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l data -d 'Folder of the agency\'s file, agency-<id>.csv' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l receipt -d 'What the agency was shown at the close; without it only the number of its bets and its winners can be checked' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l ca -d 'File of the authority: everything must be signed by those who had to, with certificates that were valid then' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l allow-unsigned -d 'With --ca, list what is not signed instead of failing; a bad signature still fails'
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -l json -d 'Print one JSON object instead of a table'
complete -c quiniela -n "__fish_quiniela_using_subcommand audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l draw -d 'Which of the draws of a database; a folder holds one alone' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l db-password-file -d 'File of the password for a database, so that it stands in no list of processes' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l agency -d 'The agency of the bet' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l bet -d 'Which of the agency\'s bets, from 1 on' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l data -d 'Folder of the agency\'s file, agency-<id>.csv, to make a ticket without the store' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l receipt -d 'What the agency was shown at the close' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l check -d 'Ticket to check' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l seal -d 'Seal to check the ticket against, if there is no acta' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l ca -d 'File of the authority: seal and number must be signed, with certificates that were valid then' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -l json -d 'Print one JSON object about the ticket that is checked; a ticket that is made is one anyway'
complete -c quiniela -n "__fish_quiniela_using_subcommand ticket" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -l store -d 'The database: postgres://USER@HOST,HOST/NAME' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -l db-password-file -d 'File of the password for a database, so that it stands in no list of processes' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -l grant -d 'Role of the centrals, which gets the rights that a central needs' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -l retire -d 'Remove this draw and all of its bets; it has to be drawn' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -l json -d 'Print one JSON object about what was done'
complete -c quiniela -n "__fish_quiniela_using_subcommand migrate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -l store -d 'The database: postgres://USER@HOST,HOST/NAME' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -l draw -d 'Which of the draws of a database; a folder holds one alone' -r
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -l db-password-file -d 'File of the password for a database, so that it stands in no list of processes' -r -F
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -l force -d 'Replace the files of a folder'
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -l json -d 'Print one JSON object about what was written'
complete -c quiniela -n "__fish_quiniela_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand man" -l dir -d 'Folder for the pages quiniela.1, quiniela-server.1 and so on; created if it is missing' -r -f -a "(__fish_complete_directories)"
complete -c quiniela -n "__fish_quiniela_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "server" -d 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "agency" -d 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "echo-check" -d 'Sends a line to an echo server, and checks that it comes back unchanged'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "health" -d 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container\'s health check'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "gen-compose" -d 'Writes a Docker Compose file with the central and N agencies'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "gen-data" -d 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "keys" -d 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "draw" -d 'Holds the draw of a lottery that was begun with --winning-number later'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "status" -d 'Shows how a running central fares: its phase, its seal, each agency\'s bets, and how fast they are acknowledged'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "demo" -d 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "backup" -d 'Copies a central\'s store, which may be in use: all of its files as they were at one moment'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "recover" -d 'Repairs a store after a crash or a power loss as the start of a central does, and closes it'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "audit" -d 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "ticket" -d 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "migrate" -d 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "export" -d 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder\'s central has them'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "completions" -d 'Prints the completion script of a shell'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "man" -d 'Prints the manual pages of all commands, one after another, or writes them to a folder'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and not __fish_seen_subcommand_from server agency echo-check health gen-compose gen-data keys draw status demo backup recover audit ticket migrate export completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "init" -d 'Makes an authority, and a folder with a key and a certificate for each party'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "request" -d 'Makes a key that stays here, and a request to have it certified'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "sign" -d 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "renew" -d 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "revoke" -d 'Revokes all certificates that a party has so far, or one of them'
complete -c quiniela -n "__fish_quiniela_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "show" -d 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
