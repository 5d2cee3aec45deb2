// Package bridge lets AI clients meet on the bus by the Model Context Protocol: it holds the tools, the
// prompt, the resources and the words that models read. How requests and answers travel is the work of
// package wire below it, which says by a Call what it knows of each.
package bridge
