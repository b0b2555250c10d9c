package declare

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLength is how long \uXXXX is.
const escapeLength = 6

// asYAML writes out what JSON escapes in two halves (RFC 8259, 7), and the slash, which
// the YAML reader does not know; all else of JSON is YAML. Lines stay where they are.
func asYAML(text []byte) []byte {
	if !json.Valid(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			out, i = append(out, text[i]), i+1
			continue
		}
		first := escaped(text[i:])
		switch pair := utf16.DecodeRune(first, escaped(text[min(i+escapeLength, len(text)):])); {
		case text[i+1] == '/':
			out, i = append(out, '/'), i+2
		case !utf16.IsSurrogate(first):
			out, i = append(out, text[i], text[i+1]), i+2
		case pair != utf8.RuneError:
			out, i = utf8.AppendRune(out, pair), i+2*escapeLength
		default: // half of one says nothing
			out, i = utf8.AppendRune(out, utf8.RuneError), i+escapeLength
		}
	}
	return out
}

// escaped is the character of a \uXXXX at the beginning of a text; 0 if there is none.
func escaped(text []byte) rune {
	if len(text) < escapeLength || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(text[2:escapeLength]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}
