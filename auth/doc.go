// Package auth stands at every door: it decides from a request's head alone whether it may come in,
// and as whom. With a key, whoever shows it comes in, and a named key or another credential says who that is.
// Without one only this machine may: a web page that reaches the hub under a foreign name, and a tunnel that
// makes the world look like loopback, are turned away. A page of a foreign origin is turned away in both cases.
// What is revoked or expires opens nothing from then on, and ends what lasts, within 5 s and in every process;
// to show a credential again costs no look into the database. No secret can be read in what is printed or logged.
package auth
