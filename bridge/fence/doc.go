// Package fence writes the answers that models read. An answer is never longer than its bound, and what
// others wrote stands inside a fence whose key is random for each answer, so that no text can pass for
// another message or for the hub. Who wrote it, and how sure that is, stands outside.
package fence
