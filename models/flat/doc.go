// Package flat reads the JSON that clients send all day, one object of texts and whole numbers, in a quarter of
// encoding/json's time (BenchmarkRead). What else may stand in JSON it does not take: whoever asked then turns to
// encoding/json, for the values as for the words about what is wrong. What it does take, encoding/json reads the same
// way (FuzzFlat).
package flat
