# fish completion for crosstalk
function __crosstalk_at
    set -l at ''
    for word in (commandline -opc)[2..]
        contains -- "$at $word" ' serve' ' mcp' ' mcp-config' ' import' ' import cross-claude' ' version' ' completion'; and set at "$at $word"
    end
    test "$at" = "$argv[1]"
end
complete -c crosstalk -f
complete -c crosstalk -n "__crosstalk_at ''" -a serve -d 'Run the hub: REST, WebSocket, Server-Sent Events and MCP on one port.'
complete -c crosstalk -n "__crosstalk_at ''" -a mcp -d 'Serve one AI client over standard input and output.'
complete -c crosstalk -n "__crosstalk_at ''" -a mcp-config -d 'Print what an AI client'"'"'s configuration must say.'
complete -c crosstalk -n "__crosstalk_at ''" -a import -d 'Take over the messages of another program.'
complete -c crosstalk -n "__crosstalk_at ''" -a version -d 'Print the version of this build and of what it stands on.'
complete -c crosstalk -n "__crosstalk_at ''" -a completion -d 'Print a script that completes this command in your shell.'
complete -c crosstalk -n "__crosstalk_at ''" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l addr -x -d 'Listen here. localhost is both loopback addresses, an empty host is all interfaces. Without it: localhost:8787.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l port -x -d 'Listen on this port, as hosting platforms ask: on all interfaces if there is a key, else on loopback. --addr goes before.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l server-url -x -d 'Where clients reach this hub, such as https://bus.example.com.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l pprof -x -d 'Serve Go'"'"'s profiles here; a loopback address.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l key -x -d 'The key that every caller must show as Authorization: Bearer KEY. Give it as a variable: arguments can be seen by everyone on the machine.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l allowed-host -x -d 'Without a key, also answer to this name; for instance the machine'"'"'s own.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l allowed-origin -x -d 'Let web pages from here call the hub, such as https://app.example.com.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l db -r -F -d 'The SQLite database. Without it: ~/.crosstalk/crosstalk.db.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l database-url -x -d 'A PostgreSQL database. Not in this build: the hub refuses to start with it.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l cleanup-days -x -d 'Delete messages older than this; 0 keeps all. Without it: 30.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l compat -d 'MCP clients see the name cross-claude-mcp, for configurations that look for it.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l log-level -x -a 'debug info warn error ' -d 'debug, info, warn or error. Only debug shows what messages say.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l log-format -x -a 'auto text json ' -d 'text, json, or auto: text on a terminal and JSON elsewhere.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l wait-ceiling -x -d 'No wait of an MCP client lasts longer. Without it: 25.'
complete -c crosstalk -n "__crosstalk_at ' serve'" -l mutual-grace -x -d 'After so long one of those that only wait for each other is told. Without it: 30000.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l db -r -F -d 'The SQLite database. Without it: ~/.crosstalk/crosstalk.db.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l url -x -d 'Use the hub there, and no database of this machine.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l key -x -d 'The key of that hub. Give it as a variable: arguments can be seen by everyone on the machine.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l push -d 'Push messages into Claude Code while it is idle.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l compat -d 'Answer to the name cross-claude-mcp, for configurations that look for it.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l log-level -x -a 'debug info warn error ' -d 'debug, info, warn or error, on standard error.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l log-format -x -a 'auto text json ' -d 'text, json, or auto: text on a terminal and JSON elsewhere.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l wait-ceiling -x -d 'No wait of an MCP client lasts longer. Without it: 25.'
complete -c crosstalk -n "__crosstalk_at ' mcp'" -l mutual-grace -x -d 'After so long one of those that only wait for each other is told. Without it: 30000.'
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a claude-code
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a claude-desktop
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a claude-ai
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a codex
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a gemini
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a cursor
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a vscode
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -a chatgpt
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -l url -x -d 'For the hub there. Without it: for a database of this machine.'
complete -c crosstalk -n "__crosstalk_at ' mcp-config'" -l push -d 'With live push; for claude-code on this machine only.'
complete -c crosstalk -n "__crosstalk_at ' import'" -a cross-claude -d 'Take over what a cross-claude-mcp has kept.'
complete -c crosstalk -n "__crosstalk_at ' import'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' import cross-claude'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' import cross-claude'" -l db -r -F -d 'The SQLite database to import into. Without it: ~/.crosstalk/crosstalk.db.'
complete -c crosstalk -n "__crosstalk_at ' import cross-claude'" -l log-level -x -a 'debug info warn error ' -d 'debug, info, warn or error, on standard error.'
complete -c crosstalk -n "__crosstalk_at ' version'" -l help -d 'Show context-sensitive help.'
complete -c crosstalk -n "__crosstalk_at ' completion'" -a bash
complete -c crosstalk -n "__crosstalk_at ' completion'" -a zsh
complete -c crosstalk -n "__crosstalk_at ' completion'" -a fish
complete -c crosstalk -n "__crosstalk_at ' completion'" -l help -d 'Show context-sensitive help.'
