package hubemulator

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

// publish does what the device asks or says. A topic that devices have no business with
// ends the connection, as in real hubs. PUBACK goes before a reply.
func (s *session) publish(ctx context.Context, p wire.Packet) error {
	m, err := wire.ParsePublish(p)
	if err != nil {
		return err
	}
	topic, ok := parseTopic(m.Topic, s.id)
	if !ok {
		return wire.Malformed("no such topic to publish to")
	}
	if topic.what == sayTelemetry {
		s.telemetry(topic, m.Payload)
	}
	if m.ID != 0 {
		s.out <- wire.Acknowledgement(wire.KindPuback, m.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch topic.what {
	case sayGetTwin:
		s.getTwin(ctx, topic.rid)
	case sayReported:
		s.reportTwin(ctx, topic.rid, m.Payload)
	case sayTelemetry, sayMethodResult, sayNothing:
	}
	return nil
}

func (s *session) telemetry(topic said, body []byte) {
	s.hub.messages.Add(1)
	s.hub.presence.heard(s, 1, len(body))
	s.hub.archive.add(s.id, newMessage(topic.properties, body, s.hub.config.Now()))
	if s.hub.config.Observe != nil {
		s.hub.config.Observe(Event{
			Kind: DeviceSaid, DeviceID: s.id, Transport: s.from.Transport, Addr: s.from.Addr, Detail: strconv.Itoa(len(body)) + " bytes",
		})
	}
}

// getTwin replies with what the device may see of its twin.
func (s *session) getTwin(ctx context.Context, rid string) {
	found, ok, err := s.hub.store.get(ctx, s.id)
	if err == nil && !ok {
		err = deviceNotFound(s.id)
	}
	if err != nil {
		s.replyError(rid, err)
		return
	}
	half := func(of section) object {
		out := merged(nil, of.Values)
		out["$version"] = of.Version
		return out
	}
	s.reply(rid, 200, "", object{"desired": half(found.Twin.Desired), "reported": half(found.Twin.Reported)}.text())
}

// reportTwin merges reported properties and replies with their version.
func (s *session) reportTwin(ctx context.Context, rid string, body []byte) {
	var patch object
	if err := json.Unmarshal(body, &patch); err != nil || patch == nil {
		s.replyError(rid, badArgument("reported properties must be a JSON object"))
		return
	}
	out, err := s.hub.change(ctx, s.id, "*", func(old *record) error { return old.Twin.report(patch, s.hub.config.Now()) })
	if err != nil {
		s.replyError(rid, err)
		return
	}
	s.reply(rid, 204, "&$version="+strconv.FormatInt(out.Twin.Reported.Version, 10), "")
}

func (s *session) replyError(rid string, err error) {
	refused := refuse(500001, "ServerError", "the hub failed")
	_ = errors.As(err, &refused)
	body := object{"errorCode": refused.code, "trackingId": s.hub.trackingID(), "message": refused.text}
	s.reply(rid, refused.status, "", body.text())
}

// reply answers a request, if the device subscribed to answers.
func (s *session) reply(rid string, status int, more, body string) {
	topic := twinReplyTopic + strconv.Itoa(status) + "/?$rid=" + rid + more
	if packet := s.encode(twinReplies, topic, []byte(body)); packet != nil {
		s.out <- packet
	}
}
