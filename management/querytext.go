package management

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

// The texts of queries that scopes with FilterQueries obey:
//
//	SELECT * [FROM name] [WHERE condition {AND condition}] [ORDER BY field [ASC | DESC]]
//	condition = field ("=" | ">=" | "<") 'text' | STARTSWITH(field, 'text')
//
// Fields are those of the answers, such as provisioningStatus, attestation.type,
// initialTwin.tags.site, createdDateTimeUtc or, of registration records, assignedHub. A text that is no such SELECT at all asks
// for everything, as everywhere: clients send all kinds of texts. One that is, and has
// conditions or an order that can't be obeyed, is refused.

// condition is one of a query's.
type condition struct{ field, operator, value string }

// queryText is a query that was understood.
type queryText struct {
	conditions []condition
	orderBy    string
	descending bool
}

func (q queryText) plain() bool { return len(q.conditions) == 0 && q.orderBy == "" }

// queryWords splits a text into names, operators and quoted texts, which begin with a
// quote. What is none of these is a word that nobody takes.
func queryWords(text string) []string {
	var words []string
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case unicode.IsSpace(rune(c)):
			i++
			continue
		case c == '\'' || c == '"' || c == '`':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return append(words, "an open quote")
			}
			end = i + 1 + n
			words = append(words, "'"+text[i+1:end])
			i = end + 1
			continue
		case strings.HasPrefix(text[i:], ">="):
			end = i + 2
		case strings.IndexByte("*(),=<", c) >= 0:
		case wordByte(c):
			for end < len(text) && wordByte(text[end]) {
				end++
			}
		}
		words = append(words, text[i:end])
		i = end
	}
	return words
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-' || c == '$'
}

// queryReader goes along words.
type queryReader struct{ words []string }

// take takes a keyword in any letter case.
func (r *queryReader) take(keyword string) bool {
	if len(r.words) == 0 || dps.FoldASCII(r.words[0]) != keyword {
		return false
	}
	r.words = r.words[1:]
	return true
}

// next takes any word.
func (r *queryReader) next() string {
	if len(r.words) == 0 {
		return ""
	}
	word := r.words[0]
	r.words = r.words[1:]
	return word
}

// quoted takes a quoted text, or a number.
func (r *queryReader) quoted() (string, bool) {
	word := r.next()
	if text, ok := strings.CutPrefix(word, "'"); ok {
		return text, true
	}
	return word, word != "" && strings.Trim(word, "0123456789") == ""
}

// parseQuery reads a query's text. Errors: [dps.InvalidArgument] for a SELECT that can't
// be obeyed.
func parseQuery(text string) (queryText, error) {
	var q queryText
	r := queryReader{queryWords(text)}
	if !r.take("select") || !r.take("*") {
		return q, nil
	}
	if r.take("from") {
		r.next()
	}
	if r.take("where") {
		for more := true; more; more = r.take("and") {
			c, ok := r.condition()
			if !ok {
				return q, badQuery(`a condition must be field = 'text', field >= 'time', field < 'time' or STARTSWITH(field, 'text'), joined by AND`)
			}
			q.conditions = append(q.conditions, c)
		}
	}
	if r.take("order") {
		if !r.take("by") {
			return q, badQuery("ORDER must be followed by BY")
		}
		q.orderBy = r.next()
		if q.descending = r.take("desc"); !q.descending {
			r.take("asc")
		}
	}
	if len(r.words) > 0 {
		return q, badQuery("what follows " + r.words[0] + " is not understood")
	}
	return q, nil
}

func (r *queryReader) condition() (condition, bool) {
	if r.take("startswith") {
		if r.next() != "(" {
			return condition{}, false
		}
		c := condition{field: r.next(), operator: "startswith"}
		comma := r.next()
		value, ok := r.quoted()
		c.value = value
		return c, ok && comma == "," && r.next() == ")"
	}
	c := condition{field: r.next(), operator: r.next()}
	value, ok := r.quoted()
	c.value = value
	return c, ok && (c.operator == "=" || c.operator == ">=" || c.operator == "<")
}

