
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
            cand echo-check 'Asks an echo server for its echo, and tells whether it came back unchanged'
            cand health 'Asks the central on this machine for an echo, and exits with 0 if it came: a container''s health check'
            cand gen-compose 'Writes a Docker Compose file with the central and N agencies'
            cand gen-data 'Writes files of plausible Argentine bets, the same for the same seed, one file an agency'
            cand demo 'Holds a whole lottery on this machine: a central and its agencies, each its own process, and checks what they did'
            cand completions 'Prints a shell''s completions'
            cand man 'Prints the manual, a page for each command, one behind the other'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'quiniela;server'= {
            cand --config 'The configuration file, an ini file with the section DEFAULT; it may be missing'
            cand --port 'TCP port to listen on; 0 takes a free one, and the log says which [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]'
            cand --bind 'Address of this machine to listen on; 0.0.0.0 is all of them [default: 0.0.0.0]'
            cand --backlog 'Connections that may wait to be accepted; the kernel may allow fewer [env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]'
            cand --log-level 'Least grave level that is logged, by Python''s or Go''s name [env: LOGGING_LEVEL] [file: LOGGING_LEVEL] [default: INFO]'
            cand --client-amount 'Agencies 1 to N take part; auto finds N out; with 0 there is no lottery, only the echo server [env: CLIENT_AMOUNT] [file: CLIENT_AMOUNT] [default: 5]'
            cand --store 'Folder of bets.csv and its journal [env: STORE_DIR] [file: STORE_DIR] [default: .]'
            cand --winning-number 'Number that wins the draw [default: 7574]'
            cand --workers 'Threads that answer requests [default: 64]'
            cand --queue 'Connections with something to read that may wait for a worker; more are refused [default: 4096]'
            cand --max-connections 'Connections open at once; more are refused [default: 20000]'
            cand --frame-deadline 'Time from a frame''s first byte to its last, and for a peer to take its replies, as 10s or 500ms [default: 10s]'
            cand --stop-timeout 'Time that a stop may take, as 5s or 500ms [default: 5s]'
            cand --quiet-time 'With --client-amount auto: time without a new agency before the draw, as 5s or 500ms [default: 5s]'
            cand --print-config 'Print every setting and where its value came from, and exit'
            cand --stop-on-eof 'Stop when standard input ends: how the demo''s processes notice its end'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;agency'= {
            cand --config 'The configuration file, in YAML; it may be missing'
            cand --id 'The agency''s number, from 1 [env: CLI_ID]'
            cand --server 'The central, as host:port [env: CLI_SERVER_ADDRESS] [file: server.address] [default: server:12345]'
            cand --mode 'lottery: every bet of the file, the draw, the winners; bet: one bet, from NOMBRE, APELLIDO, DOCUMENTO, NACIMIENTO and NUMERO; echo: lines to the echo server [env: CLI_MODE] [default: lottery]'
            cand --data 'Folder of the lottery''s file, agency-<id>.csv [env: CLI_DATA] [default: .data]'
            cand --loop-amount 'Lines that the mode echo sends [env: CLI_LOOP_AMOUNT] [file: loop.amount] [default: 5]'
            cand --loop-period 'Wait between two messages, as 100ms, 5s or 1m30s; the lottery waits only where this is said [env: CLI_LOOP_PERIOD] [file: loop.period] [default: 5s]'
            cand --log-level 'Least grave level that is logged, by Python''s or Go''s name [env: CLI_LOG_LEVEL] [file: log.level] [default: INFO]'
            cand --batch-max 'Most bets in a batch; fewer where 8192 bytes hold no more, and those never hold more than 430 [env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]'
            cand --batch-period 'Wait between two messages of the lottery, instead of the loop''s; with 0s batches are in flight together [env: CLI_BATCH_PERIOD] [file: batch.period]'
            cand --in-flight 'Batches sent and not yet acknowledged, where none waits for another [default: 256]'
            cand --retry-for 'Time to go on trying without any progress, as 60s or 500ms [default: 60s]'
            cand --winners 'File to write the winners'' documents to, one a line'
            cand --print-config 'Print every setting and where its value came from, and exit'
            cand --stop-on-eof 'Stop when standard input ends: how the demo''s processes notice its end'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;echo-check'= {
            cand --timeout 'Time that all of it may take, as 3s or 500ms'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;health'= {
            cand --config 'The central''s configuration file; it may be missing'
            cand --port 'TCP port to listen on; 0 takes a free one, and the log says which [env: SERVER_PORT] [file: SERVER_PORT] [default: 12345]'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;gen-compose'= {
            cand -o 'File to write, all of it or nothing; without it, standard output'
            cand --output 'File to write, all of it or nothing; without it, standard output'
            cand --exercise 'Exercise that the agencies play: 1 to 4 the echo loop, 5 one bet each, 6 to 8 the lottery'
            cand --subnet 'Network of the containers'
            cand --persist 'Keep the bets on a named volume, which outlives the central''s container'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;gen-data'= {
            cand --agencies 'Files to write; they share the bets unevenly'
            cand --bets 'Bets to write, in all files together'
            cand --seed 'What chance starts from'
            cand --winners 'Exactly so many bets are on the winning number; without it chance decides'
            cand --winning-number 'Number that --winners counts'
            cand --force 'Replace files that are there already'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;demo'= {
            cand --agencies 'Agencies to run, at most 500'
            cand --data 'Folder of the agencies'' files, agency-1.csv and so on'
            cand --keep 'Keep the folder with what the central stored, and say where it is'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;completions'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;man'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'quiniela;help'= {
            cand server 'Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners'
            cand agency 'Runs an agency: sends its bets to the central, waits for the draw, asks for its winners'
            cand echo-check 'Asks an echo server for its echo, and tells whether it came back unchanged'
            cand health 'Asks the central on this machine for an echo, and exits with 0 if it came: a container''s health check'
            cand gen-compose 'Writes a Docker Compose file with the central and N agencies'
            cand gen-data 'Writes files of plausible Argentine bets, the same for the same seed, one file an agency'
            cand demo 'Holds a whole lottery on this machine: a central and its agencies, each its own process, and checks what they did'
            cand completions 'Prints a shell''s completions'
            cand man 'Prints the manual, a page for each command, one behind the other'
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
        &'quiniela;help;demo'= {
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
