package apierror_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

func rows() (all []apierror.Row) {
	for code := range dps.CodeCount {
		all = append(all, apierror.RowOf(dps.Code(code)))
	}
	return all
}

func refusals(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestRefusalsNameCodesThatExist: a code stands with the status it is sent with, unless it
// stands in a registration that failed.
func TestRefusalsNameCodesThatExist(t *testing.T) {
	t.Parallel()
	for _, text := range regexp.MustCompile(`\b[45]\d{5}\b`).FindAllString(refusals(t), -1) {
		if !slices.ContainsFunc(rows(), func(r apierror.Row) bool { return strconv.Itoa(r.ErrorCode) == text }) {
			t.Errorf("no error has code %s", text)
		}
	}
	for _, m := range regexp.MustCompile(`\| (\d{3}), (?:.errorCode. )?(\d{6})`).FindAllStringSubmatch(refusals(t), -1) {
		if !strings.HasPrefix(m[2], m[1]) {
			t.Errorf("code %s is not sent with status %s", m[2], m[1])
		}
	}
}

// TestRefusalsNameAMQPConditions: the page has every condition that is sent, and none else.
func TestRefusalsNameAMQPConditions(t *testing.T) {
	t.Parallel()
	said := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| ([45][\\d, ]+)(?: in the message)? \\| `([^`]+)` \\|").FindAllStringSubmatch(refusals(t), -1) {
		for status := range strings.SplitSeq(m[1], ", ") {
			said[strings.TrimSpace(status)] = m[2]
		}
	}
	for _, status := range []string{"400", "401", "403", "404", "409", "413", "429", "500", "503"} {
		if said[status] == "" {
			t.Errorf("the page has no condition for %s", status)
		}
	}
	for _, r := range rows() {
		if condition := said[strconv.Itoa(r.Status)]; condition != "" && condition != r.AMQPCondition() {
			t.Errorf("%s is rejected with %s; the page says %s", r.Name, r.AMQPCondition(), condition)
		}
	}
}
