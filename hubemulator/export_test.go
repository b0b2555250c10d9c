package hubemulator

import (
	"strings"
	"testing"
)

// CheckQuery parses a query and returns its SQL condition and arguments.
func CheckQuery(text string) (where string, args []any, err error) {
	c, err := parseQuery(text)
	return c.text, c.args, err
}

// CheckNames reads a user name and a topic and holds the parts to the whole.
func CheckNames(t *testing.T, userName, topic string) {
	t.Helper()
	if host, id, ok := parseUserName(userName); ok && !strings.HasPrefix(userName, host+"/"+id+"/") {
		t.Errorf("%q is read as %q, %q", userName, host, id)
	}
	s, ok := parseTopic(topic, "a")
	if ok != (s.what != sayNothing) || !strings.Contains(topic, s.rid) || !strings.Contains(topic, s.properties) {
		t.Errorf("%q is read as %+v, %v", topic, s, ok)
	}
	if f, ok := parseFilter(topic, "a"); ok && f >= filters {
		t.Errorf("%q is filter %d", topic, f)
	}
	parseProperties(s.properties)
}
