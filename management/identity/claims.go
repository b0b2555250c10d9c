package identity

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// claims are those of a verified token.
type claims map[string]any

// value finds a claim by its name, or else by its path.
func (c claims) value(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	head, rest, nested := strings.Cut(name, ".")
	if inner, ok := c[head].(map[string]any); ok && nested {
		return claims(inner).value(rest)
	}
	return nil
}

// texts returns a claim's value, its list, or the words of its text: scopes are written
// either way (RFC 8693, 4.2; RFC 9068, 2.2.3.1).
func (c claims) texts(name string) []string {
	switch v := c.value(name).(type) {
	case string:
		return append(strings.Fields(v), v)
	case bool:
		return []string{strconv.FormatBool(v)}
	case []any:
		texts := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

func (c claims) has(name, value string) bool { return slices.Contains(c.texts(name), value) }

// time reads a NumericDate (RFC 7519, 2).
func (c claims) time(name string) (time.Time, bool) {
	seconds, ok := c[name].(float64)
	if !ok || math.Abs(seconds) > math.MaxInt32*1000 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
