package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
)

// greet tells the person who started the hub where it is and what to try. All three commands can be pasted as they are.
func greet(w io.Writer, url string, port int, keyed bool) {
	key := ""
	if keyed {
		key = ` -H "Authorization: Bearer $MCP_API_KEY"`
	}
	const json = " -H 'Content-Type: application/json'"
	fmt.Fprintf(w, "crosstalk %s listening on port %d\n\n", versionText(), port)
	fmt.Fprintf(w, "The dashboard will be at %s/ (not in this build yet).\n", url)
	fmt.Fprintf(w, "Three commands to try:\n\n")
	fmt.Fprintf(w, "  curl%s%s %s/api/register -d '{\"instance_id\":\"alice\"}'\n", key, json, url)
	fmt.Fprintf(w, "  curl%s%s %s/api/messages -d '{\"sender\":\"alice\",\"content\":\"hello\"}'\n", key, json, url)
	fmt.Fprintf(w, "  curl%s %s/api/messages/general\n\n", key, url)
	if keyed {
		fmt.Fprintf(w, "MCP_API_KEY stands for the key that this hub was started with.\n\n")
	}
}

// localURL is how this machine reaches the first of the places listened on.
func localURL(l net.Listener) string {
	host := "127.0.0.1"
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(portOf(l)))
}
