// Package pgtest gives tests a PostgreSQL of their own: a cluster in a folder for temporary files, on a port of the
// loopback interface, that ends with the program that runs the tests, however that ends. As root it runs as the user
// postgres, else as whoever tests.
//
// Start gives a test an empty database on a cluster that all tests of a program share. New gives it a cluster that it
// may stop, kill and start again. Where there is no PostgreSQL a test fails: it is never skipped.
package pgtest
