// Package auth stands at every door: it decides from a request's head alone whether it may come in, and as whom.
package auth
