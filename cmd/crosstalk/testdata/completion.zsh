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
		' mcp') at+=" $word" ;;
		' mcp-config') at+=" $word" ;;
		' import') at+=" $word" ;;
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
		' serve --wait-ceiling') skip=1 ;;
		' serve --mutual-grace') skip=1 ;;
		' mcp --db') skip=1 ;;
		' mcp --url') skip=1 ;;
		' mcp --key') skip=1 ;;
		' mcp --log-level') skip=1 ;;
		' mcp --log-format') skip=1 ;;
		' mcp --wait-ceiling') skip=1 ;;
		' mcp --mutual-grace') skip=1 ;;
		' mcp-config --url') skip=1 ;;
		' import cross-claude') at+=" $word" ;;
		' import cross-claude --db') skip=1 ;;
		' import cross-claude --log-level') skip=1 ;;
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
	' serve --wait-ceiling') _message value; return ;;
	' serve --mutual-grace') _message value; return ;;
	' mcp --db') _files; return ;;
	' mcp --url') _message value; return ;;
	' mcp --key') _message value; return ;;
	' mcp --log-level') compadd -- debug info warn error ; return ;;
	' mcp --log-format') compadd -- auto text json ; return ;;
	' mcp --wait-ceiling') _message value; return ;;
	' mcp --mutual-grace') _message value; return ;;
	' mcp-config --url') _message value; return ;;
	' import cross-claude --db') _files; return ;;
	' import cross-claude --log-level') compadd -- debug info warn error ; return ;;
	esac
	case "$at" in
	'')
		items=('serve:Run the hub: REST, WebSocket, Server-Sent Events and MCP on one port.' 'mcp:Serve one AI client over standard input and output.' 'mcp-config:Print what an AI client'"'"'s configuration must say.' 'import:Take over the messages of another program.' 'version:Print the version of this build and of what it stands on.' 'completion:Print a script that completes this command in your shell.' '--help:Show context-sensitive help.' )
		;;
	' serve')
		items=('--help:Show context-sensitive help.' '--addr:Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787.' '--port:Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before.' '--server-url:Where clients reach this hub, such as https://bus.example.com.' '--pprof:Serve Go'"'"'s profiles here; a loopback address.' '--key:The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine.' '--allowed-host:Without a key, also answer to this name; for instance the machine'"'"'s own.' '--allowed-origin:Let web pages from here call the hub, such as https://app.example.com.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database. Not in this build: the hub refuses to start with it.' '--cleanup-days:Delete messages older than this; 0 keeps all. Without it: 30.' '--compat:MCP clients see the name cross-claude-mcp, for configurations that look for it.' '--log-level:debug, info, warn or error. Only debug shows what messages say.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' '--wait-ceiling:No wait of an MCP client lasts longer. Without it: 25.' '--mutual-grace:After so long one of those that only wait for each other is told. Without it: 30000.' )
		;;
	' mcp')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--url:Use the hub there, and no database of this machine.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--push:Push messages into Claude Code while it is idle.' '--compat:Answer to the name cross-claude-mcp, for configurations that look for it.' '--log-level:debug, info, warn or error, on standard error.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' '--wait-ceiling:No wait of an MCP client lasts longer. Without it: 25.' '--mutual-grace:After so long one of those that only wait for each other is told. Without it: 30000.' )
		;;
	' mcp-config')
		items=('claude-code' 'claude-desktop' 'claude-ai' 'codex' 'gemini' 'cursor' 'vscode' 'chatgpt' '--help:Show context-sensitive help.' '--url:For the hub there. Without it: for a database of this machine.' '--push:With live push; for claude-code on this machine only.' )
		;;
	' import')
		items=('cross-claude:Take over what a cross-claude-mcp has kept.' '--help:Show context-sensitive help.' )
		;;
	' import cross-claude')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database to import into. Without it: ~/.crosstalk/crosstalk.db.' '--log-level:debug, info, warn or error, on standard error.' )
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
