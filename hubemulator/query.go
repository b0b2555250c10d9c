package hubemulator

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
)

const (
	maxQuery    = 4 << 10 // bytes
	maxTerms    = 16
	defaultPage = 100
	maxPage     = 1000
)

// query serves the one query of provisioning: SELECT * FROM devices, with conditions
// on deviceId, status and tags.
func (h *Hub) query(w http.ResponseWriter, r *http.Request) (any, error) {
	var in struct{ Query string }
	if err := readBody(r, maxBody, &in); err != nil {
		return nil, err
	}
	where, err := parseQuery(in.Query)
	if err != nil {
		return nil, err
	}
	after, size, err := paging(r.Header)
	if err != nil {
		return nil, err
	}
	records, err := h.store.list(r.Context(), where, after, size+1)
	if err != nil {
		return nil, err
	}
	w.Header().Set("X-Ms-Item-Type", "Twin")
	if len(records) > size {
		records = records[:size]
		w.Header().Set("X-Ms-Continuation", continuation(records[size-1].seq))
	}
	twins := make([]twinView, len(records))
	for i := range records {
		twins[i] = h.twinView(&records[i])
	}
	return twins, nil
}

func continuation(seq int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(seq, 10)))
}

func paging(h http.Header) (after int64, size int, err error) {
	size = defaultPage
	if text := h.Get("X-Ms-Max-Item-Count"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size == 0 || size < -1 {
			return 0, 0, badArgument("x-ms-max-item-count must be a number from 1, or -1")
		}
		if size == -1 || size > maxPage {
			size = maxPage
		}
	}
	if token := h.Get("X-Ms-Continuation"); token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			after, err = strconv.ParseInt(string(text), 10, 64)
		}
		if err != nil || after < 0 {
			return 0, 0, badArgument("x-ms-continuation is none of this hub's")
		}
	}
	return after, size, nil
}

// condition is a part of an SQL where clause and its arguments.
type condition struct {
	text string
	args []any
}

// parseQuery reads a query; keywords count in any case, strings stand in single or
// double quotes with the quote doubled inside.
func parseQuery(text string) (condition, error) {
	if len(text) > maxQuery {
		return condition{}, badArgument("the query must be at most 4096 bytes")
	}
	p := parser{tokens: tokenize(text)}
	for _, word := range []string{"select", "*", "from", "devices"} {
		if !p.word(word) {
			return condition{}, badQuery()
		}
	}
	out := condition{text: "1 = 1"}
	if p.done() {
		return out, nil
	}
	if !p.word("where") {
		return condition{}, badQuery()
	}
	for range maxTerms {
		term, ok := p.term()
		if !ok {
			return condition{}, badQuery()
		}
		out.text += " and " + term.text
		out.args = append(out.args, term.args...)
		if p.done() {
			return out, nil
		}
		if !p.word("and") {
			return condition{}, badQuery()
		}
	}
	return condition{}, badQuery()
}

func badQuery() error {
	return badArgument("the embedded hub takes SELECT * FROM devices [WHERE deviceId = '…' | status = '…' | tags.x = …] [AND …]")
}

// token is a word, a sign or a literal.
type token struct {
	text    string
	literal bool // text is the value of a string
}

// tokenize cuts a query up; a string that does not end becomes a token that no rule
// takes.
func tokenize(text string) []token {
	var out []token
	for text = strings.TrimLeft(text, " \t\r\n"); text != ""; text = strings.TrimLeft(text, " \t\r\n") {
		var t token
		switch {
		case text[0] == '\'' || text[0] == '"':
			t, text = quoted(text)
		case strings.ContainsRune("=*,()<>!", rune(text[0])):
			t, text = token{text: text[:1]}, text[1:]
		default:
			end := strings.IndexAny(text, " \t\r\n'\"=*,()<>!")
			if end < 0 {
				end = len(text)
			}
			t, text = token{text: text[:end]}, text[end:]
		}
		out = append(out, t)
	}
	return out
}

func quoted(text string) (token, string) {
	quote := text[0]
	var value strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != quote {
			value.WriteByte(text[i])
			continue
		}
		if i+1 == len(text) || text[i+1] != quote {
			return token{value.String(), true}, text[i+1:]
		}
		value.WriteByte(quote)
		i++
	}
	return token{text: "unterminated string"}, ""
}

type parser struct{ tokens []token }

func (p *parser) done() bool { return len(p.tokens) == 0 }

// word takes a keyword or sign.
func (p *parser) word(w string) bool {
	if p.done() || p.tokens[0].literal || dps.FoldASCII(p.tokens[0].text) != w {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// term takes "name = value".
func (p *parser) term() (condition, bool) {
	if len(p.tokens) < 3 || p.tokens[0].literal {
		return condition{}, false
	}
	name, value := p.tokens[0].text, p.tokens[2]
	p.tokens = p.tokens[1:]
	if !p.word("=") {
		return condition{}, false
	}
	p.tokens = p.tokens[1:]
	switch folded := dps.FoldASCII(name); {
	case folded == "deviceid" && value.literal:
		return condition{"id = ?", []any{value.text}}, true
	case folded == "status" && value.literal:
		return condition{"enabled = ?", []any{dps.FoldASCII(value.text) == "enabled"}}, true
	case strings.HasPrefix(folded, "tags."):
		return tagTerm(name[len("tags."):], value)
	}
	return condition{}, false
}

// tagTerm compares a tag, named by its path, with a string, a number or a boolean.
func tagTerm(path string, value token) (condition, bool) {
	var jsonPath strings.Builder
	jsonPath.WriteByte('$')
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || strings.ContainsAny(name, "\"\\[]") {
			return condition{}, false
		}
		jsonPath.WriteString(`."` + name + `"`)
	}
	at := jsonPath.String()
	if value.literal {
		return condition{"json_type(tags, ?) = 'text' and json_extract(tags, ?) = ?", []any{at, at, value.text}}, true
	}
	switch word := dps.FoldASCII(value.text); word {
	case "true", "false":
		return condition{"json_type(tags, ?) = ?", []any{at, word}}, true
	}
	number, err := strconv.ParseFloat(value.text, 64)
	if err != nil {
		return condition{}, false
	}
	return condition{"json_type(tags, ?) in ('integer', 'real') and json_extract(tags, ?) = ?", []any{at, at, number}}, true
}
