// Package store keeps the bus in a database.
package store

type Store struct{}
