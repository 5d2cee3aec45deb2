// Package oauth is the authorization server inside the hub, for clients that can hold no key: claude.ai, ChatGPT and their
// like. A person gives a key or an invite code on a page of the hub, sees what is allowed to whom, and the client gets tokens
// that read and write in that person's name, never more than the key may, and never as an administrator.
//
// A grant is void as soon as its key is: revoked, rotated, or another in the environment. A code is good once and for a
// minute, a refresh token once; either shown again ends the grant. A token is good at the one address it was asked for. Tokens,
// codes and keys are compared and stored as SHA-256, and stand in no URL but the code in its answer, and in no log.
//
// Nobody is sent to an address that was not registered, and nobody at all before a person has decided. The page works without
// scripts, cannot be framed, and shows what others say of themselves as text. The issuer comes from the configuration alone, never
// from a request. An address from a client's document is fetched only over HTTPS, from public addresses, without redirects.
package oauth
