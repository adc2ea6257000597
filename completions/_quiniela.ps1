
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'quiniela' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'quiniela'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'quiniela' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('server', 'server', [CompletionResultType]::ParameterValue, 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners')
            [CompletionResult]::new('agency', 'agency', [CompletionResultType]::ParameterValue, 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners')
            [CompletionResult]::new('echo-check', 'echo-check', [CompletionResultType]::ParameterValue, 'Sends a line to an echo server, and checks that it comes back unchanged')
            [CompletionResult]::new('health', 'health', [CompletionResultType]::ParameterValue, 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container''s health check')
            [CompletionResult]::new('gen-compose', 'gen-compose', [CompletionResultType]::ParameterValue, 'Writes a Docker Compose file with the central and N agencies')
            [CompletionResult]::new('gen-data', 'gen-data', [CompletionResultType]::ParameterValue, 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is')
            [CompletionResult]::new('draw', 'draw', [CompletionResultType]::ParameterValue, 'Holds the draw of a lottery that was begun with --winning-number later')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Shows how a running central fares: its phase, its seal, each agency''s bets, and how fast they are acknowledged')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result')
            [CompletionResult]::new('backup', 'backup', [CompletionResultType]::ParameterValue, 'Copies a central''s store, which may be in use: all of its files as they were at one moment')
            [CompletionResult]::new('recover', 'recover', [CompletionResultType]::ParameterValue, 'Repairs a store after a crash or a power loss as the start of a central does, and closes it')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta')
            [CompletionResult]::new('ticket', 'ticket', [CompletionResultType]::ParameterValue, 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won')
            [CompletionResult]::new('migrate', 'migrate', [CompletionResultType]::ParameterValue, 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder''s central has them')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints the manual pages of all commands, one after another, or writes them to a folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'quiniela;server' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, an ini file with the section DEFAULT; only the default may be missing [default: config.ini]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'TCP port to listen on; 0 takes a free one, and the log says which [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Address of this machine to listen on; 0.0.0.0 is all of them [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]')
            [CompletionResult]::new('--backlog', '--backlog', [CompletionResultType]::ParameterName, 'Connections that may wait to be accepted; the kernel may allow fewer [env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Minimum level to log, by Python''s or Go''s name [env: LOGGING_LEVEL] [file: LOGGING_LEVEL] [default: INFO]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log: text as the exercises have it, or json with one object a line [env: LOGGING_FORMAT] [file: LOGGING_FORMAT] [default: text]')
            [CompletionResult]::new('--client-amount', '--client-amount', [CompletionResultType]::ParameterName, 'Agencies 1 to N take part; auto detects N; with 0 there is no lottery, only the echo server [env: CLIENT_AMOUNT] [file: CLIENT_AMOUNT] [default: 5]')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Folder of bets.csv and its journal; or postgres://USER@HOST,HOST/NAME, which several centrals share [env: STORE_DIR] [file: STORE_DIR] [default: .]')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for the database, so that it stands in no list of processes [env: DB_PASSWORD_FILE] [file: DB_PASSWORD_FILE]')
            [CompletionResult]::new('--draw', '--draw', [CompletionResultType]::ParameterName, 'Which of the draws of the database [env: DRAW] [file: DRAW] [default: default]')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Folder with this party''s certificate and key, as quiniela keys makes it; connections then use TLS [env: TLS_KEYS] [file: TLS_KEYS]')
            [CompletionResult]::new('--tls-ca', '--tls-ca', [CompletionResultType]::ParameterName, 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: TLS_CA] [file: TLS_CA]')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Our own certificate, in PEM, instead of cert.pem in --keys [env: TLS_CERT] [file: TLS_CERT]')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: TLS_KEY] [file: TLS_KEY]')
            [CompletionResult]::new('--tls-crl', '--tls-crl', [CompletionResultType]::ParameterName, 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: TLS_CRL] [file: TLS_CRL]')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'With keys, what connections without TLS get: echo sends lines back, none closes them [env: TLS_PLAIN] [file: TLS_PLAIN] [default: echo]')
            [CompletionResult]::new('--winning-number', '--winning-number', [CompletionResultType]::ParameterName, 'Number that wins the draw; later lets `quiniela draw` hold the draw, after betting is closed and sealed [default: 7574]')
            [CompletionResult]::new('--workers', '--workers', [CompletionResultType]::ParameterName, 'Threads that answer requests [default: 64]')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Connections with something to read that may wait for a worker; more are refused [default: 4096]')
            [CompletionResult]::new('--max-connections', '--max-connections', [CompletionResultType]::ParameterName, 'Connections open at once; more are refused [default: 20000]')
            [CompletionResult]::new('--max-connections-per-address', '--max-connections-per-address', [CompletionResultType]::ParameterName, 'Connections open at once from one address; more are refused; auto is a quarter of all, and at least 64 [default: auto]')
            [CompletionResult]::new('--peer-memory', '--peer-memory', [CompletionResultType]::ParameterName, 'Memory in MiB for what all peers have begun or not read; beyond it, those that hold most for longest are refused [default: 64]')
            [CompletionResult]::new('--frame-deadline', '--frame-deadline', [CompletionResultType]::ParameterName, 'Time from a frame''s first byte to its last, and for a peer to take its replies, such as 10s or 500ms [default: 10s]')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Time that a stop may take, such as 5s or 500ms [default: 5s]')
            [CompletionResult]::new('--quiet-time', '--quiet-time', [CompletionResultType]::ParameterName, 'With --client-amount auto: time without a new agency before the draw, such as 5s or 500ms [default: 5s]')
            [CompletionResult]::new('--unbalanced', '--unbalanced', [CompletionResultType]::ParameterName, 'What becomes of a DONE that declares other bets than are stored: refuse, or accept and say so in the acta [default: refuse]')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Address and port of this machine for metrics, readiness and pages over HTTP, such as 127.0.0.1:7574; off if not given [env: HTTP] [file: HTTP]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print every setting and where its value came from, and exit')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'With --print-config, print one JSON object')
            [CompletionResult]::new('--require-signed', '--require-signed', [CompletionResultType]::ParameterName, 'Take an agency''s DONE only with its signature over what it has sent; this needs --keys')
            [CompletionResult]::new('--require-standby', '--require-standby', [CompletionResultType]::ParameterName, 'Take only a database whose commits wait for a standby, instead of warning of another')
            [CompletionResult]::new('--stop-on-eof', '--stop-on-eof', [CompletionResultType]::ParameterName, 'Stop when standard input ends, as the demo''s processes do')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;agency' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in YAML; only the default may be missing [default: config.yaml]')
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'The agency''s number, from 1 [env: CLI_ID]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The central, as host:port; several that share a ledger with commas between them [env: CLI_SERVER_ADDRESS] [file: server.address] [default: server:12345]')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Folder with this party''s certificate and key, as quiniela keys makes it; connections then use TLS [env: CLI_TLS_KEYS] [file: tls.keys]')
            [CompletionResult]::new('--tls-ca', '--tls-ca', [CompletionResultType]::ParameterName, 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys [env: CLI_TLS_CA] [file: tls.ca]')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Our own certificate, in PEM, instead of cert.pem in --keys [env: CLI_TLS_CERT] [file: tls.cert]')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The private key of our certificate, in PEM, instead of key.pem in --keys [env: CLI_TLS_KEY] [file: tls.key]')
            [CompletionResult]::new('--tls-crl', '--tls-crl', [CompletionResultType]::ParameterName, 'List of revoked certificates, in PEM, instead of crl.pem in --keys [env: CLI_TLS_CRL] [file: tls.crl]')
            [CompletionResult]::new('--lottery', '--lottery', [CompletionResultType]::ParameterName, 'The id of the only lottery to take part in, which the central has to tell [env: CLI_LOTTERY] [file: lottery]')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'lottery sends every bet of the file and gets the winners; bet sends one bet, from NOMBRE, APELLIDO, DOCUMENTO, NACIMIENTO and NUMERO; echo sends lines to the echo server [env: CLI_MODE] [default: lottery]')
            [CompletionResult]::new('--data', '--data', [CompletionResultType]::ParameterName, 'Folder of the lottery''s file, agency-<id>.csv [env: CLI_DATA] [default: .data]')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Send the file''s bets as it grows, until SIGUSR1, a line #cierre in it, or --close-at; yes or no, yes if it stands alone [env: CLI_FOLLOW] [file: data.follow] [default: no]')
            [CompletionResult]::new('--close-at', '--close-at', [CompletionResultType]::ParameterName, 'With --follow, the local time from which on the file gets no more bets: 20:30 today, or 2026-12-31T20:30 [env: CLI_CLOSE_AT] [file: data.closeAt]')
            [CompletionResult]::new('--loop-amount', '--loop-amount', [CompletionResultType]::ParameterName, 'Lines that the mode echo sends [env: CLI_LOOP_AMOUNT] [file: loop.amount] [default: 5]')
            [CompletionResult]::new('--loop-period', '--loop-period', [CompletionResultType]::ParameterName, 'Wait between two messages, such as 100ms, 5s or 1m30s; the lottery waits only if this is set [env: CLI_LOOP_PERIOD] [file: loop.period] [default: 5s]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Minimum level to log, by Python''s or Go''s name [env: CLI_LOG_LEVEL] [file: log.level] [default: INFO]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log: text as the exercises have it, or json with one object a line [env: CLI_LOG_FORMAT] [file: log.format] [default: text]')
            [CompletionResult]::new('--batch-max', '--batch-max', [CompletionResultType]::ParameterName, 'Maximum bets in a batch; since a batch must fit 8192 bytes, it never holds more than 430 [env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]')
            [CompletionResult]::new('--batch-period', '--batch-period', [CompletionResultType]::ParameterName, 'Wait between two messages of the lottery, instead of --loop-period; with 0s several batches are in flight [env: CLI_BATCH_PERIOD] [file: batch.period]')
            [CompletionResult]::new('--in-flight', '--in-flight', [CompletionResultType]::ParameterName, 'Maximum batches sent and not yet acknowledged, if the lottery does not wait between messages [default: 256]')
            [CompletionResult]::new('--retry-for', '--retry-for', [CompletionResultType]::ParameterName, 'Time to keep retrying without progress, such as 60s or 500ms [default: 60s]')
            [CompletionResult]::new('--winners', '--winners', [CompletionResultType]::ParameterName, 'File to write the winners'' documents to, one a line')
            [CompletionResult]::new('--receipt', '--receipt', [CompletionResultType]::ParameterName, 'File to keep the receipt of the seal in, which nobody but you should read [env: CLI_RECEIPT]')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print every setting and where its value came from, and exit')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'With --print-config, print one JSON object')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Let --winners and --receipt replace a file of another kind')
            [CompletionResult]::new('--stop-on-eof', '--stop-on-eof', [CompletionResultType]::ParameterName, 'Stop when standard input ends, as the demo''s processes do')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;echo-check' {
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit for the whole check, such as 3s or 500ms')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Folder with the keys of an agency or of the operator; the check then uses TLS')
            [CompletionResult]::new('--tls-ca', '--tls-ca', [CompletionResultType]::ParameterName, 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Our own certificate, in PEM, instead of cert.pem in --keys')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The private key of our certificate, in PEM, instead of key.pem in --keys')
            [CompletionResult]::new('--tls-crl', '--tls-crl', [CompletionResultType]::ParameterName, 'List of revoked certificates, in PEM, instead of crl.pem in --keys')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;health' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The central''s configuration file; only the default may be missing [default: config.ini]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'TCP port that the central listens on [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Address that the central listens on; 0.0.0.0 and :: are asked at 127.0.0.1, then at ::1 [env: SERVER_BIND] [file: SERVER_BIND] [default: 0.0.0.0]')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Folder with the keys of an agency or of the operator; the check then uses TLS')
            [CompletionResult]::new('--tls-ca', '--tls-ca', [CompletionResultType]::ParameterName, 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Our own certificate, in PEM, instead of cert.pem in --keys')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The private key of our certificate, in PEM, instead of key.pem in --keys')
            [CompletionResult]::new('--tls-crl', '--tls-crl', [CompletionResultType]::ParameterName, 'List of revoked certificates, in PEM, instead of crl.pem in --keys')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object, where otherwise nothing is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;gen-compose' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'File to write, whole or not at all; standard output if not given')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'File to write, whole or not at all; standard output if not given')
            [CompletionResult]::new('--exercise', '--exercise', [CompletionResultType]::ParameterName, 'Exercise to run: 1 to 4 run the echo loop, 5 sends one bet from each agency, 6 to 8 run the lottery')
            [CompletionResult]::new('--centrals', '--centrals', [CompletionResultType]::ParameterName, 'Number of centrals, which share a ledger if there are several')
            [CompletionResult]::new('--keys-dir', '--keys-dir', [CompletionResultType]::ParameterName, 'With --tls, the folder of the keys, as quiniela keys init makes it; made if it is missing or empty')
            [CompletionResult]::new('--subnet', '--subnet', [CompletionResultType]::ParameterName, 'Network of the containers')
            [CompletionResult]::new('--persist', '--persist', [CompletionResultType]::ParameterName, 'Keep the bets on a named volume, which survives the central''s container')
            [CompletionResult]::new('--postgres', '--postgres', [CompletionResultType]::ParameterName, 'Keep the bets in a PostgreSQL with a synchronous standby, in two containers more; for exercises 5 to 8')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'Run the exercise, 5 to 8, over TLS: each container gets the keys of its party, and no other''s')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace an existing file even if it is not a Compose file of this lottery')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'With --output, print one JSON object about the file that was written')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;gen-data' {
            [CompletionResult]::new('--agencies', '--agencies', [CompletionResultType]::ParameterName, 'Number of files to write; the bets are split unevenly between them')
            [CompletionResult]::new('--bets', '--bets', [CompletionResultType]::ParameterName, 'Number of bets to write, in total')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of the generator')
            [CompletionResult]::new('--winners', '--winners', [CompletionResultType]::ParameterName, 'Exact number of bets on the winning number; if not given, it is random')
            [CompletionResult]::new('--winning-number', '--winning-number', [CompletionResultType]::ParameterName, 'The winning number, whose bets --winners counts')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace existing files, and remove those of agencies beyond the last')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Makes an authority, and a folder with a key and a certificate for each party')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Makes a key that stays here, and a request to have it certified')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Answers a request with a certificate. The flag says for whom, and nothing in the request does')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revokes all certificates that a party has so far, or one of them')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'quiniela;keys;init' {
            [CompletionResult]::new('--agencies', '--agencies', [CompletionResultType]::ParameterName, 'Agencies, 1 to N')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times')
            [CompletionResult]::new('--days', '--days', [CompletionResultType]::ParameterName, 'Days that certificates are valid, but no longer than the authority')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace all keys and certificates that are there, and remove those of agencies behind the last')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;request' {
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'Agency ID')
            [CompletionResult]::new('--central', '--central', [CompletionResultType]::ParameterName, 'The central')
            [CompletionResult]::new('--operator', '--operator', [CompletionResultType]::ParameterName, 'The operator, who may ask for the status and hold a draw')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace a key and a request that are there')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;sign' {
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'Agency ID')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times')
            [CompletionResult]::new('--days', '--days', [CompletionResultType]::ParameterName, 'Days that certificates are valid, but no longer than the authority')
            [CompletionResult]::new('--central', '--central', [CompletionResultType]::ParameterName, 'The central')
            [CompletionResult]::new('--operator', '--operator', [CompletionResultType]::ParameterName, 'The operator, who may ask for the status and hold a draw')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;renew' {
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'Agency ID')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Host name or IP address of the central, as agencies reach it; localhost, 127.0.0.1, ::1 and server need no saying. Can be given several times')
            [CompletionResult]::new('--days', '--days', [CompletionResultType]::ParameterName, 'Days that certificates are valid, but no longer than the authority')
            [CompletionResult]::new('--central', '--central', [CompletionResultType]::ParameterName, 'The central')
            [CompletionResult]::new('--operator', '--operator', [CompletionResultType]::ParameterName, 'The operator, who may ask for the status and hold a draw')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;revoke' {
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'Agency ID')
            [CompletionResult]::new('--serial', '--serial', [CompletionResultType]::ParameterName, 'The certificate with this serial number')
            [CompletionResult]::new('--central', '--central', [CompletionResultType]::ParameterName, 'The central')
            [CompletionResult]::new('--operator', '--operator', [CompletionResultType]::ParameterName, 'The operator, who may ask for the status and hold a draw')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;show' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;keys;help' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Makes an authority, and a folder with a key and a certificate for each party')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Makes a key that stays here, and a request to have it certified')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Answers a request with a certificate. The flag says for whom, and nothing in the request does')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revokes all certificates that a party has so far, or one of them')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'quiniela;keys;help;init' {
            break
        }
        'quiniela;keys;help;request' {
            break
        }
        'quiniela;keys;help;sign' {
            break
        }
        'quiniela;keys;help;renew' {
            break
        }
        'quiniela;keys;help;revoke' {
            break
        }
        'quiniela;keys;help;show' {
            break
        }
        'quiniela;keys;help;help' {
            break
        }
        'quiniela;draw' {
            [CompletionResult]::new('--seal', '--seal', [CompletionResultType]::ParameterName, 'The seal over which the draw is held, 64 hexadecimal digits')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The central, as host:port')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The central''s store, a folder or postgres://USER@HOST,HOST/NAME, for a central without keys on this machine')
            [CompletionResult]::new('--draw', '--draw', [CompletionResultType]::ParameterName, 'Which of the draws of a database; a folder holds one alone')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for a database, so that it stands in no list of processes')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time limit for the whole command, such as 60s or 500ms')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Folder with the keys of an agency or of the operator; the check then uses TLS')
            [CompletionResult]::new('--tls-ca', '--tls-ca', [CompletionResultType]::ParameterName, 'Certificate of the authority to trust, in PEM, instead of ca.pem in --keys')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Our own certificate, in PEM, instead of cert.pem in --keys')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'The private key of our certificate, in PEM, instead of key.pem in --keys')
            [CompletionResult]::new('--tls-crl', '--tls-crl', [CompletionResultType]::ParameterName, 'List of revoked certificates, in PEM, instead of crl.pem in --keys')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;status' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Where the central serves HTTP')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Show it again each second, in place on a terminal, until Ctrl-C')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the object alone, as JSON in one line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;demo' {
            [CompletionResult]::new('--agencies', '--agencies', [CompletionResultType]::ParameterName, 'Agencies to run, at most 500')
            [CompletionResult]::new('--data', '--data', [CompletionResultType]::ParameterName, 'Folder of the files agency-1.csv, agency-2.csv and so on; default .data, or generated files if that has too few')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'Make keys for the central and each agency, and run the lottery over TLS, in which every party proves who it is')
            [CompletionResult]::new('--keep', '--keep', [CompletionResultType]::ParameterName, 'Keep the folder with the central''s files, the logs and the keys, and print its path')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object at the end, and nothing before it')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;backup' {
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Most MiB to copy in a second, so that the central keeps its speed; 0 is no limit')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;recover' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;audit' {
            [CompletionResult]::new('--draw', '--draw', [CompletionResultType]::ParameterName, 'Which of the draws of a database; a folder holds one alone')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for a database, so that it stands in no list of processes')
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'Check the file of this agency against the acta')
            [CompletionResult]::new('--data', '--data', [CompletionResultType]::ParameterName, 'Folder of the agency''s file, agency-<id>.csv')
            [CompletionResult]::new('--receipt', '--receipt', [CompletionResultType]::ParameterName, 'What the agency was shown at the close; without it only the number of its bets and its winners can be checked')
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'File of the authority: everything must be signed by those who had to, with certificates that were valid then')
            [CompletionResult]::new('--allow-unsigned', '--allow-unsigned', [CompletionResultType]::ParameterName, 'With --ca, list what is not signed instead of failing; a bad signature still fails')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object instead of a table')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;ticket' {
            [CompletionResult]::new('--draw', '--draw', [CompletionResultType]::ParameterName, 'Which of the draws of a database; a folder holds one alone')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for a database, so that it stands in no list of processes')
            [CompletionResult]::new('--agency', '--agency', [CompletionResultType]::ParameterName, 'The agency of the bet')
            [CompletionResult]::new('--bet', '--bet', [CompletionResultType]::ParameterName, 'Which of the agency''s bets, from 1 on')
            [CompletionResult]::new('--data', '--data', [CompletionResultType]::ParameterName, 'Folder of the agency''s file, agency-<id>.csv, to make a ticket without the store')
            [CompletionResult]::new('--receipt', '--receipt', [CompletionResultType]::ParameterName, 'What the agency was shown at the close')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Ticket to check')
            [CompletionResult]::new('--seal', '--seal', [CompletionResultType]::ParameterName, 'Seal to check the ticket against, if there is no acta')
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'File of the authority: seal and number must be signed, with certificates that were valid then')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object about the ticket that is checked; a ticket that is made is one anyway')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;migrate' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The database: postgres://USER@HOST,HOST/NAME')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for a database, so that it stands in no list of processes')
            [CompletionResult]::new('--grant', '--grant', [CompletionResultType]::ParameterName, 'Role of the centrals, which gets the rights that a central needs')
            [CompletionResult]::new('--retire', '--retire', [CompletionResultType]::ParameterName, 'Remove this draw and all of its bets; it has to be drawn')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object about what was done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;export' {
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The database: postgres://USER@HOST,HOST/NAME')
            [CompletionResult]::new('--draw', '--draw', [CompletionResultType]::ParameterName, 'Which of the draws of a database; a folder holds one alone')
            [CompletionResult]::new('--db-password-file', '--db-password-file', [CompletionResultType]::ParameterName, 'File of the password for a database, so that it stands in no list of processes')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace the files of a folder')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object about what was written')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;man' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Folder for the pages quiniela.1, quiniela-server.1 and so on; created if it is missing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'quiniela;help' {
            [CompletionResult]::new('server', 'server', [CompletionResultType]::ParameterValue, 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners')
            [CompletionResult]::new('agency', 'agency', [CompletionResultType]::ParameterValue, 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners')
            [CompletionResult]::new('echo-check', 'echo-check', [CompletionResultType]::ParameterValue, 'Sends a line to an echo server, and checks that it comes back unchanged')
            [CompletionResult]::new('health', 'health', [CompletionResultType]::ParameterValue, 'Checks that the central on this machine echoes a line, and exits with 0 if it does: a container''s health check')
            [CompletionResult]::new('gen-compose', 'gen-compose', [CompletionResultType]::ParameterValue, 'Writes a Docker Compose file with the central and N agencies')
            [CompletionResult]::new('gen-data', 'gen-data', [CompletionResultType]::ParameterValue, 'Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'Makes, renews and revokes the certificates of a lottery in which every party proves who it is')
            [CompletionResult]::new('draw', 'draw', [CompletionResultType]::ParameterValue, 'Holds the draw of a lottery that was begun with --winning-number later')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Shows how a running central fares: its phase, its seal, each agency''s bets, and how fast they are acknowledged')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Runs a whole lottery on this machine, the central and each agency as a process, and checks the result')
            [CompletionResult]::new('backup', 'backup', [CompletionResultType]::ParameterValue, 'Copies a central''s store, which may be in use: all of its files as they were at one moment')
            [CompletionResult]::new('recover', 'recover', [CompletionResultType]::ParameterValue, 'Repairs a store after a crash or a power loss as the start of a central does, and closes it')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta')
            [CompletionResult]::new('ticket', 'ticket', [CompletionResultType]::ParameterValue, 'Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won')
            [CompletionResult]::new('migrate', 'migrate', [CompletionResultType]::ParameterValue, 'Makes the tables of a database that several centrals share, or brings them to the version that this program knows')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder''s central has them')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints the manual pages of all commands, one after another, or writes them to a folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'quiniela;help;server' {
            break
        }
        'quiniela;help;agency' {
            break
        }
        'quiniela;help;echo-check' {
            break
        }
        'quiniela;help;health' {
            break
        }
        'quiniela;help;gen-compose' {
            break
        }
        'quiniela;help;gen-data' {
            break
        }
        'quiniela;help;keys' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Makes an authority, and a folder with a key and a certificate for each party')
            [CompletionResult]::new('request', 'request', [CompletionResultType]::ParameterValue, 'Makes a key that stays here, and a request to have it certified')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Answers a request with a certificate. The flag says for whom, and nothing in the request does')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Gives a party a new key and a new certificate. The old one stays valid until it is revoked')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revokes all certificates that a party has so far, or one of them')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Tells every certificate that was made: whose it is, from when and until when, and whether it is revoked')
            break
        }
        'quiniela;help;keys;init' {
            break
        }
        'quiniela;help;keys;request' {
            break
        }
        'quiniela;help;keys;sign' {
            break
        }
        'quiniela;help;keys;renew' {
            break
        }
        'quiniela;help;keys;revoke' {
            break
        }
        'quiniela;help;keys;show' {
            break
        }
        'quiniela;help;draw' {
            break
        }
        'quiniela;help;status' {
            break
        }
        'quiniela;help;demo' {
            break
        }
        'quiniela;help;backup' {
            break
        }
        'quiniela;help;recover' {
            break
        }
        'quiniela;help;audit' {
            break
        }
        'quiniela;help;ticket' {
            break
        }
        'quiniela;help;migrate' {
            break
        }
        'quiniela;help;export' {
            break
        }
        'quiniela;help;completions' {
            break
        }
        'quiniela;help;man' {
            break
        }
        'quiniela;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