func badQuery(why string) error { return dps.Invalid("query", "form", "can't be obeyed: "+why) }

// search turns a query on enrollments or groups into a search; id is the name of the ID.
func (q queryText) search(id string) (s enrollment.Search, err error) {
	for _, c := range q.conditions {
		if err := c.apply(&s, id); err != nil {
			return s, err
		}
	}
	s.Order, err = q.order(id)
	return s, err
}

// order is the order that a query asks for.
func (q queryText) order(id string) (o enrollment.Order, err error) {
	o.Descending = q.descending
	switch field := dps.FoldASCII(q.orderBy); field {
	case "", dps.FoldASCII(id):
	case "createddatetimeutc":
		o.By = enrollment.ByCreated
	case "lastupdateddatetimeutc":
		o.By = enrollment.ByUpdated
	default:
		return o, badQuery("ORDER BY takes " + id + ", createdDateTimeUtc and lastUpdatedDateTimeUtc")
	}
	return o, nil
}

// records turns a query on the registration records of a group into a search.
func (q queryText) records(group string) (s registration.Search, err error) {
	for _, c := range q.conditions {
		if err := c.applyToRecords(&s); err != nil {
			return s, err
		}
	}
	s.Group = group
	s.Order, err = q.order("registrationId")
	return s, err
}

const tagsPrefix = "initialtwin.tags."

func (c condition) apply(s *enrollment.Search, id string) error {
	field := dps.FoldASCII(c.field)
	switch key := field + " " + c.operator; {
	case key == dps.FoldASCII(id)+" =":
		s.ID = c.value
	case key == dps.FoldASCII(id)+" startswith":
		s.Prefix = c.value
	case key == "provisioningstatus =" && c.value == "enabled", key == "provisioningstatus =" && c.value == "disabled":
		s.Enabled = new(c.value == "enabled")
	case key == "attestation.type =" && slices.Contains([]attestation.Kind{attestation.KindX509, attestation.KindSymmetricKey, attestation.KindTPM}, attestation.Kind(c.value)):
		s.Kind = attestation.Kind(c.value)
	case key == "iothubs =", key == "iothubhostname =":
		s.Hub = c.value
	case strings.HasPrefix(field, tagsPrefix) && c.operator == "=":
		s.Tag = enrollment.Tag{Path: strings.Split(c.field[len(tagsPrefix):], "."), Value: c.value}
	case field == "createddatetimeutc":
		return c.bound(&s.Created)
	case field == "lastupdateddatetimeutc":
		return c.bound(&s.Updated)
	default:
		return c.unknown()
	}
	return nil
}

func (c condition) applyToRecords(s *registration.Search) error {
	field := dps.FoldASCII(c.field)
	switch key := field + " " + c.operator; {
	case key == "registrationid =":
		s.ID = c.value
	case key == "registrationid startswith":
		s.Prefix = c.value
	case key == "status =" && slices.Contains([]registration.Status{registration.Assigning, registration.Assigned, registration.Failed, registration.Disabled}, registration.Status(c.value)):
		s.Status = registration.Status(c.value)
	case key == "assignedhub =":
		s.Hub = c.value
	case field == "createddatetimeutc":
		return c.bound(&s.Created)
	case field == "lastupdateddatetimeutc":
		return c.bound(&s.Updated)
	default:
		return c.unknown()
	}
	return nil
}

func (c condition) unknown() error {
	return badQuery("there is no condition " + c.field + " " + c.operator + " '" + c.value + "'")
}

func (c condition) bound(r *enrollment.Range) error {
	t, err := time.Parse(time.RFC3339, c.value)
	if err != nil || t.Year() < 1970 {
		return badQuery(c.field + " takes times such as 2026-01-31T08:00:00Z")
	}
	switch c.operator {
	case ">=":
		r.From = t.UTC()
	case "<":
		r.Until = t.UTC()
	default:
		return badQuery(c.field + " takes >= and <")
	}
	return nil
}
