// Package web serves the dashboard, the page at / with which people read, post and intervene. All of it stands inside
// the program. It needs no key by itself, for it holds nothing: what it shows it asks of /api and /ws, as the person who
// signed in. It never calls another host, and what others wrote never becomes a part of the page. Whoever comes back loads
// only what changed.
//
// The sources are in ui, and dist is what npm run build makes of them there; a test holds the one to the other.
package web
