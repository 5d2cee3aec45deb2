// Package dial follows channels of a hub elsewhere, over its WebSocket door.
//
// A Client hands out each message after its cursor once, in the order of the ids, for as long as its
// owner asks: it resumes by itself when the connection breaks, when nothing is heard of the hub for two
// of its pings, and when the hub restarts. Between tries it waits between 0.5 and 20 s, at random,
// longer each time, or as long as the hub asks.
//
// What cannot be had any more is told, never passed over: messages that retention has removed, and a
// hub that has another database now. Only what trying again cannot mend ends Next: a key that the hub
// refuses, channels that it does not give, an address where no hub answers.
//
// A Client has no goroutine and no queue. What Next was not asked for yet stays in the hub's log.
package dial
