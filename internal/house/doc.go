// Package house keeps the rules that this repository lives by. Each rule reads the source, never runs it, and names the
// file and line that breaks it. The tests hold the whole repository to every rule, and show each rule a small
// offender first, so that no rule can go blind unnoticed.
package house
