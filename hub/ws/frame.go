package ws

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"crosstalk/models"
)

// Frames of RFC 6455 as a server sends them: unmasked, never fragmented.
const (
	fin     = 0x80
	opcode  = 0x0f
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// Why a connection ends, as its close frame says.
const (
	closeProtocol        = 1002
	closeInvalid         = 1007 // no JSON object
	closeRestart         = 1012
	closeLater           = 1013 // the log cannot be read now
	closeSlow            = 4008
	closeRefused         = 4400 // what the URL asks for cannot be
	closeUnauthenticated = 4401
	closeForbidden       = 4403
	closeRateLimited     = 4429 // too many connections or requests
)

// maxReason is what fits into a close frame beside the code.
const maxReason = 123

func appendHeader(dst []byte, op byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, fin|op, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, fin|op, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, fin|op, 127), uint64(n))
}

func appendText(dst, payload []byte) []byte {
	return append(appendHeader(dst, opText, len(payload)), payload...)
}

func appendClose(dst []byte, code int, reason string) []byte {
	if len(reason) > maxReason {
		reason = models.Cut(reason, 0, maxReason)
	}
	dst = appendHeader(dst, opClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// frameEnd returns where the frame ends that the byte before off belongs to; buf begins with a frame.
func frameEnd(buf []byte, off int) int {
	end := 0
	for end < off {
		head, n := 2, int(buf[end+1])
		switch n {
		case 126:
			head, n = 4, int(binary.BigEndian.Uint16(buf[end+2:]))
		case 127:
			head, n = 10, int(binary.BigEndian.Uint64(buf[end+2:]))
		}
		end += head + n
	}
	return end
}

// The JSON of what the server says. id is the command's own, as it came; empty for none.

func appendWelcome(dst []byte, version, bus string) []byte {
	dst = append(dst, `{"type":"welcome","server":"crosstalk","version":`...)
	dst = appendString(dst, version)
	dst = append(dst, `,"bus_id":`...)
	dst = appendString(dst, bus)
	dst = append(dst, `,"ping_seconds":`...)
	dst = strconv.AppendInt(dst, int64(beatEvery.Seconds()), 10)
	return append(dst, '}')
}

func appendSubscribed(dst, id []byte, channel string, head int64, recovered bool) []byte {
	dst = appendType(dst, "subscribed", id)
	dst = append(dst, `,"channel":`...)
	dst = appendString(dst, channel)
	dst = append(dst, `,"last_id":`...)
	dst = strconv.AppendInt(dst, head, 10)
	dst = append(dst, `,"recovered":`...)
	dst = strconv.AppendBool(dst, recovered)
	return append(dst, '}')
}

func appendUnsubscribed(dst, id []byte, channel string) []byte {
	dst = appendType(dst, "unsubscribed", id)
	dst = append(dst, `,"channel":`...)
	dst = appendString(dst, channel)
	return append(dst, '}')
}

func appendPublished(dst, id []byte, r models.Receipt) []byte {
	dst = appendType(dst, "published", id)
	dst = append(dst, `,"message_id":`...)
	dst = strconv.AppendInt(dst, r.ID, 10)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, r.Seq, 10)
	dst = append(dst, `,"duplicate":`...)
	dst = strconv.AppendBool(dst, r.Duplicate)
	if r.Notice != "" {
		dst = appendString(append(dst, `,"notice":`...), r.Notice)
	}
	return append(dst, '}')
}

func appendPong(dst, id []byte) []byte {
	return append(appendType(dst, "pong", id), '}')
}

func appendError(dst, id []byte, err error) []byte {
	dst = appendType(dst, "error", id)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, string(models.CodeOf(err)))
	dst = append(dst, `,"error":`...)
	dst = appendString(dst, models.Text(err))
	dst = append(dst, `,"retry_after":`...)
	dst = strconv.AppendInt(dst, models.RetryAfter(err), 10)
	return append(dst, '}')
}

func appendPosition(dst []byte, id int64) []byte {
	dst = append(dst, `{"type":"position","last_id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	return append(dst, '}')
}

func appendPresence(dst []byte, instance string, s models.Status) []byte {
	dst = append(dst, `{"type":"presence","instance_id":`...)
	dst = appendString(dst, instance)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, string(s))
	return append(dst, '}')
}

func appendType(dst []byte, name string, id []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, name...)
	dst = append(dst, '"')
	if len(id) > 0 {
		dst = append(dst, `,"id":`...)
		dst = append(dst, id...)
	}
	return dst
}

// appendString quotes s. Names and most texts need no escapes.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string has no way to fail
				panic(err)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
