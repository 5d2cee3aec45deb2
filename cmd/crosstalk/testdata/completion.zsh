#compdef crosstalk
# zsh completion for crosstalk
_crosstalk() {
	local at= word skip= i
	local -a items
	for ((i = 2; i < CURRENT; i++)); do
		word=${words[i]}
		if [[ -n $skip ]]; then skip=; continue; fi
		case "$at $word" in
		' serve') at+=" $word" ;;
		' version') at+=" $word" ;;
		' completion') at+=" $word" ;;
		' serve --addr') skip=1 ;;
		' serve --port') skip=1 ;;
		' serve --server-url') skip=1 ;;
		' serve --pprof') skip=1 ;;
		' serve --key') skip=1 ;;
		' serve --allowed-host') skip=1 ;;
		' serve --allowed-origin') skip=1 ;;
		' serve --db') skip=1 ;;
		' serve --database-url') skip=1 ;;
		' serve --cleanup-days') skip=1 ;;
		' serve --log-level') skip=1 ;;
		' serve --log-format') skip=1 ;;
		esac
	done
	word=${words[CURRENT - 1]}
	if [[ ${words[CURRENT]} == --*=* ]]; then
		word=${words[CURRENT]%%=*}
		compset -P '*='
	elif [[ -z $skip ]]; then
		word=
	fi
	case "$at $word" in
	' serve --addr') _message value; return ;;
	' serve --port') _message value; return ;;
	' serve --server-url') _message value; return ;;
	' serve --pprof') _message value; return ;;
	' serve --key') _message value; return ;;
	' serve --allowed-host') _message value; return ;;
	' serve --allowed-origin') _message value; return ;;
	' serve --db') _files; return ;;
	' serve --database-url') _message value; return ;;
	' serve --cleanup-days') _message value; return ;;
	' serve --log-level') compadd -- debug info warn error ; return ;;
	' serve --log-format') compadd -- auto text json ; return ;;
	esac
	case "$at" in
	'')
		items=('serve:Run the hub: REST, WebSocket and Server-Sent Events on one port.' 'version:Print the version of this build and of what it stands on.' 'completion:Print a script that completes this command in your shell.' '--help:Show context-sensitive help.' )
		;;
	' serve')
		items=('--help:Show context-sensitive help.' '--addr:Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787.' '--port:Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before.' '--server-url:Where clients reach this hub, such as https://bus.example.com.' '--pprof:Serve Go'"'"'s profiles here; a loopback address.' '--key:The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine.' '--allowed-host:Without a key, also answer to this name; for instance the machine'"'"'s own.' '--allowed-origin:Let web pages from here call the hub, such as https://app.example.com.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database. Not in this build: the hub refuses to start with it.' '--cleanup-days:Delete messages older than this; 0 keeps all. Without it: 30.' '--log-level:debug, info, warn or error. Only debug shows what messages say.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' )
		;;
	' version')
		items=('--help:Show context-sensitive help.' )
		;;
	' completion')
		items=('bash' 'zsh' 'fish' '--help:Show context-sensitive help.' )
		;;
	esac
	_describe crosstalk items
}
if [[ $funcstack[1] == _crosstalk ]]; then _crosstalk "$@"; else compdef _crosstalk crosstalk; fi
