package mqtt

import (
	"bytes"

	"github.com/zerotouch-dps/dps/endpoint"
)

// ParsePackets reads packets as a connection does, and returns how many were good.
func ParsePackets(text []byte) (good int) {
	r := bytes.NewReader(text)
	for {
		first, err := r.ReadByte()
		if err != nil {
			return good
		}
		p, err := readRest(r, first, func(kind) int { return maxPublish })
		if err == nil {
			err = parse(p)
		}
		if err != nil {
			return good
		}
		good++
	}
}

func parse(p packet) (err error) {
	switch p.kind {
	case kindConnect:
		_, err = parseConnect(p)
	case kindPublish:
		_, err = parsePublish(p)
	case kindSubscribe, kindUnsubscribe:
		_, err = parseSubscribe(p)
	}
	return err
}

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

func answerOf(status int) endpoint.Answer { return endpoint.Answer{Status: status, RetryAfter: 3} }
