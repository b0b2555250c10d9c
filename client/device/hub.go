package device

import (
	"context"
	"encoding/json"
	"fmt"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	hubVersion     = "2021-04-12"
	hubReplyPrefix = "$iothub/twin/res/"
)

// AtHub is a device's MQTT connection to the hub that it was assigned to. It is not safe
// for concurrent use; Close it.
type AtHub struct {
	client   mqtt.Client
	deviceID string
	replies  chan reply
	lost     chan error
}

// ConnectHub connects to a hub, e.Host, over MQTT or, when e.Transport says so, over
// WebSocket, with the credential that the device was provisioned with. Errors: *[Error]
// when the hub refuses it.
func ConnectHub(ctx context.Context, e Endpoint, id Identity, deviceID string) (*AtHub, error) {
	password, err := e.sign(id, e.Host+"/devices/"+deviceID, "")
	if err != nil {
		return nil, err
	}
	l := &mqttLine{endpoint: e, identity: id, lost: make(chan error, 1)}
	options, err := l.options(ctx)
	if err != nil {
		return nil, err
	}
	options.SetClientID(deviceID).SetUsername(e.Host + "/" + deviceID + "/?api-version=" + hubVersion + "&DeviceClientType=dps").SetPassword(password)
	h := &AtHub{client: mqtt.NewClient(options), deviceID: deviceID, replies: make(chan reply, 1), lost: l.lost}
	if err := finish(ctx, h.client.Connect()); err != nil {
		return nil, fmt.Errorf("connect to hub: %w", err)
	}
	if err := finish(ctx, h.client.Subscribe(hubReplyPrefix+"#", atLeastOnce, receiver(hubReplyPrefix, h.replies))); err != nil {
		h.Close()
		return nil, fmt.Errorf("subscribe at hub: %w", err)
	}
	return h, nil
}

// Twin reads the device's twin: {"desired":…,"reported":…}.
func (h *AtHub) Twin(ctx context.Context) (json.RawMessage, error) {
	if err := finish(ctx, h.client.Publish("$iothub/twin/GET/?$rid=1", 0, false, " ")); err != nil {
		return nil, fmt.Errorf("ask for twin: %w", err)
	}
	select {
	case r := <-h.replies:
		if r.status != 200 {
			return nil, fmt.Errorf("the hub answers %d: %s", r.status, r.text)
		}
		return r.text, nil
	case err := <-h.lost: // the hub may have let the device go
		return nil, fmt.Errorf("wait for twin: connection lost: %w", err)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for twin: %w", ctx.Err())
	}
}

// Send sends a message and returns when the hub has it.
func (h *AtHub) Send(ctx context.Context, message json.RawMessage) error {
	topic := "devices/" + h.deviceID + "/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
	if err := finish(ctx, h.client.Publish(topic, atLeastOnce, false, []byte(message))); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}

// Close disconnects.
func (h *AtHub) Close() { h.client.Disconnect(partingTime) }
