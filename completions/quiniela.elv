
use builtin;
use str;

set edit:completion:arg-completer[quiniela] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'quiniela'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'quiniela'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand server 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners'
            cand agency 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners'
            cand echo-check 'Sends a line to an echo server, and checks that it comes back unchanged'
            cand health 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container''s health check'
            cand gen-compose 'Writes a Docker Compose file with the central and N agencies'
            cand gen-data 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files'
            cand keys 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is'
            cand draw 'Holds the draw of a lottery that was begun with --winning-number later'
            cand status 'Shows how a running central fares: its phase, its seal, each agency''s bets, and how fast they are acknowledged'
            cand demo 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result'
            cand backup 'Copies a central''s store, which may be in use: all of its files as they were at one moment'
            cand recover 'Repairs a store after a crash or a power loss as the start of a central does, and closes it'
            cand audit 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta'
            cand ticket 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won'
            cand migrate 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows'
            cand export 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder''s central has them'
            cand completions 'Prints the completion script of a shell'
            cand man 'Prints the manual pages of all commands, one after another, or writes them to a folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'quiniela;server'= {
            cand --config 'The configuration file, an ini file with the section DEFAULT; only the default may be missing [default: config.ini]'
            cand --port 'TCP port to listen on; 0 takes a free one, and the log says which [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]'
            cand --bind 'Address of this machine to listen on; 0.0.0.0 is all of them [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]'
            cand --backlog 'Connections that may wait to be accepted; the kernel may allow fewer [env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]'
            cand --log-level 'Minimum level to log, by Python''s or Go''s name [env: LOGGING_LEVEL] [file: LOGGING_LEVEL] [default: INFO]'
            cand --log-format 'Form of the log: text as the exercises have it, or json with one object a line [env: LOGGING_FORMAT] [file: LOGGING_FORMAT] [default: text]'
            cand --client-amount 'Agencies 1 to N take part; auto detects N; with 0 there is no lottery, only the echo server [env: CLIENT_AMOUNT] [file: CLIENT_AMOUNT] [default: 5]'
            cand --store 'Folder of bets.csv and its journal; or postgres://USER@HOST,HOST/NAME, which several centrals share [env: STORE_DIR] [file: STORE_DIR] [default: .]'
            cand --db-password-file 'File of the password for the database, so that it stands in no list of processes [env: DB_PASSWORD_FILE] [file: DB_PASSWORD_FILE]'
            cand --draw 'Which of the draws of the database [env: DRAW] [file: DRAW] [default: default]'
            cand --keys 'Folder with this party''s certificate and key, as quiniela keys makes it; connections then use TLS [env: TLS_KEYS] [file: TLS_KEYS]'
            cand --tls-ca 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: TLS_CA] [file: TLS_CA]'
            cand --tls-cert 'Our own certificate, in PEM, instead of cert.pem in --keys [env: TLS_CERT] [file: TLS_CERT]'
            cand --tls-key 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: TLS_KEY] [file: TLS_KEY]'
            cand --tls-crl 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: TLS_CRL] [file: TLS_CRL]'
            cand --plain 'With keys, what connections without TLS get: echo sends lines back, none closes them [env: TLS_PLAIN] [file: TLS_PLAIN] [default: echo]'
            cand --winning-number 'Number that wins the draw; later lets `quiniela draw` hold the draw, after betting is closed and sealed [default: 7574]'
            cand --workers 'Threads that answer requests [default: 64]'
            cand --queue 'Connections with something to read that may wait for a worker; more are refused [default: 4096]'
            cand --max-connections 'Connections open at once; more are refused [default: 20000]'
            cand --max-connections-per-address 'Connections open at once from one address; more are refused; auto is a quarter of all, and at least 64 [default: auto]'
            cand --peer-memory 'Memory in MiB for what all peers have begun or not read; beyond it, those that hold most for longest are refused [default: 64]'
            cand --frame-deadline 'Time from a frame''s first byte to its last, and for a peer to take its replies, such as 10s or 500ms [default: 10s]'
            cand --stop-timeout 'Time that a stop may take, such as 5s or 500ms [default: 5s]'
            cand --quiet-time 'With --client-amount auto: time without a new agency before the draw, such as 5s or 500ms [default: 5s]'
            cand --unbalanced 'What becomes of a DONE that declares other bets than are stored: refuse, or accept and say so in the acta [default: refuse]'
            cand --http 'Address and port of this machine for metrics, readiness and pages over HTTP, such as 127.0.0.1:7574; off if not given [env: HTTP] [file: HTTP]'
            cand --print-config 'Print every setting and where its value came from, and exit'
            cand --json 'With --print-config, print one JSON object'
            cand --require-signed 'Take an agency''s DONE only with its signature over what it has sent; this needs --keys'
            cand --require-standby 'Take only a database whose commits wait for a standby, instead of warning of another'
            cand --stop-on-eof 'Stop when standard input ends, as the demo''s processes do'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;agency'= {
            cand --config 'The configuration file, in YAML; only the default may be missing [default: config.yaml]'
            cand --id 'The agency''s number, from 1 [env: CLI_ID]'
            cand --server 'The central, as host:port; several that share a ledger with commas between them [env: CLI_SERVER_ADDRESS] [file: server.address] [default: server:12345]'
            cand --keys 'Folder with this party''s certificate and key, as quiniela keys makes it; connections then use TLS [env: CLI_TLS_KEYS] [file: tls.keys]'
            cand --tls-ca 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: CLI_TLS_CA] [file: tls.ca]'
            cand --tls-cert 'Our own certificate, in PEM, instead of cert.pem in --keys [env: CLI_TLS_CERT] [file: tls.cert]'
            cand --tls-key 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: CLI_TLS_KEY] [file: tls.key]'
            cand --tls-crl 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: CLI_TLS_CRL] [file: tls.crl]'
            cand --lottery 'The id of the only lottery to take part in, which the central has to tell [env: CLI_LOTTERY] [file: lottery]'
            cand --mode 'lottery sends every bet of the file and gets the winners; bet sends one bet, from NOMBRE, APELLIDO, DOCUMENTO, NACIMIENTO and NUMERO; echo sends lines to the echo server [env: CLI_MODE] [default: lottery]'
            cand --data 'Folder of the lottery''s file, agency-<id>.csv [env: CLI_DATA] [default: .data]'
            cand --follow 'Send the file''s bets as it grows, until SIGUSR1, a line #cierre in it, or --close-at; yes or no, yes if it stands alone [env: CLI_FOLLOW] [file: data.follow] [default: no]'
            cand --close-at 'With --follow, the local time from which on the file gets no more bets: 20:30 today, or 2026-12-31T20:30 [env: CLI_CLOSE_AT] [file: data.closeAt]'
            cand --loop-amount 'Lines that the mode echo sends [env: CLI_LOOP_AMOUNT] [file: loop.amount] [default: 5]'
            cand --loop-period 'Wait between two messages, such as 100ms, 5s or 1m30s; the lottery waits only if this is set [env: CLI_LOOP_PERIOD] [file: loop.period] [default: 5s]'
            cand --log-level 'Minimum level to log, by Python''s or Go''s name [env: CLI_LOG_LEVEL] [file: log.level] [default: INFO]'
            cand --log-format 'Form of the log: text as the exercises have it, or json with one object a line [env: CLI_LOG_FORMAT] [file: log.format] [default: text]'
            cand --batch-max 'Maximum bets in a batch; since a batch must fit 8192 bytes, it never holds more than 430 [env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]'
            cand --batch-period 'Wait between two messages of the lottery, instead of --loop-period; with 0s several batches are in flight [env: CLI_BATCH_PERIOD] [file: batch.period]'
            cand --in-flight 'Maximum batches sent and not yet acknowledged, if the lottery does not wait between messages [default: 256]'
            cand --retry-for 'Time to keep retrying without progress, such as 60s or 500ms [default: 60s]'
            cand --winners 'File to write the winners'' documents to, one a line'
            cand --receipt 'File to keep the receipt of the seal in, which nobody but you should read [env: CLI_RECEIPT]'
            cand --print-config 'Print every setting and where its value came from, and exit'
            cand --json 'With --print-config, print one JSON object'
            cand --force 'Let --winners and --receipt replace a file of another kind'
            cand --stop-on-eof 'Stop when standard input ends, as the demo''s processes do'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;echo-check'= {
            cand --timeout 'Time limit for the whole check, such as 3s or 500ms'
            cand --keys 'Folder with the keys of an agency or of the operator; the check then uses TLS'
            cand --tls-ca 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys'
            cand --tls-cert 'Our own certificate, in PEM, instead of cert.pem in --keys'
            cand --tls-key 'The private key of our certificate, in PEM, instead of key.pem in --keys'
            cand --tls-crl 'List of revoked certificates, in PEM, instead of crl.pem in --keys'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;health'= {
            cand --config 'The central''s configuration file; only the default may be missing [default: config.ini]'
            cand --port 'TCP port that the central listens on [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]'
            cand --bind 'Address that the central listens on; 0.0.0.0 and :: are asked at 127.0.0.1, then at ::1 [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]'
            cand --keys 'Folder with the keys of an agency or of the operator; the check then uses TLS'
            cand --tls-ca 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys'
            cand --tls-cert 'Our own certificate, in PEM, instead of cert.pem in --keys'
            cand --tls-key 'The private key of our certificate, in PEM, instead of key.pem in --keys'
            cand --tls-crl 'List of revoked certificates, in PEM, instead of crl.pem in --keys'
            cand --json 'Print one JSON object, where otherwise nothing is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;gen-compose'= {
            cand -o 'File to write, whole or not at all; standard output if not given'
            cand --output 'File to write, whole or not at all; standard output if not given'
            cand --exercise 'Exercise to run: 1 to 4 run the echo loop, 5 sends one bet from each agency, 6 to 8 run the lottery'
            cand --centrals 'Number of centrals, which share a ledger if there are several'
            cand --keys-dir 'With --tls, the folder of the keys, as quiniela keys init makes it; made if it is missing or empty'
            cand --subnet 'Network of the containers'
            cand --persist 'Keep the bets on a named volume, which survives the central''s container'
            cand --postgres 'Keep the bets in a PostgreSQL with a synchronous standby, in two containers more; for exercises 5 to 8'
            cand --tls 'Run the exercise, 5 to 8, over TLS: each container gets the keys of its party, and no other''s'
            cand --force 'Replace an existing file even if it is not a Compose file of this lottery'
            cand --json 'With --output, print one JSON object about the file that was written'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;gen-data'= {
            cand --agencies 'Number of files to write; the bets are split unevenly between them'
            cand --bets 'Number of bets to write, in total'
            cand --seed 'Seed of the generator'
            cand --winners 'Exact number of bets on the winning number; if not given, it is random'
            cand --winning-number 'The winning number, whose bets --winners counts'
            cand --force 'Replace existing files, and remove those of agencies beyond the last'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys'= {
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand init 'Makes an authority, and a folder with a key and a certificate for each party'
            cand request 'Makes a key that stays here, and a request to have it certified'
            cand sign 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
            cand renew 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
            cand revoke 'Revokes all certificates that a party has so far, or one of them'
            cand show 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'quiniela;keys;init'= {
            cand --agencies 'Agencies, 1 to N'
            cand --server-name 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times'
            cand --days 'Days that certificates are valid, but no longer than the authority'
            cand --force 'Replace all keys and certificates that are there, and remove those of agencies behind the last'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;request'= {
            cand --agency 'Agency ID'
            cand --central 'The central'
            cand --operator 'The operator, who may ask for the status and hold a draw'
            cand --force 'Replace a key and a request that are there'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;sign'= {
            cand --agency 'Agency ID'
            cand --server-name 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times'
            cand --days 'Days that certificates are valid, but no longer than the authority'
            cand --central 'The central'
            cand --operator 'The operator, who may ask for the status and hold a draw'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;renew'= {
            cand --agency 'Agency ID'
            cand --server-name 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times'
            cand --days 'Days that certificates are valid, but no longer than the authority'
            cand --central 'The central'
            cand --operator 'The operator, who may ask for the status and hold a draw'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;revoke'= {
            cand --agency 'Agency ID'
            cand --serial 'The certificate with this serial number'
            cand --central 'The central'
            cand --operator 'The operator, who may ask for the status and hold a draw'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;show'= {
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;keys;help'= {
            cand init 'Makes an authority, and a folder with a key and a certificate for each party'
            cand request 'Makes a key that stays here, and a request to have it certified'
            cand sign 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
            cand renew 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
            cand revoke 'Revokes all certificates that a party has so far, or one of them'
            cand show 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'quiniela;keys;help;init'= {
        }
        &'quiniela;keys;help;request'= {
        }
        &'quiniela;keys;help;sign'= {
        }
        &'quiniela;keys;help;renew'= {
        }
        &'quiniela;keys;help;revoke'= {
        }
        &'quiniela;keys;help;show'= {
        }
        &'quiniela;keys;help;help'= {
        }
        &'quiniela;draw'= {
            cand --seal 'The seal over which the draw is held, 64 hexadecimal digits'
            cand --server 'The central, as host:port'
            cand --store 'The central''s store, a folder or postgres://USER@HOST,HOST/NAME, for a central without keys on this machine'
            cand --draw 'Which of the draws of a database; a folder holds one alone'
            cand --db-password-file 'File of the password for a database, so that it stands in no list of processes'
            cand --timeout 'Time limit for the whole command, such as 60s or 500ms'
            cand --keys 'Folder with the keys of an agency or of the operator; the check then uses TLS'
            cand --tls-ca 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys'
            cand --tls-cert 'Our own certificate, in PEM, instead of cert.pem in --keys'
            cand --tls-key 'The private key of our certificate, in PEM, instead of key.pem in --keys'
            cand --tls-crl 'List of revoked certificates, in PEM, instead of crl.pem in --keys'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;status'= {
            cand --server 'Where the central serves HTTP'
            cand --watch 'Show it again each second, in place on a terminal, until Ctrl-C'
            cand --json 'Print the object alone, as JSON in one line'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;demo'= {
            cand --agencies 'Agencies to run, at most 500'
            cand --data 'Folder of the files agency-1.csv, agency-2.csv and so on; default .data, or generated files if that has too few'
            cand --tls 'Make keys for the central and each agency, and run the lottery over TLS, in which every party proves who it is'
            cand --keep 'Keep the folder with the central''s files, the logs and the keys, and print its path'
            cand --json 'Print one JSON object at the end, and nothing before it'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;backup'= {
            cand --rate 'Most MiB to copy in a second, so that the central keeps its speed; 0 is no limit'
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;recover'= {
            cand --json 'Print one JSON object'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;audit'= {
            cand --draw 'Which of the draws of a database; a folder holds one alone'
            cand --db-password-file 'File of the password for a database, so that it stands in no list of processes'
            cand --agency 'Check the file of this agency against the acta'
            cand --data 'Folder of the agency''s file, agency-<id>.csv'
            cand --receipt 'What the agency was shown at the close; without it only the number of its bets and its winners can be checked'
            cand --ca 'File of the authority: everything must be signed by those who had to, with certificates that were valid then'
            cand --allow-unsigned 'With --ca, list what is not signed instead of failing; a bad signature still fails'
            cand --json 'Print one JSON object instead of a table'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;ticket'= {
            cand --draw 'Which of the draws of a database; a folder holds one alone'
            cand --db-password-file 'File of the password for a database, so that it stands in no list of processes'
            cand --agency 'The agency of the bet'
            cand --bet 'Which of the agency''s bets, from 1 on'
            cand --data 'Folder of the agency''s file, agency-<id>.csv, to make a ticket without the store'
            cand --receipt 'What the agency was shown at the close'
            cand --check 'Ticket to check'
            cand --seal 'Seal to check the ticket against, if there is no acta'
            cand --ca 'File of the authority: seal and number must be signed, with certificates that were valid then'
            cand --json 'Print one JSON object about the ticket that is checked; a ticket that is made is one anyway'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;migrate'= {
            cand --store 'The database: postgres://USER@HOST,HOST/NAME'
            cand --db-password-file 'File of the password for a database, so that it stands in no list of processes'
            cand --grant 'Role of the centrals, which gets the rights that a central needs'
            cand --retire 'Remove this draw and all of its bets; it has to be drawn'
            cand --json 'Print one JSON object about what was done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;export'= {
            cand --store 'The database: postgres://USER@HOST,HOST/NAME'
            cand --draw 'Which of the draws of a database; a folder holds one alone'
            cand --db-password-file 'File of the password for a database, so that it stands in no list of processes'
            cand --force 'Replace the files of a folder'
            cand --json 'Print one JSON object about what was written'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;completions'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;man'= {
            cand --dir 'Folder for the pages quiniela.1, quiniela-server.1 and so on; created if it is missing'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;help'= {
            cand server 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners'
            cand agency 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners'
            cand echo-check 'Sends a line to an echo server, and checks that it comes back unchanged'
            cand health 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container''s health check'
            cand gen-compose 'Writes a Docker Compose file with the central and N agencies'
            cand gen-data 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files'
            cand keys 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is'
            cand draw 'Holds the draw of a lottery that was begun with --winning-number later'
            cand status 'Shows how a running central fares: its phase, its seal, each agency''s bets, and how fast they are acknowledged'
            cand demo 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result'
            cand backup 'Copies a central''s store, which may be in use: all of its files as they were at one moment'
            cand recover 'Repairs a store after a crash or a power loss as the start of a central does, and closes it'
            cand audit 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta'
            cand ticket 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won'
            cand migrate 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows'
            cand export 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder''s central has them'
            cand completions 'Prints the completion script of a shell'
            cand man 'Prints the manual pages of all commands, one after another, or writes them to a folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'quiniela;help;server'= {
        }
        &'quiniela;help;agency'= {
        }
        &'quiniela;help;echo-check'= {
        }
        &'quiniela;help;health'= {
        }
        &'quiniela;help;gen-compose'= {
        }
        &'quiniela;help;gen-data'= {
        }
        &'quiniela;help;keys'= {
            cand init 'Makes an authority, and a folder with a key and a certificate for each party'
            cand request 'Makes a key that stays here, and a request to have it certified'
            cand sign 'Answers a request with a certificate. The flag says for whom, and nothing in the request does'
            cand renew 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked'
            cand revoke 'Revokes all certificates that a party has so far, or one of them'
            cand show 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked'
        }
        &'quiniela;help;keys;init'= {
        }
        &'quiniela;help;keys;request'= {
        }
        &'quiniela;help;keys;sign'= {
        }
        &'quiniela;help;keys;renew'= {
        }
        &'quiniela;help;keys;revoke'= {
        }
        &'quiniela;help;keys;show'= {
        }
        &'quiniela;help;draw'= {
        }
        &'quiniela;help;status'= {
        }
        &'quiniela;help;demo'= {
        }
        &'quiniela;help;backup'= {
        }
        &'quiniela;help;recover'= {
        }
        &'quiniela;help;audit'= {
        }
        &'quiniela;help;ticket'= {
        }
        &'quiniela;help;migrate'= {
        }
        &'quiniela;help;export'= {
        }
        &'quiniela;help;completions'= {
        }
        &'quiniela;help;man'= {
        }
        &'quiniela;help;help'= {
        }
    ]
    $completions[$command]
}
