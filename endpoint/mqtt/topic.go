package mqtt

import (
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps/endpoint"
)

// replies is the one filter that may be subscribed to.
const replies = "$dps/registrations/res/#"

const (
	registerTopic = "$dps/registrations/PUT/iotdps-register/"
	statusTopic   = "$dps/registrations/GET/iotdps-get-operationstatus/"
	replyTopic    = "$dps/registrations/res/"
)

// request is what a device asks for by a topic.
type request struct {
	operation   string // endpoint.OpRegister or endpoint.OpStatus
	rid         string // as it was written; given back literally
	operationID string
}

// parseTopic reads the topic of a request: one of the two above, and a query with $rid
// and, of a status request, operationId. Other members are ignored.
func parseTopic(topic string) (request, bool) {
	operation, query := endpoint.OpRegister, ""
	if rest, ok := strings.CutPrefix(topic, registerTopic); ok {
		query = rest
	} else if rest, ok := strings.CutPrefix(topic, statusTopic); ok {
		operation, query = endpoint.OpStatus, rest
	} else {
		return request{}, false
	}
	r := request{operation: operation}
	query, ok := strings.CutPrefix(query, "?")
	if !ok && query != "" {
		return request{}, false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "$rid":
			r.rid = value
		case "operationId":
			r.operationID = value
		}
	}
	return r, true
}

// answerTopic is the topic of a reply. $rid goes first, for the Python and the C# SDK
// want it so; retry-after is left out when there is none, for Python's wants a number.
func (r request) answerTopic(a *endpoint.Answer) string {
	topic := replyTopic + strconv.Itoa(a.Status) + "/?$rid=" + r.rid
	if a.RetryAfter > 0 {
		topic += "&retry-after=" + strconv.Itoa(a.RetryAfter)
	}
	return topic
}

// identity is who a connection says it is, by its user name.
type identity struct{ scope, id, apiVersion string }

// parseUserName reads {idScope}/registrations/{registrationId}/api-version=…[&…]. What
// follows the third slash may hold slashes itself, raw or encoded.
func parseUserName(text string) (identity, bool) {
	parts := strings.SplitN(text, "/", 4)
	if len(parts) != 4 || parts[1] != "registrations" {
		return identity{}, false
	}
	who := identity{scope: parts[0], id: parts[2]}
	for pair := range strings.SplitSeq(strings.TrimPrefix(parts[3], "?"), "&") {
		if value, ok := strings.CutPrefix(pair, "api-version="); ok && who.apiVersion == "" {
			who.apiVersion = value
		}
	}
	return who, true
}
