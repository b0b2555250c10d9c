package mqtt

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// ascii writes JSON with everything beyond ASCII escaped: the Node.js SDK takes the high
// bit off each byte of a reply over MQTT.
func ascii(json []byte) []byte {
	first := beyond(json)
	if first < 0 {
		return json
	}
	out := append(make([]byte, 0, len(json)+len(json)/2), json[:first]...)
	for rest := json[first:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, rest[0])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	return out
}

func beyond(text []byte) int {
	for i, c := range text {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}
