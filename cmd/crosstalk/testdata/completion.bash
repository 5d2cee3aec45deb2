# bash completion for crosstalk
_crosstalk() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at= word i skip=
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == '=' ]]; then skip=1; continue; fi
		if [[ $skip ]]; then skip=; continue; fi
		case "$at $word" in
		' serve') at+=" $word" ;;
		' mcp') at+=" $word" ;;
		' mcp-config') at+=" $word" ;;
		' send') at+=" $word" ;;
		' tail') at+=" $word" ;;
		' channels') at+=" $word" ;;
		' instances') at+=" $word" ;;
		' search') at+=" $word" ;;
		' data') at+=" $word" ;;
		' export') at+=" $word" ;;
		' doctor') at+=" $word" ;;
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
		' send --type') skip=1 ;;
		' send --reply-to') skip=1 ;;
		' send --wait') skip=1 ;;
		' send --idempotency-key') skip=1 ;;
		' send --as') skip=1 ;;
		' send --url') skip=1 ;;
		' send --key') skip=1 ;;
		' send --db') skip=1 ;;
		' tail --since') skip=1 ;;
		' tail --last') skip=1 ;;
		' tail --url') skip=1 ;;
		' tail --key') skip=1 ;;
		' tail --db') skip=1 ;;
		' channels --unread') skip=1 ;;
		' channels --limit') skip=1 ;;
		' channels --url') skip=1 ;;
		' channels --key') skip=1 ;;
		' channels --db') skip=1 ;;
		' instances list') at+=" $word" ;;
		' instances list --limit') skip=1 ;;
		' instances list --url') skip=1 ;;
		' instances list --key') skip=1 ;;
		' instances list --db') skip=1 ;;
		' search --channel') skip=1 ;;
		' search --sender') skip=1 ;;
		' search --limit') skip=1 ;;
		' search --url') skip=1 ;;
		' search --key') skip=1 ;;
		' search --db') skip=1 ;;
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
		' data get --output') skip=1 ;;
		' data get --url') skip=1 ;;
		' data get --key') skip=1 ;;
		' data get --db') skip=1 ;;
		' data ls --limit') skip=1 ;;
		' data ls --url') skip=1 ;;
		' data ls --key') skip=1 ;;
		' data ls --db') skip=1 ;;
		' data rm --as') skip=1 ;;
		' data rm --url') skip=1 ;;
		' data rm --key') skip=1 ;;
		' data rm --db') skip=1 ;;
		' export --format') skip=1 ;;
		' export --since') skip=1 ;;
		' export --output') skip=1 ;;
		' export --url') skip=1 ;;
		' export --key') skip=1 ;;
		' export --db') skip=1 ;;
		' doctor --url') skip=1 ;;
		' doctor --key') skip=1 ;;
		' doctor --db') skip=1 ;;
		' import cross-claude') at+=" $word" ;;
		' import cross-claude --db') skip=1 ;;
		' import cross-claude --log-level') skip=1 ;;
		esac
	done
	if [[ $cur == '=' ]]; then
		cur=
	elif [[ $prev == '=' ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case "$at $prev" in
	' serve --addr') :; return ;;
	' serve --port') :; return ;;
	' serve --server-url') :; return ;;
	' serve --pprof') :; return ;;
	' serve --key') :; return ;;
	' serve --allowed-host') :; return ;;
	' serve --allowed-origin') :; return ;;
	' serve --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' serve --database-url') :; return ;;
	' serve --cleanup-days') :; return ;;
	' serve --log-level') COMPREPLY=($(compgen -W 'debug info warn error ' -- "$cur")); return ;;
	' serve --log-format') COMPREPLY=($(compgen -W 'auto text json ' -- "$cur")); return ;;
	' serve --wait-ceiling') :; return ;;
	' serve --mutual-grace') :; return ;;
	' mcp --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' mcp --url') :; return ;;
	' mcp --key') :; return ;;
	' mcp --log-level') COMPREPLY=($(compgen -W 'debug info warn error ' -- "$cur")); return ;;
	' mcp --log-format') COMPREPLY=($(compgen -W 'auto text json ' -- "$cur")); return ;;
	' mcp --wait-ceiling') :; return ;;
	' mcp --mutual-grace') :; return ;;
	' mcp-config --url') :; return ;;
	' send --type') COMPREPLY=($(compgen -W 'message request response status handoff done ' -- "$cur")); return ;;
	' send --reply-to') :; return ;;
	' send --wait') :; return ;;
	' send --idempotency-key') :; return ;;
	' send --as') :; return ;;
	' send --url') :; return ;;
	' send --key') :; return ;;
	' send --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' tail --since') :; return ;;
	' tail --last') :; return ;;
	' tail --url') :; return ;;
	' tail --key') :; return ;;
	' tail --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' channels --unread') :; return ;;
	' channels --limit') :; return ;;
	' channels --url') :; return ;;
	' channels --key') :; return ;;
	' channels --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' instances list --limit') :; return ;;
	' instances list --url') :; return ;;
	' instances list --key') :; return ;;
	' instances list --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' search --channel') :; return ;;
	' search --sender') :; return ;;
	' search --limit') :; return ;;
	' search --url') :; return ;;
	' search --key') :; return ;;
	' search --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' data put --description') :; return ;;
	' data put --channel') :; return ;;
	' data put --if-version') :; return ;;
	' data put --as') :; return ;;
	' data put --url') :; return ;;
	' data put --key') :; return ;;
	' data put --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' data get --output') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' data get --url') :; return ;;
	' data get --key') :; return ;;
	' data get --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' data ls --limit') :; return ;;
	' data ls --url') :; return ;;
	' data ls --key') :; return ;;
	' data ls --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' data rm --as') :; return ;;
	' data rm --url') :; return ;;
	' data rm --key') :; return ;;
	' data rm --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' export --format') COMPREPLY=($(compgen -W 'jsonl markdown ' -- "$cur")); return ;;
	' export --since') :; return ;;
	' export --output') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' export --url') :; return ;;
	' export --key') :; return ;;
	' export --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' doctor --url') :; return ;;
	' doctor --key') :; return ;;
	' doctor --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' import cross-claude --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' import cross-claude --log-level') COMPREPLY=($(compgen -W 'debug info warn error ' -- "$cur")); return ;;
	esac
	case "$at" in
	'') COMPREPLY=($(compgen -W 'serve mcp mcp-config send tail channels instances search data export doctor import version completion --help ' -- "$cur")) ;;
	' serve') COMPREPLY=($(compgen -W '--help --addr --port --server-url --pprof --key --allowed-host --allowed-origin --db --database-url --cleanup-days --compat --log-level --log-format --wait-ceiling --mutual-grace ' -- "$cur")) ;;
	' mcp') COMPREPLY=($(compgen -W '--help --db --url --key --push --compat --log-level --log-format --wait-ceiling --mutual-grace ' -- "$cur")) ;;
	' mcp-config') COMPREPLY=($(compgen -W 'claude-code claude-desktop claude-ai codex gemini cursor vscode chatgpt --help --url --push ' -- "$cur")) ;;
	' send') COMPREPLY=($(compgen -W '--help --type --reply-to --wait --idempotency-key --json --as --url --key --db ' -- "$cur")) ;;
	' tail') COMPREPLY=($(compgen -W '--help --since --last --json --url --key --db ' -- "$cur")) ;;
	' channels') COMPREPLY=($(compgen -W '--help --unread --limit --json --url --key --db ' -- "$cur")) ;;
	' instances') COMPREPLY=($(compgen -W 'list --help ' -- "$cur")) ;;
	' instances list') COMPREPLY=($(compgen -W '--help --online --limit --json --url --key --db ' -- "$cur")) ;;
	' search') COMPREPLY=($(compgen -W '--help --channel --sender --limit --json --url --key --db ' -- "$cur")) ;;
	' data') COMPREPLY=($(compgen -W 'put get ls rm --help ' -- "$cur")) ;;
	' data put') COMPREPLY=($(compgen -W '--help --description --channel --if-version --json --as --url --key --db ' -- "$cur")) ;;
	' data get') COMPREPLY=($(compgen -W '--help --output --json --url --key --db ' -- "$cur")) ;;
	' data ls') COMPREPLY=($(compgen -W '--help --limit --json --url --key --db ' -- "$cur")) ;;
	' data rm') COMPREPLY=($(compgen -W '--help --as --url --key --db ' -- "$cur")) ;;
	' export') COMPREPLY=($(compgen -W '--help --format --since --output --url --key --db ' -- "$cur")) ;;
	' doctor') COMPREPLY=($(compgen -W '--help --read-only --json --url --key --db ' -- "$cur")) ;;
	' import') COMPREPLY=($(compgen -W 'cross-claude --help ' -- "$cur")) ;;
	' import cross-claude') COMPREPLY=($(compgen -W '--help --db --log-level ' -- "$cur")) ;;
	' version') COMPREPLY=($(compgen -W '--help ' -- "$cur")) ;;
	' completion') COMPREPLY=($(compgen -W 'bash zsh fish --help ' -- "$cur")) ;;
	esac
}
complete -F _crosstalk crosstalk
