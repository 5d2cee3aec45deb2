// Package catalog holds what clients are told before they call anything: the tools with their
// parameters, the instructions and the prompt. It also reads the arguments of a call, forgivingly in
// form and strictly in meaning: what it cannot take is refused with a text that says what to do.
package catalog
