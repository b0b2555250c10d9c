package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	keepAlive   = 3 * time.Minute
	replyFilter = "$dps/registrations/res/#"
	replyPrefix = "$dps/registrations/res/"
	atLeastOnce = 1
	partingTime = 250 // milliseconds
)

// mqttLine speaks MQTT 3.1.1, over TLS or over WebSocket.
type mqttLine struct {
	endpoint Endpoint
	identity Identity
	client   mqtt.Client // nil: not connected
	replies  chan reply
	lost     chan error
	rid      int
}

// reply is a message on a reply topic.
type reply struct {
	rid string
	said
}

func (l *mqttLine) close() {
	if l.client != nil {
		l.client.Disconnect(partingTime)
		l.client = nil
	}
}

func (l *mqttLine) call(ctx context.Context, a ask) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := l.tryCall(ctx, a)
	if err != nil {
		l.close() // to begin anew
	}
	return answer, err
}

func (l *mqttLine) tryCall(ctx context.Context, a ask) (said, error) {
	if err := l.connect(ctx); err != nil {
		return said{}, err
	}
	l.rid++
	rid := strconv.Itoa(l.rid)
	topic := "$dps/registrations/PUT/iotdps-register/?$rid=" + rid
	if a.operation != "" {
		topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=" + rid + "&operationId=" + a.operation
	}
	if err := finish(ctx, l.client.Publish(topic, atLeastOnce, false, a.body)); err != nil {
		return said{}, err
	}
	for {
		select {
		case r := <-l.replies:
			if r.rid == rid {
				return r.said, nil
			}
		case err := <-l.lost:
			return said{}, &unreachableError{err}
		case <-ctx.Done():
			return said{}, &unreachableError{ctx.Err()}
		}
	}
}

// connect connects and subscribes, unless that is done.
func (l *mqttLine) connect(ctx context.Context) error {
	if l.client != nil {
		return nil
	}
	l.replies, l.lost = make(chan reply, 1), make(chan error, 1)
	options, err := l.options(ctx)
	if err != nil {
		return err
	}
	l.client = mqtt.NewClient(options)
	if err := finish(ctx, l.client.Connect()); err != nil {
		return err
	}
	return finish(ctx, l.client.Subscribe(replyFilter, atLeastOnce, receiver(replyPrefix, l.replies)))
}

func (l *mqttLine) options(ctx context.Context) (*mqtt.ClientOptions, error) {
	token, err := l.endpoint.token(l.identity)
	if err != nil {
		return nil, err
	}
	lost := l.lost
	o := mqtt.NewClientOptions().
		AddBroker("ssl://" + l.endpoint.address()).
		SetProtocolVersion(4).
		SetClientID(l.identity.RegistrationID).
		SetUsername(l.endpoint.IDScope + "/registrations/" + l.identity.RegistrationID + "/api-version=" + apiVersion + "&ClientVersion=dps").
		SetPassword(token).
		SetKeepAlive(keepAlive).
		SetConnectTimeout(connectTimeout).
		SetAutoReconnect(false).
		SetOrderMatters(false).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { tell(lost, err) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.dial(ctx) })
	return o, nil
}

// dial opens the stream of bytes that MQTT is spoken on.
func (l *mqttLine) dial(ctx context.Context) (net.Conn, error) {
	if l.endpoint.Transport == MQTTWebSocket {
		return l.endpoint.stream(ctx, l.identity, "mqtt")
	}
	return l.endpoint.stream(ctx, l.identity, "")
}

// finish waits for a step of the protocol.
func finish(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
	case <-ctx.Done():
		return &unreachableError{ctx.Err()}
	}
	if err := t.Error(); err != nil {
		return refusal(err, t)
	}
	return nil
}

// refusal turns a CONNACK's code into what HTTPS would say.
func refusal(err error, t mqtt.Token) error {
	connecting, ok := t.(*mqtt.ConnectToken)
	if !ok {
		return &unreachableError{err}
	}
	status := 0
	switch connecting.ReturnCode() {
	case packets.ErrRefusedBadProtocolVersion, packets.ErrRefusedIDRejected:
		status = http.StatusBadRequest
	case packets.ErrRefusedServerUnavailable:
		status = http.StatusServiceUnavailable
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		status = http.StatusUnauthorized
	default:
		return &unreachableError{err}
	}
	return &Error{HTTPStatus: status, Message: fmt.Sprintf("connection refused: %v", err)}
}

// receiver hands on replies.
func receiver(prefix string, to chan<- reply) mqtt.MessageHandler {
	return func(_ mqtt.Client, m mqtt.Message) {
		r, err := parseReply(prefix, m.Topic(), m.Payload())
		if err != nil {
			return // not for this device
		}
		select {
		case to <- r:
		default: // nobody waits for a second one
		}
	}
}

// parseReply reads {prefix}{status}/?$rid={rid}&retry-after={s}.
func parseReply(prefix, topic string, payload []byte) (reply, error) {
	rest, ok := strings.CutPrefix(topic, prefix)
	status, query, found := strings.Cut(rest, "/?")
	if !ok || !found {
		return reply{}, errors.New("not a reply topic")
	}
	r := reply{said: said{wait: defaultPause, text: payload}}
	var err error
	if r.status, err = strconv.Atoi(status); err != nil {
		return reply{}, errors.New("not a status")
	}
	for pair := range strings.SplitSeq(query, "&") {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "$rid":
			r.rid = value
		case "retry-after":
			r.wait = pauseOf(value)
		}
	}
	return r, nil
}

func tell(lost chan<- error, err error) {
	select {
	case lost <- err:
	default:
	}
}
