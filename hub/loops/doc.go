// Package loops notices when two agents talk only to each other and do not stop. From Said messages on, all within
// Window, their answers say so; from Most on their sends are refused, until a person speaks, somebody else does, or
// Window has passed since the last message. What counts is the log, so that it is the same on every node and after a
// restart; it is looked at only where the messages that this process has stored make a loop possible.
package loops
