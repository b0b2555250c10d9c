package allocation

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Question is what the custom policy asks its webhook. It stays with the operation until
// that ends, so that whoever takes the operation over asks the same.
type Question struct {
	// URL may hold a key in its query: it is stored sealed, and never shown.
	URL   string
	Group bool            // the entry is an enrollment group
	Entry json.RawMessage // the entry as the service API shows it, without secrets
	// Device is who registers, with what: the deviceRuntimeContext of the request.
	Device json.RawMessage
	Hubs   []string // host names to choose from
}

// Answer is what a webhook said.
type Answer struct {
	Hub     string                  // one of Question.Hubs, spelled as there
	Twin    *enrollment.InitialTwin // nil: the entry's
	Payload json.RawMessage         // for the device; nil: none
}

// Host returns the host of the question's URL, see [HostOf].
func (q *Question) Host() string { return HostOf(q.URL) }

// HostOf returns the host of a webhook's URL, folded, with its port unless that is the
// scheme's own; empty when it is no URL.
func HostOf(webhook string) string {
	u, err := url.Parse(webhook)
	if err != nil {
		return ""
	}
	host, usual := dps.FoldASCII(u.Host), ":443"
	if u.Scheme == "http" {
		usual = ":80"
	}
	return strings.TrimSuffix(host, usual)
}

// Masked hides what may be a key: the query, as the original does in what it sends, and a
// user's name and password.
func Masked(webhook string) string {
	u, err := url.Parse(webhook)
	if err != nil {
		return ""
	}
	hidden := u.RawQuery != "" || u.ForceQuery
	u.RawQuery, u.ForceQuery, u.Fragment, u.User = "", false, "", nil
	if hidden {
		return u.String() + "?****"
	}
	return u.String()
}
