package mqtt

import "github.com/zerotouch-dps/dps/endpoint"

// Topic is a request topic as it is read, and the topic of its answer.
func Topic(text string, status int) (rid, operationID, answer string, ok bool) {
	r, ok := parseTopic(text)
	return r.rid, r.operationID, r.answerTopic(answerOf(status)), ok
}

// UserName is a user name as it is read.
func UserName(text string) (scope, id, apiVersion string, ok bool) {
	who, ok := parseUserName(text)
	return who.scope, who.id, who.apiVersion, ok
}

// ASCII is JSON as it is sent.
var ASCII = ascii

func answerOf(status int) *endpoint.Answer { return &endpoint.Answer{Status: status, RetryAfter: 3} }
