package main

import (
	"io"
	"net"
	"strconv"
	"strings"
)

// greet tells the person who started the hub where it is and what to try. All three commands can be pasted as they are.
// Nobody has to listen: a hub whose output is closed goes on.
func greet(w io.Writer, url string, port int, keyed bool) {
	key, hint := "", ""
	if keyed {
		key = ` -H "Authorization: Bearer $MCP_API_KEY"`
		hint = "MCP_API_KEY stands for a key of this hub.\n\n"
	}
	fill := strings.NewReplacer("KEY", key, "JSON", " -H 'Content-Type: application/json'", "URL", url,
		"VERSION", versionText(), "PORT", strconv.Itoa(port), "HINT", hint)
	_, _ = fill.WriteString(w, `crosstalk VERSION listening on port PORT

The dashboard: URL/
Three commands to try:

  curlKEYJSON URL/api/register -d '{"instance_id":"alice"}'
  curlKEYJSON URL/api/messages -d '{"sender":"alice","content":"hello"}'
  curlKEY URL/api/messages/general

HINT`)
}

// localURL is how this machine reaches what is listened on.
func localURL(l net.Listener) string {
	host := "127.0.0.1"
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(portOf(l)))
}
