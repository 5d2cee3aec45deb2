// Package auth stands at every door: it decides from a request's head alone whether it may come in,
// and as whom. With a key, whoever shows it comes in. Without one only this machine may: a web page
// that reaches the hub under a foreign name, and a tunnel that makes the world look like loopback,
// are turned away. A page of a foreign origin is turned away in both cases.
package auth
