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
	' import cross-claude --db') local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	' import cross-claude --log-level') COMPREPLY=($(compgen -W 'debug info warn error ' -- "$cur")); return ;;
	esac
	case "$at" in
	'') COMPREPLY=($(compgen -W 'serve mcp mcp-config import version completion --help ' -- "$cur")) ;;
	' serve') COMPREPLY=($(compgen -W '--help --addr --port --server-url --pprof --key --allowed-host --allowed-origin --db --database-url --cleanup-days --compat --log-level --log-format --wait-ceiling --mutual-grace ' -- "$cur")) ;;
	' mcp') COMPREPLY=($(compgen -W '--help --db --url --key --push --compat --log-level --log-format --wait-ceiling --mutual-grace ' -- "$cur")) ;;
	' mcp-config') COMPREPLY=($(compgen -W 'claude-code claude-desktop claude-ai codex gemini cursor vscode chatgpt --help --url --push ' -- "$cur")) ;;
	' import') COMPREPLY=($(compgen -W 'cross-claude --help ' -- "$cur")) ;;
	' import cross-claude') COMPREPLY=($(compgen -W '--help --db --log-level ' -- "$cur")) ;;
	' version') COMPREPLY=($(compgen -W '--help ' -- "$cur")) ;;
	' completion') COMPREPLY=($(compgen -W 'bash zsh fish --help ' -- "$cur")) ;;
	esac
}
complete -F _crosstalk crosstalk
