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
		' send') at+=" $word" ;;
		' tail') at+=" $word" ;;
		' channels') at+=" $word" ;;
		' keys') at+=" $word" ;;
		' audit') at+=" $word" ;;
		' invites') at+=" $word" ;;
		' instances') at+=" $word" ;;
		' search') at+=" $word" ;;
		' hook') at+=" $word" ;;
		' data') at+=" $word" ;;
		' export') at+=" $word" ;;
		' bench') at+=" $word" ;;
		' doctor') at+=" $word" ;;
		' import') at+=" $word" ;;
		' config') at+=" $word" ;;
		' backup') at+=" $word" ;;
		' restore') at+=" $word" ;;
		' verify') at+=" $word" ;;
		' stats') at+=" $word" ;;
		' migrate') at+=" $word" ;;
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
		' serve --listen-url') skip=1 ;;
		' serve --database-connections') skip=1 ;;
		' serve --cleanup-days') skip=1 ;;
		' serve --keep-messages') skip=1 ;;
		' serve --run-as') skip=1 ;;
		' serve --log-level') skip=1 ;;
		' serve --log-format') skip=1 ;;
		' serve --wait-ceiling') skip=1 ;;
		' serve --mutual-grace') skip=1 ;;
		' serve --trusted-proxy') skip=1 ;;
		' serve --limit-all-connections') skip=1 ;;
		' serve --limit-requests') skip=1 ;;
		' serve --limit-publishes') skip=1 ;;
		' serve --limit-failures') skip=1 ;;
		' serve --limit-connections') skip=1 ;;
		' serve --limit-subscriptions') skip=1 ;;
		' serve --limit-waits') skip=1 ;;
		' serve --limit-bodies') skip=1 ;;
		' serve --limit-mib') skip=1 ;;
		' serve --limit-channel-mib') skip=1 ;;
		' serve --limit-channels') skip=1 ;;
		' serve --limit-own-channels') skip=1 ;;
		' mcp --db') skip=1 ;;
		' mcp --database-url') skip=1 ;;
		' mcp --listen-url') skip=1 ;;
		' mcp --database-connections') skip=1 ;;
		' mcp --url') skip=1 ;;
		' mcp --key') skip=1 ;;
		' mcp --log-level') skip=1 ;;
		' mcp --log-format') skip=1 ;;
		' mcp --wait-ceiling') skip=1 ;;
		' mcp --mutual-grace') skip=1 ;;
		' mcp-config --url') skip=1 ;;
		' send --type') skip=1 ;;
		' send --reply-to') skip=1 ;;
		' send --wait') skip=1 ;;
		' send --idempotency-key') skip=1 ;;
		' send --as') skip=1 ;;
		' send --url') skip=1 ;;
		' send --key') skip=1 ;;
		' send --db') skip=1 ;;
		' send --database-url') skip=1 ;;
		' tail --since') skip=1 ;;
		' tail --last') skip=1 ;;
		' tail --url') skip=1 ;;
		' tail --key') skip=1 ;;
		' tail --db') skip=1 ;;
		' tail --database-url') skip=1 ;;
		' channels list') at+=" $word" ;;
		' channels keep') at+=" $word" ;;
		' channels list --unread') skip=1 ;;
		' channels list --limit') skip=1 ;;
		' channels list --url') skip=1 ;;
		' channels list --key') skip=1 ;;
		' channels list --db') skip=1 ;;
		' channels list --database-url') skip=1 ;;
		' channels keep --days') skip=1 ;;
		' channels keep --messages') skip=1 ;;
		' channels keep --url') skip=1 ;;
		' channels keep --key') skip=1 ;;
		' channels keep --db') skip=1 ;;
		' channels keep --database-url') skip=1 ;;
		' keys create') at+=" $word" ;;
		' keys list') at+=" $word" ;;
		' keys rotate') at+=" $word" ;;
		' keys revoke') at+=" $word" ;;
		' keys delete') at+=" $word" ;;
		' keys create --scope') skip=1 ;;
		' keys create --channels') skip=1 ;;
		' keys create --expires') skip=1 ;;
		' keys create --url') skip=1 ;;
		' keys create --key') skip=1 ;;
		' keys create --db') skip=1 ;;
		' keys create --database-url') skip=1 ;;
		' keys list --url') skip=1 ;;
		' keys list --key') skip=1 ;;
		' keys list --db') skip=1 ;;
		' keys list --database-url') skip=1 ;;
		' keys rotate --expires') skip=1 ;;
		' keys rotate --url') skip=1 ;;
		' keys rotate --key') skip=1 ;;
		' keys rotate --db') skip=1 ;;
		' keys rotate --database-url') skip=1 ;;
		' keys revoke --url') skip=1 ;;
		' keys revoke --key') skip=1 ;;
		' keys revoke --db') skip=1 ;;
		' keys revoke --database-url') skip=1 ;;
		' keys delete --url') skip=1 ;;
		' keys delete --key') skip=1 ;;
		' keys delete --db') skip=1 ;;
		' keys delete --database-url') skip=1 ;;
		' audit --since') skip=1 ;;
		' audit --url') skip=1 ;;
		' audit --key') skip=1 ;;
		' audit --db') skip=1 ;;
		' audit --database-url') skip=1 ;;
		' invites create') at+=" $word" ;;
		' invites list') at+=" $word" ;;
		' invites revoke') at+=" $word" ;;
		' invites create --scope') skip=1 ;;
		' invites create --channels') skip=1 ;;
		' invites create --uses') skip=1 ;;
		' invites create --expires') skip=1 ;;
		' invites create --url') skip=1 ;;
		' invites create --key') skip=1 ;;
		' invites create --db') skip=1 ;;
		' invites create --database-url') skip=1 ;;
		' invites list --url') skip=1 ;;
		' invites list --key') skip=1 ;;
		' invites list --db') skip=1 ;;
		' invites list --database-url') skip=1 ;;
		' invites revoke --url') skip=1 ;;
		' invites revoke --key') skip=1 ;;
		' invites revoke --db') skip=1 ;;
		' invites revoke --database-url') skip=1 ;;
		' instances list') at+=" $word" ;;
		' instances release') at+=" $word" ;;
		' instances list --limit') skip=1 ;;
		' instances list --url') skip=1 ;;
		' instances list --key') skip=1 ;;
		' instances list --db') skip=1 ;;
		' instances list --database-url') skip=1 ;;
		' instances release --url') skip=1 ;;
		' instances release --key') skip=1 ;;
		' instances release --db') skip=1 ;;
		' instances release --database-url') skip=1 ;;
		' search --channel') skip=1 ;;
		' search --sender') skip=1 ;;
		' search --limit') skip=1 ;;
		' search --url') skip=1 ;;
		' search --key') skip=1 ;;
		' search --db') skip=1 ;;
		' search --database-url') skip=1 ;;
		' hook prompt') at+=" $word" ;;
		' hook stop') at+=" $word" ;;
		' hook wait') at+=" $word" ;;
		' hook registered') at+=" $word" ;;
		' hook prompt --as') skip=1 ;;
		' hook prompt --url') skip=1 ;;
		' hook prompt --key') skip=1 ;;
		' hook prompt --db') skip=1 ;;
		' hook prompt --database-url') skip=1 ;;
		' hook stop --as') skip=1 ;;
		' hook stop --url') skip=1 ;;
		' hook stop --key') skip=1 ;;
		' hook stop --db') skip=1 ;;
		' hook stop --database-url') skip=1 ;;
		' hook wait --max') skip=1 ;;
		' hook wait --as') skip=1 ;;
		' hook wait --url') skip=1 ;;
		' hook wait --key') skip=1 ;;
		' hook wait --db') skip=1 ;;
		' hook wait --database-url') skip=1 ;;
		' hook registered --as') skip=1 ;;
		' hook registered --url') skip=1 ;;
		' hook registered --key') skip=1 ;;
		' hook registered --db') skip=1 ;;
		' hook registered --database-url') skip=1 ;;
		' data put') at+=" $word" ;;
		' data get') at+=" $word" ;;
		' data ls') at+=" $word" ;;
		' data rm') at+=" $word" ;;
		' data put --description') skip=1 ;;
		' data put --channel') skip=1 ;;
		' data put --if-version') skip=1 ;;
		' data put --as') skip=1 ;;
		' data put --url') skip=1 ;;
		' data put --key') skip=1 ;;
		' data put --db') skip=1 ;;
		' data put --database-url') skip=1 ;;
		' data get --output') skip=1 ;;
		' data get --url') skip=1 ;;
		' data get --key') skip=1 ;;
		' data get --db') skip=1 ;;
		' data get --database-url') skip=1 ;;
		' data ls --limit') skip=1 ;;
		' data ls --url') skip=1 ;;
		' data ls --key') skip=1 ;;
		' data ls --db') skip=1 ;;
		' data ls --database-url') skip=1 ;;
		' data rm --as') skip=1 ;;
		' data rm --url') skip=1 ;;
		' data rm --key') skip=1 ;;
		' data rm --db') skip=1 ;;
		' data rm --database-url') skip=1 ;;
		' export --format') skip=1 ;;
		' export --since') skip=1 ;;
		' export --output') skip=1 ;;
		' export --url') skip=1 ;;
		' export --key') skip=1 ;;
		' export --db') skip=1 ;;
		' export --database-url') skip=1 ;;
		' bench --url') skip=1 ;;
		' bench --key') skip=1 ;;
		' bench --publishers') skip=1 ;;
		' bench --subscribers') skip=1 ;;
		' bench --waits') skip=1 ;;
		' bench --channels') skip=1 ;;
		' bench --rate') skip=1 ;;
		' bench --size') skip=1 ;;
		' bench --duration') skip=1 ;;
		' bench --calls') skip=1 ;;
		' bench --settle') skip=1 ;;
		' bench --pid') skip=1 ;;
		' doctor --url') skip=1 ;;
		' doctor --key') skip=1 ;;
		' doctor --db') skip=1 ;;
		' doctor --database-url') skip=1 ;;
		' import cross-claude') at+=" $word" ;;
		' import cross-claude --db') skip=1 ;;
		' import cross-claude --database-url') skip=1 ;;
		' import cross-claude --log-level') skip=1 ;;
		' config --addr') skip=1 ;;
		' config --port') skip=1 ;;
		' config --server-url') skip=1 ;;
		' config --pprof') skip=1 ;;
		' config --key') skip=1 ;;
		' config --allowed-host') skip=1 ;;
		' config --allowed-origin') skip=1 ;;
		' config --db') skip=1 ;;
		' config --database-url') skip=1 ;;
		' config --listen-url') skip=1 ;;
		' config --database-connections') skip=1 ;;
		' config --cleanup-days') skip=1 ;;
		' config --keep-messages') skip=1 ;;
		' config --run-as') skip=1 ;;
		' config --log-level') skip=1 ;;
		' config --log-format') skip=1 ;;
		' config --wait-ceiling') skip=1 ;;
		' config --mutual-grace') skip=1 ;;
		' config --trusted-proxy') skip=1 ;;
		' config --limit-all-connections') skip=1 ;;
		' config --limit-requests') skip=1 ;;
		' config --limit-publishes') skip=1 ;;
		' config --limit-failures') skip=1 ;;
		' config --limit-connections') skip=1 ;;
		' config --limit-subscriptions') skip=1 ;;
		' config --limit-waits') skip=1 ;;
		' config --limit-bodies') skip=1 ;;
		' config --limit-mib') skip=1 ;;
		' config --limit-channel-mib') skip=1 ;;
		' config --limit-channels') skip=1 ;;
		' config --limit-own-channels') skip=1 ;;
		' backup --db') skip=1 ;;
		' backup --database-url') skip=1 ;;
		' restore --db') skip=1 ;;
		' restore --database-url') skip=1 ;;
		' verify --db') skip=1 ;;
		' verify --database-url') skip=1 ;;
		' stats --db') skip=1 ;;
		' stats --database-url') skip=1 ;;
		' migrate status') at+=" $word" ;;
		' migrate up') at+=" $word" ;;
		' migrate status --db') skip=1 ;;
		' migrate status --database-url') skip=1 ;;
		' migrate up --db') skip=1 ;;
		' migrate up --database-url') skip=1 ;;
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
	' serve --listen-url') _message value; return ;;
	' serve --database-connections') _message value; return ;;
	' serve --cleanup-days') _message value; return ;;
	' serve --keep-messages') _message value; return ;;
	' serve --run-as') _message value; return ;;
	' serve --log-level') compadd -- debug info warn error ; return ;;
	' serve --log-format') compadd -- auto text json ; return ;;
	' serve --wait-ceiling') _message value; return ;;
	' serve --mutual-grace') _message value; return ;;
	' serve --trusted-proxy') _message value; return ;;
	' serve --limit-all-connections') _message value; return ;;
	' serve --limit-requests') _message value; return ;;
	' serve --limit-publishes') _message value; return ;;
	' serve --limit-failures') _message value; return ;;
	' serve --limit-connections') _message value; return ;;
	' serve --limit-subscriptions') _message value; return ;;
	' serve --limit-waits') _message value; return ;;
	' serve --limit-bodies') _message value; return ;;
	' serve --limit-mib') _message value; return ;;
	' serve --limit-channel-mib') _message value; return ;;
	' serve --limit-channels') _message value; return ;;
	' serve --limit-own-channels') _message value; return ;;
	' mcp --db') _files; return ;;
	' mcp --database-url') _message value; return ;;
	' mcp --listen-url') _message value; return ;;
	' mcp --database-connections') _message value; return ;;
	' mcp --url') _message value; return ;;
	' mcp --key') _message value; return ;;
	' mcp --log-level') compadd -- debug info warn error ; return ;;
	' mcp --log-format') compadd -- auto text json ; return ;;
	' mcp --wait-ceiling') _message value; return ;;
	' mcp --mutual-grace') _message value; return ;;
	' mcp-config --url') _message value; return ;;
	' send --type') compadd -- message request response status handoff done ; return ;;
	' send --reply-to') _message value; return ;;
	' send --wait') _message value; return ;;
	' send --idempotency-key') _message value; return ;;
	' send --as') _message value; return ;;
	' send --url') _message value; return ;;
	' send --key') _message value; return ;;
	' send --db') _files; return ;;
	' send --database-url') _message value; return ;;
	' tail --since') _message value; return ;;
	' tail --last') _message value; return ;;
	' tail --url') _message value; return ;;
	' tail --key') _message value; return ;;
	' tail --db') _files; return ;;
	' tail --database-url') _message value; return ;;
	' channels list --unread') _message value; return ;;
	' channels list --limit') _message value; return ;;
	' channels list --url') _message value; return ;;
	' channels list --key') _message value; return ;;
	' channels list --db') _files; return ;;
	' channels list --database-url') _message value; return ;;
	' channels keep --days') _message value; return ;;
	' channels keep --messages') _message value; return ;;
	' channels keep --url') _message value; return ;;
	' channels keep --key') _message value; return ;;
	' channels keep --db') _files; return ;;
	' channels keep --database-url') _message value; return ;;
	' keys create --scope') compadd -- read write admin ; return ;;
	' keys create --channels') _message value; return ;;
	' keys create --expires') _message value; return ;;
	' keys create --url') _message value; return ;;
	' keys create --key') _message value; return ;;
	' keys create --db') _files; return ;;
	' keys create --database-url') _message value; return ;;
	' keys list --url') _message value; return ;;
	' keys list --key') _message value; return ;;
	' keys list --db') _files; return ;;
	' keys list --database-url') _message value; return ;;
	' keys rotate --expires') _message value; return ;;
	' keys rotate --url') _message value; return ;;
	' keys rotate --key') _message value; return ;;
	' keys rotate --db') _files; return ;;
	' keys rotate --database-url') _message value; return ;;
	' keys revoke --url') _message value; return ;;
	' keys revoke --key') _message value; return ;;
	' keys revoke --db') _files; return ;;
	' keys revoke --database-url') _message value; return ;;
	' keys delete --url') _message value; return ;;
	' keys delete --key') _message value; return ;;
	' keys delete --db') _files; return ;;
	' keys delete --database-url') _message value; return ;;
	' audit --since') _message value; return ;;
	' audit --url') _message value; return ;;
	' audit --key') _message value; return ;;
	' audit --db') _files; return ;;
	' audit --database-url') _message value; return ;;
	' invites create --scope') compadd -- read write ; return ;;
	' invites create --channels') _message value; return ;;
	' invites create --uses') _message value; return ;;
	' invites create --expires') _message value; return ;;
	' invites create --url') _message value; return ;;
	' invites create --key') _message value; return ;;
	' invites create --db') _files; return ;;
	' invites create --database-url') _message value; return ;;
	' invites list --url') _message value; return ;;
	' invites list --key') _message value; return ;;
	' invites list --db') _files; return ;;
	' invites list --database-url') _message value; return ;;
	' invites revoke --url') _message value; return ;;
	' invites revoke --key') _message value; return ;;
	' invites revoke --db') _files; return ;;
	' invites revoke --database-url') _message value; return ;;
	' instances list --limit') _message value; return ;;
	' instances list --url') _message value; return ;;
	' instances list --key') _message value; return ;;
	' instances list --db') _files; return ;;
	' instances list --database-url') _message value; return ;;
	' instances release --url') _message value; return ;;
	' instances release --key') _message value; return ;;
	' instances release --db') _files; return ;;
	' instances release --database-url') _message value; return ;;
	' search --channel') _message value; return ;;
	' search --sender') _message value; return ;;
	' search --limit') _message value; return ;;
	' search --url') _message value; return ;;
	' search --key') _message value; return ;;
	' search --db') _files; return ;;
	' search --database-url') _message value; return ;;
	' hook prompt --as') _message value; return ;;
	' hook prompt --url') _message value; return ;;
	' hook prompt --key') _message value; return ;;
	' hook prompt --db') _files; return ;;
	' hook prompt --database-url') _message value; return ;;
	' hook stop --as') _message value; return ;;
	' hook stop --url') _message value; return ;;
	' hook stop --key') _message value; return ;;
	' hook stop --db') _files; return ;;
	' hook stop --database-url') _message value; return ;;
	' hook wait --max') _message value; return ;;
	' hook wait --as') _message value; return ;;
	' hook wait --url') _message value; return ;;
	' hook wait --key') _message value; return ;;
	' hook wait --db') _files; return ;;
	' hook wait --database-url') _message value; return ;;
	' hook registered --as') _message value; return ;;
	' hook registered --url') _message value; return ;;
	' hook registered --key') _message value; return ;;
	' hook registered --db') _files; return ;;
	' hook registered --database-url') _message value; return ;;
	' data put --description') _message value; return ;;
	' data put --channel') _message value; return ;;
	' data put --if-version') _message value; return ;;
	' data put --as') _message value; return ;;
	' data put --url') _message value; return ;;
	' data put --key') _message value; return ;;
	' data put --db') _files; return ;;
	' data put --database-url') _message value; return ;;
	' data get --output') _files; return ;;
	' data get --url') _message value; return ;;
	' data get --key') _message value; return ;;
	' data get --db') _files; return ;;
	' data get --database-url') _message value; return ;;
	' data ls --limit') _message value; return ;;
	' data ls --url') _message value; return ;;
	' data ls --key') _message value; return ;;
	' data ls --db') _files; return ;;
	' data ls --database-url') _message value; return ;;
	' data rm --as') _message value; return ;;
	' data rm --url') _message value; return ;;
	' data rm --key') _message value; return ;;
	' data rm --db') _files; return ;;
	' data rm --database-url') _message value; return ;;
	' export --format') compadd -- jsonl markdown ; return ;;
	' export --since') _message value; return ;;
	' export --output') _files; return ;;
	' export --url') _message value; return ;;
	' export --key') _message value; return ;;
	' export --db') _files; return ;;
	' export --database-url') _message value; return ;;
	' bench --url') _message value; return ;;
	' bench --key') _message value; return ;;
	' bench --publishers') _message value; return ;;
	' bench --subscribers') _message value; return ;;
	' bench --waits') _message value; return ;;
	' bench --channels') _message value; return ;;
	' bench --rate') _message value; return ;;
	' bench --size') _message value; return ;;
	' bench --duration') _message value; return ;;
	' bench --calls') _message value; return ;;
	' bench --settle') _message value; return ;;
	' bench --pid') _message value; return ;;
	' doctor --url') _message value; return ;;
	' doctor --key') _message value; return ;;
	' doctor --db') _files; return ;;
	' doctor --database-url') _message value; return ;;
	' import cross-claude --db') _files; return ;;
	' import cross-claude --database-url') _message value; return ;;
	' import cross-claude --log-level') compadd -- debug info warn error ; return ;;
	' config --addr') _message value; return ;;
	' config --port') _message value; return ;;
	' config --server-url') _message value; return ;;
	' config --pprof') _message value; return ;;
	' config --key') _message value; return ;;
	' config --allowed-host') _message value; return ;;
	' config --allowed-origin') _message value; return ;;
	' config --db') _files; return ;;
	' config --database-url') _message value; return ;;
	' config --listen-url') _message value; return ;;
	' config --database-connections') _message value; return ;;
	' config --cleanup-days') _message value; return ;;
	' config --keep-messages') _message value; return ;;
	' config --run-as') _message value; return ;;
	' config --log-level') compadd -- debug info warn error ; return ;;
	' config --log-format') compadd -- auto text json ; return ;;
	' config --wait-ceiling') _message value; return ;;
	' config --mutual-grace') _message value; return ;;
	' config --trusted-proxy') _message value; return ;;
	' config --limit-all-connections') _message value; return ;;
	' config --limit-requests') _message value; return ;;
	' config --limit-publishes') _message value; return ;;
	' config --limit-failures') _message value; return ;;
	' config --limit-connections') _message value; return ;;
	' config --limit-subscriptions') _message value; return ;;
	' config --limit-waits') _message value; return ;;
	' config --limit-bodies') _message value; return ;;
	' config --limit-mib') _message value; return ;;
	' config --limit-channel-mib') _message value; return ;;
	' config --limit-channels') _message value; return ;;
	' config --limit-own-channels') _message value; return ;;
	' backup --db') _files; return ;;
	' backup --database-url') _message value; return ;;
	' restore --db') _files; return ;;
	' restore --database-url') _message value; return ;;
	' verify --db') _files; return ;;
	' verify --database-url') _message value; return ;;
	' stats --db') _files; return ;;
	' stats --database-url') _message value; return ;;
	' migrate status --db') _files; return ;;
	' migrate status --database-url') _message value; return ;;
	' migrate up --db') _files; return ;;
	' migrate up --database-url') _message value; return ;;
	esac
	case "$at" in
	'')
		items=('serve:Run the hub: REST, WebSocket, Server-Sent Events and MCP on one port.' 'mcp:Serve one AI client over standard input and output.' 'mcp-config:Print what an AI client'"'"'s configuration must say.' 'send:Send a message, and wait for the answer if asked to.' 'tail:Show messages as they come.' 'channels:List channels, and say what each keeps.' 'keys:Make, list, rotate and revoke keys.' 'audit:Print who did what.' 'invites:Invite people to connect claude.ai, ChatGPT and their like.' 'instances:List who has been here, and who is online.' 'search:Search messages.' 'hook:Answer the events of Claude Code, so that sessions hear what is new.' 'data:Put, get, list and remove shared data.' 'export:Write out all messages of a channel.' 'bench:Load a hub, and tell what its users would have felt.' 'doctor:Find out what is wrong, and what to mend.' 'import:Take over the messages of another program.' 'config:Show every setting of serve, its value and where that came from.' 'backup:Copy a SQLite database that is in use.' 'restore:Put a copy in the place of a SQLite database.' 'verify:Recount a database: ids, counts, search index and read positions.' 'stats:Show how large a database and each of its channels is.' 'migrate:Look at the tables of a database, or bring them up to date.' 'version:Print the version of this build and of what it stands on.' 'completion:Print a script that completes this command in your shell.' '--help:Show context-sensitive help.' )
		;;
	' serve')
		items=('--help:Show context-sensitive help.' '--addr:Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787.' '--port:Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before.' '--server-url:Where clients reach this hub, such as https://bus.example.com.' '--pprof:Serve Go'"'"'s profiles here; a loopback address.' '--key:The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine.' '--allowed-host:Without a key, also answer to this name; for instance the machine'"'"'s own.' '--allowed-origin:Let web pages from here call the hub, such as https://app.example.com.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--listen-url:The same PostgreSQL database past a pooler: there other nodes are heard at once, and not a second late.' '--database-connections:Make at most so many connections to PostgreSQL, and two to hear other nodes. At least 3; without it: 5.' '--skip-import:Leave alone what a cross-claude-mcp has left in the same PostgreSQL database. Without it, it is taken over at the first start.' '--cleanup-days:Delete messages older than this; 0 keeps them at any age. Without it: 30.' '--keep-messages:Delete all but the newest N messages of the bus; 0 keeps any number. Without it: 0.' '--run-as:Started as root, give the database'"'"'s folder to this user and go on as it.' '--compat:MCP clients see the name cross-claude-mcp, for configurations that look for it, and may show a key as ?api_key=.' '--log-level:debug, info, warn or error. Only debug shows what messages say.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' '--wait-ceiling:No wait of an MCP client lasts longer. Without it: 25.' '--mutual-grace:After so long one of those that only wait for each other is told. Without it: 30000.' '--no-loop-guard:Let two agents that talk only to each other go on for ever.' '--trusted-proxy:Believe what these proxies say in X-Forwarded-For: addresses and ranges, such as 10.0.0.0/8.' '--limit-all-connections:Connections of all kinds open at once, of all callers, with and without keys. Without it: as many as memory has 128 KiB for, and at most 65536.' '--limit-requests:Requests a second, of a caller and of an address; 0, here and below: no limit. Without it: 500.' '--limit-publishes:Messages a second, of a caller. Without it: 200.' '--limit-failures:Wrong keys a minute, of an address. Without it: 60.' '--limit-connections:WebSockets and streams open at once, of a caller and of an address. Without it: 1000.' '--limit-subscriptions:Channels subscribed to at once, of a caller. Without it: 20000.' '--limit-waits:Waits open at once, of a caller. Without it: 1000.' '--limit-bodies:Bodies above 2 MiB on their way at once, of a caller; four times as many of all. Without it: 4.' '--limit-mib:Messages and shared data stored in all. Without it: 20480.' '--limit-channel-mib:The same in one channel. Without it: 2048.' '--limit-channels:Channels in all. Without it: 20000.' '--limit-own-channels:Channels made in a day with one named key or grant. Without it: 1000.' )
		;;
	' mcp')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--listen-url:The same PostgreSQL database past a pooler: there other nodes are heard at once, and not a second late.' '--database-connections:Make at most so many connections to PostgreSQL, and two to hear other nodes. At least 3; without it: 5.' '--skip-import:Leave alone what a cross-claude-mcp has left in the same PostgreSQL database. Without it, it is taken over at the first start.' '--url:Use the hub there, and no database of this machine.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--push:Push messages into Claude Code while it is idle.' '--compat:Answer to the name cross-claude-mcp, for configurations that look for it.' '--log-level:debug, info, warn or error, on standard error.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' '--wait-ceiling:No wait of an MCP client lasts longer. Without it: 25.' '--mutual-grace:After so long one of those that only wait for each other is told. Without it: 30000.' '--no-loop-guard:Let two agents that talk only to each other go on for ever.' )
		;;
	' mcp-config')
		items=('claude-code' 'claude-desktop' 'claude-ai' 'codex' 'gemini' 'cursor' 'vscode' 'chatgpt' '--help:Show context-sensitive help.' '--url:For the hub there. Without it: for a database of this machine.' '--push:With live push; for claude-code on this machine only.' )
		;;
	' send')
		items=('--help:Show context-sensitive help.' '--type:message, request, response, status, handoff or done. Without it: message.' '--reply-to:The message that this one answers.' '--wait:Wait so long for an answer, such as 60s or 10m, and print it.' '--idempotency-key:Whatever is sent with the same key within 24 hours is stored once.' '--json:Print JSON, one object on each line.' '--as:Who speaks. Without it: your user name.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' tail')
		items=('--help:Show context-sensitive help.' '--since:Begin after this message, this long ago, or at this time: 1200, 90m, 7d, 2026-11-23T10:00.' '--last:Without --since, begin with so many of the newest messages. Without it: 10.' '--json:Print JSON, one message on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' channels')
		items=('list:List channels.' 'keep:Say what a channel keeps, whatever the hub keeps in others.' '--help:Show context-sensitive help.' )
		;;
	' channels list')
		items=('--help:Show context-sensitive help.' '--unread:Also count what this instance has not read.' '--limit:List at most so many. Without it: 200.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' channels keep')
		items=('--help:Show context-sensitive help.' '--days:Messages of the last N days.' '--messages:The newest N messages, at least 100.' '--all:All, for good.' '--default:What the hub keeps, as at first.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' keys')
		items=('create:Make a key, and print it alone on a line: it is shown this once.' 'list:List keys. The keys themselves are nowhere to be read.' 'rotate:Put another key under a name, and print it. The old one opens nothing any more.' 'revoke:End a key for good. The names that belong to it stay its own.' 'delete:End a key and forget it. The names that belonged to it are free.' '--help:Show context-sensitive help.' )
		;;
	' keys create')
		items=('--help:Show context-sensitive help.' '--scope:read, write, or admin, which also sees to keys, names and pauses. Without it: write.' '--channels:The only channels it has to do with, separated by commas; * stands for any piece of a name. Without it: all.' '--expires:When it ends: in so many days (90d) or hours (12h), or a date. Without it: never.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' keys list')
		items=('--help:Show context-sensitive help.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' keys rotate')
		items=('--help:Show context-sensitive help.' '--expires:When the new one ends. Without it: when the old one would have.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' keys revoke')
		items=('--help:Show context-sensitive help.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' keys delete')
		items=('--help:Show context-sensitive help.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' audit')
		items=('--help:Show context-sensitive help.' '--since:From when on: so many days (90d) or hours (12h) ago, or a date. Without it: 30d.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' invites')
		items=('create:Make an invite, and print its code alone on a line: it is shown this once.' 'list:List invites. The codes themselves are nowhere to be read.' 'revoke:End an invite, and every connection made with it.' '--help:Show context-sensitive help.' )
		;;
	' invites create')
		items=('--help:Show context-sensitive help.' '--scope:read, or write. Without it: write.' '--channels:The only channels its connections have to do with, separated by commas; * stands for any piece of a name. Without it: all.' '--uses:How many connections can be made with it. Without it: 1.' '--expires:Until when: in so many days (90d) or hours (12h), or a date. What was connected by then stays. Without it: 7d.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' invites list')
		items=('--help:Show context-sensitive help.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' invites revoke')
		items=('--help:Show context-sensitive help.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' instances')
		items=('list:List who has been here, and who is online.' 'release:Make a name free, as if it had never registered.' '--help:Show context-sensitive help.' )
		;;
	' instances list')
		items=('--help:Show context-sensitive help.' '--online:Only those that are online.' '--limit:List at most so many. Without it: 200.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' instances release')
		items=('--help:Show context-sensitive help.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' search')
		items=('--help:Show context-sensitive help.' '--channel:Only there.' '--sender:Only by this instance.' '--limit:Show at most so many, the newest. Without it: 10.' '--json:Print JSON, one message on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' hook')
		items=('prompt:When the user says something: add what is new.' 'stop:When a turn ends: go on if there is something new.' 'wait:After a turn, in the background: wait for something new and wake the session.' 'registered:After the tool register: remember the name for the other hooks.' '--help:Show context-sensitive help.' )
		;;
	' hook prompt')
		items=('--help:Show context-sensitive help.' '--as:The instance that the session speaks as. Without it: the name under which the session registered.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' hook stop')
		items=('--help:Show context-sensitive help.' '--as:The instance that the session speaks as. Without it: the name under which the session registered.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' hook wait')
		items=('--help:Show context-sensitive help.' '--max:Give up after so long. Without it: 25m.' '--as:The instance that the session speaks as. Without it: the name under which the session registered.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' hook registered')
		items=('--help:Show context-sensitive help.' '--as:The instance that the session speaks as. Without it: the name under which the session registered.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' data')
		items=('put:Share a file, or standard input, under a key.' 'get:Write what is shared under a key to standard output, or to a file.' 'ls:List what is shared.' 'rm:Remove what is shared under a key.' '--help:Show context-sensitive help.' )
		;;
	' data put')
		items=('--help:Show context-sensitive help.' '--description:What it is.' '--channel:The channel that it belongs to.' '--if-version:Only over this version; 0: only if there is none.' '--json:Print JSON.' '--as:Who speaks. Without it: your user name.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' data get')
		items=('--help:Show context-sensitive help.' '--output:Write it there, in one piece or not at all.' '--json:Print JSON, with who shared it and when.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' data ls')
		items=('--help:Show context-sensitive help.' '--limit:List at most so many. Without it: 200.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' data rm')
		items=('--help:Show context-sensitive help.' '--as:Who speaks. Without it: your user name.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' export')
		items=('--help:Show context-sensitive help.' '--format:jsonl, one message on each line, or markdown. Without it: jsonl.' '--since:Begin after this message, this long ago, or at this time: 1200, 90m, 7d, 2026-11-23T10:00.' '--output:Write there, in one piece or not at all. Without it: standard output.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' bench')
		items=('--help:Show context-sensitive help.' '--url:The hub to load. Its messages stay there, in channels of their own. Without it: one that is started for the run, with an empty SQLite database.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--publishers:Publishers over REST. Each sends its next message when the last was answered. Without it: 8.' '--subscribers:Listeners over WebSocket. Without it: 100.' '--waits:Clients that wait with long polls, one after the other.' '--channels:Spread all of them over so many channels. Without it: 1.' '--rate:Messages a second in all. Without it: as fast as they are answered.' '--size:Of each message. Without it: 200.' '--duration:How long to publish, after a second to warm up. Without it: 10s.' '--idle:Publish nothing: connect everybody, have the hub come to rest, and measure for --duration what it uses.' '--calls:With --idle: MCP clients in wait_for_reply.' '--named:Listeners say who they are, as agents do.' '--settle:With --idle: how long the hub has to come to rest. Without it: 15s.' '--pid:The hub'"'"'s process, for what the run costs it. On Linux it is found by itself where it can be seen.' '--json:Print one JSON object and no table.' )
		;;
	' doctor')
		items=('--help:Show context-sensitive help.' '--read-only:Send no message, so try no round trip.' '--json:Print JSON, one object on each line.' '--url:The hub there, such as https://bus.example.com.' '--key:The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' import')
		items=('cross-claude:Take over what a cross-claude-mcp has kept.' '--help:Show context-sensitive help.' )
		;;
	' import cross-claude')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--log-level:debug, info, warn or error, on standard error.' )
		;;
	' config')
		items=('--help:Show context-sensitive help.' '--addr:Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787.' '--port:Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before.' '--server-url:Where clients reach this hub, such as https://bus.example.com.' '--pprof:Serve Go'"'"'s profiles here; a loopback address.' '--key:The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine.' '--allowed-host:Without a key, also answer to this name; for instance the machine'"'"'s own.' '--allowed-origin:Let web pages from here call the hub, such as https://app.example.com.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--listen-url:The same PostgreSQL database past a pooler: there other nodes are heard at once, and not a second late.' '--database-connections:Make at most so many connections to PostgreSQL, and two to hear other nodes. At least 3; without it: 5.' '--skip-import:Leave alone what a cross-claude-mcp has left in the same PostgreSQL database. Without it, it is taken over at the first start.' '--cleanup-days:Delete messages older than this; 0 keeps them at any age. Without it: 30.' '--keep-messages:Delete all but the newest N messages of the bus; 0 keeps any number. Without it: 0.' '--run-as:Started as root, give the database'"'"'s folder to this user and go on as it.' '--compat:MCP clients see the name cross-claude-mcp, for configurations that look for it, and may show a key as ?api_key=.' '--log-level:debug, info, warn or error. Only debug shows what messages say.' '--log-format:text, json, or auto: text on a terminal and JSON elsewhere.' '--wait-ceiling:No wait of an MCP client lasts longer. Without it: 25.' '--mutual-grace:After so long one of those that only wait for each other is told. Without it: 30000.' '--no-loop-guard:Let two agents that talk only to each other go on for ever.' '--trusted-proxy:Believe what these proxies say in X-Forwarded-For: addresses and ranges, such as 10.0.0.0/8.' '--limit-all-connections:Connections of all kinds open at once, of all callers, with and without keys. Without it: as many as memory has 128 KiB for, and at most 65536.' '--limit-requests:Requests a second, of a caller and of an address; 0, here and below: no limit. Without it: 500.' '--limit-publishes:Messages a second, of a caller. Without it: 200.' '--limit-failures:Wrong keys a minute, of an address. Without it: 60.' '--limit-connections:WebSockets and streams open at once, of a caller and of an address. Without it: 1000.' '--limit-subscriptions:Channels subscribed to at once, of a caller. Without it: 20000.' '--limit-waits:Waits open at once, of a caller. Without it: 1000.' '--limit-bodies:Bodies above 2 MiB on their way at once, of a caller; four times as many of all. Without it: 4.' '--limit-mib:Messages and shared data stored in all. Without it: 20480.' '--limit-channel-mib:The same in one channel. Without it: 2048.' '--limit-channels:Channels in all. Without it: 20000.' '--limit-own-channels:Channels made in a day with one named key or grant. Without it: 1000.' '--json:Print one JSON object for each setting.' )
		;;
	' backup')
		items=('--help:Show context-sensitive help.' '--force:Replace the file if it is there.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--json:Print one JSON object.' )
		;;
	' restore')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--json:Print one JSON object.' )
		;;
	' verify')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--json:Print one JSON object for each check.' )
		;;
	' stats')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' '--json:Print one JSON object.' )
		;;
	' migrate')
		items=('status:Say which version the tables have, and what this build would change. Changes nothing.' 'up:Bring the tables up to date.' '--help:Show context-sensitive help.' )
		;;
	' migrate status')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
		;;
	' migrate up')
		items=('--help:Show context-sensitive help.' '--db:The SQLite database. Without it: ~/.crosstalk/crosstalk.db.' '--database-url:A PostgreSQL database instead, such as postgres://user:password@host/name?sslmode=verify-full, in a schema of its own. With pgbouncer=true through a pooler. --db goes before DATABASE_URL.' )
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
