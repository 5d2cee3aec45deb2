// Package models holds the nouns of the bus: Message, Channel, Instance, SharedData, Principal, the
// rules for their names and sizes, and the one error type. What a Parse function returned is valid
// everywhere past the door that called it. The package knows no database, no transport and no clock.
package models
