package endpointtest

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// alike holds refusals to one answer, byte by byte.
type alike struct{ first *string }

// varies matches what differs from one answer to the next: times, and tracking IDs.
func varies() *regexp.Regexp {
	return regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ][0-9:.]+Z|\w{3}, \d\d \w{3} \d{4} [0-9:]+ GMT`)
}

// refusal compares an answer with the ones before.
func (s *alike) refusal(t *testing.T, name string, answer Answer) {
	t.Helper()
	if answer.Body.TrackingID == "" || answer.Raw == "" {
		t.Errorf("%s: no tracking ID, or no bytes of the answer", name)
	}
	raw := varies().ReplaceAllString(answer.Raw, "*")
	if s.first == nil {
		s.first = &raw
	}
	if diff := cmp.Diff(*s.first, raw); diff != "" {
		t.Errorf("%s: is told something else than others (-others +this):\n%s", name, diff)
	}
	answer.Body.TrackingID, answer.Raw = "", ""
	want := Answer{Status: http.StatusUnauthorized, Body: Body{ErrorCode: 401002, Message: "Unauthorized"}}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("%s: (-want +got):\n%s", name, diff)
	}
}
